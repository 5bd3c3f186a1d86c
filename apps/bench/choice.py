"""How a smallest cluster size may be chosen without truth: rules against each other, on runs whose truth is known."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.core.config import require

log = logging.getLogger(__name__)

HELP = """Rules that choose HDBSCAN's smallest cluster size and whether large clusters are cut, none of which sees the truth,
against each other by the agreement of bright hits with it (and against the best size there is)."""
EXAMPLE = """  shotsort bench choice
  shotsort bench choice --recipes droplets --frames 2000 --seeds 10 --json
"""


@dataclass(frozen=True)
class ChoiceBenchConfig:
    """recipes, frames (of each run), seeds: the simulated runs. embeddings: what is clustered, without training on the run.
    cluster_seeds: seeds of UMAP. folder: where runs are kept."""

    recipes: tuple[str, ...] = ("clusters", "droplets", "spi")
    frames: int = 2000
    seeds: tuple[int, ...] = (10, 11, 12)
    embeddings: tuple[str, ...] = ("pretrained", "features")
    cluster_seeds: tuple[int, ...] = (0, 1, 2)
    folder: str = "bench/sorting"

    def __post_init__(self) -> None:
        require(self.frames >= 200, f"--frames {self.frames}: need at least 200")
        for name in ("recipes", "seeds", "embeddings", "cluster_seeds"):
            require(bool(getattr(self, name)), f"--{name.replace('_', '-')}: give at least one")


@dataclass(frozen=True)
class _Candidate:
    """A clustering for one size: agreement with those of the other sizes, DBCV, agreement of halves, and with the truth."""

    agreement: float
    validity: float
    halves: float
    truth: float


def _best(of: Callable[[_Candidate], float]) -> Callable[[list[_Candidate]], _Candidate]:
    """The candidate for which ``of`` is largest; of equals the one nearest to the middle."""
    return lambda found: max(enumerate(found), key=lambda e: (round(of(e[1]), 6), -abs(e[0] - len(found) // 2)))[1]


#: Which candidates ("kept": large clusters cut unless halves bring them back; "cut": always; "whole": never), and which of them.
RULES: dict[str, tuple[str, Callable[[list[_Candidate]], _Candidate]]] = {
    "sizes agree (default)": ("kept", _best(lambda c: c.agreement)),
    "sizes agree, large clusters always cut": ("cut", _best(lambda c: c.agreement)),
    "sizes agree, never cut": ("whole", _best(lambda c: c.agreement)),
    "DBCV": ("kept", _best(lambda c: c.validity)),
    "halves agree": ("kept", _best(lambda c: c.halves)),
    "sizes agree + DBCV": ("kept", _best(lambda c: c.agreement + c.validity)),
    "sizes agree + halves agree": ("kept", _best(lambda c: c.agreement + c.halves)),
    "the best of them, by truth": ("kept", _best(lambda c: c.truth)),
}


def bench_choice(config: ChoiceBenchConfig) -> dict[str, Any]:
    """Every rule on every run, embedding and seed of UMAP; returns {"config", "rows", "table"}, JSON-ready.

    rows: {"recipe", "embedding", "seed", "cluster_seed", rule: adjusted Rand index among the true hits of at least 20,000
    photons that were fitted}; table: per recipe and embedding the mean over the others. Raises InputError for an embedding
    that has to be trained.
    """
    from apps.bench.labelled_runs import prepared, simulated_run
    from sorter.stages.embed import UNTRAINED

    unknown = sorted(set(config.embeddings) - set(UNTRAINED))
    require(not unknown, f"--embeddings {' '.join(unknown)}: choose from {', '.join(UNTRAINED)}")
    folder = Path(config.folder)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for recipe in config.recipes:
        for seed in config.seeds:
            work = prepared(simulated_run(recipe, config.frames, seed, folder), folder, list(config.embeddings))
            for name in config.embeddings:
                log.info("bench: %s, seed %d, %s", recipe, seed, name)
                found = _rules_on(work, name, config, folder)
                rows += [{"recipe": recipe, "embedding": name, "seed": seed, **row} for row in found]
    return {"config": asdict(config), "rows": rows, "table": summarise(rows)}


def _rules_on(work: Any, name: str, config: ChoiceBenchConfig, folder: Path) -> list[dict[str, Any]]:
    """The ARI of each rule for each seed of UMAP."""
    from apps.bench.labelled_runs import vectors_of_hits
    from sorter.cluster.density import core_distance, far_distance
    from sorter.cluster.evaluation import BRIGHT_PHOTONS
    from sorter.cluster.fit import ClusterConfig, rows_to_fit
    from sorter.cluster.reduce import Projection, umap
    from sorter.core.identity import rows_of
    from sorter.core.seeds import child_seed
    from sorter.stages.evaluate import stored_truth

    settings = ClusterConfig()
    embedding, hits = vectors_of_hits(work, name, folder)
    points = Projection.of([embedding.vectors], settings.pca_dims)([embedding.vectors])
    rows = rows_to_fit(hits.photons[hits.is_hit], name, None)
    core = core_distance(points[rows], settings.min_samples)
    fitted = rows[core <= far_distance(core)]
    truth = stored_truth(work.frames())
    of = rows_of(truth.frame_id, embedding.frame_id[fitted])
    bright = truth.is_hit[of] & (truth.photons[of] >= BRIGHT_PHOTONS)
    out = []
    for seed in config.cluster_seeds:
        child = child_seed(seed, "cluster", "umap")
        reduced = umap(points[fitted], settings.umap_dims, settings.umap_neighbors, 0.0, child)
        ways = _candidates(reduced, truth.classes[of], bright, settings)
        out.append({"cluster_seed": seed} | {rule: choose(ways[way]).truth for rule, (way, choose) in RULES.items()})
    return out


def _candidates(points: NDArray, classes: NDArray, bright: NDArray, settings: Any) -> dict[str, list[_Candidate]]:
    """For each way to treat large clusters the clusterings of ``points`` for all sizes."""
    from sorter.cluster.agreement import adjusted_rand_index
    from sorter.cluster.density import cut_large, density_clusters, resample_agreement
    from sorter.cluster.groups import cluster_sizes

    sizes, ways = cluster_sizes(len(points), None), {}
    common, share = (settings.min_samples, settings.selection), settings.largest_share
    whole = [density_clusters(points, size, *common) for size in sizes]
    results = {
        "whole": whole,
        "cut": [cut_large(points, each, size, *common, share) for each, size in zip(whole, sizes)],
        "kept": [density_clusters(points, size, *common, share) for size in sizes],
    }
    for way, found in results.items():
        agree = [[adjusted_rand_index(a.labels, b.labels) or 0.0 for b in found if b is not a] for a in found]
        ways[way] = [
            _Candidate(
                float(np.mean(others or [1.0])),
                each.validity or 0.0,
                (resample_agreement(points, each, size, *common, share) or 0.0) if way == "kept" else 0.0,
                adjusted_rand_index(classes[bright], each.labels[bright]) or 0.0,
            )
            for each, size, others in zip(found, sizes, agree)
        ]
    return ways


def summarise(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean of each rule per recipe and embedding."""
    groups = dict.fromkeys((row["recipe"], row["embedding"]) for row in rows)
    return [
        {"recipe": recipe, "embedding": name}
        | {
            rule: float(np.mean([r[rule] for r in rows if (r["recipe"], r["embedding"]) == (recipe, name)]))
            for rule in RULES
        }
        for recipe, name in groups
    ]


def table_text(result: dict[str, Any]) -> str:
    """The table for people: a rule per line."""
    table, width = result["table"], max(map(len, RULES))
    lines = [" ".join([" " * width, *(f"{e['recipe'] + ', ' + e['embedding']:>20s}" for e in table), f"{'mean':>6s}"])]
    for rule in RULES:
        values = [entry[rule] for entry in table]
        lines.append(" ".join([f"{rule:{width}s}", *(f"{v:20.3f}" for v in values), f"{np.mean(values):6.3f}"]))
    return "\n".join(lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the bench."""
    from apps.cli.output import add_json

    default = ChoiceBenchConfig()
    parser.add_argument(
        "--frames", type=int, default=default.frames, help=f"frames of each run (default: {default.frames})"
    )
    for name, kind, text in (
        ("recipes", str, "simulated recipes"), ("seeds", int, "seeds of the runs"),
        ("embeddings", str, "what is clustered"), ("cluster_seeds", int, "seeds of UMAP"),
    ):  # fmt: skip
        values = list(getattr(default, name))
        shown = f"{text} (default: {' '.join(map(str, values))})"
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, nargs="+", default=values, help=shown)
    parser.add_argument("--folder", default=default.folder, help=f"where runs are kept (default: {default.folder})")
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Run the bench."""
    from apps.cli.output import print_result

    several = {n: tuple(getattr(args, n)) for n in ("recipes", "seeds", "embeddings", "cluster_seeds")}
    print_result(
        bench_choice(ChoiceBenchConfig(frames=args.frames, folder=args.folder, **several)), args.json, table_text
    )
    return 0
