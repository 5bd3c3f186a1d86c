"""What a person's clicks are worth: label quality per click, probabilities against how often they come true, unnamed classes."""

from __future__ import annotations

import argparse
import logging
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.bench.click_curves import CURVES, Pool, clicks_to, curves, mean_curves, membership, steps
from apps.bench.labelled_runs import given_runs, kept, prepared, short_hash, simulated_run, vectors_of_hits
from sorter.core.config import require
from sorter.core.errors import InputError
from sorter.core.seeds import child_rng
from sorter.curate.calibration import reliability
from sorter.curate.heads import HEADS
from sorter.curate.propose import Proposer
from sorter.io.workfolder import WorkFolder

log = logging.getLogger(__name__)

HELP = "Macro-F1 per click (random, suggested, cluster by cluster), calibration of the proposals, and classes nobody named."
EXAMPLE = """  shotsort bench labelling --figure labelling.png
  shotsort bench labelling --runs run/ --embedding features --json
  shotsort bench labelling --set mixture=sphere=1,cube=1,rod=0.1,plate=0.1
"""
_BINS = 10
_SHOTS, _UNNAMED = 20, 3


@dataclass(frozen=True)
class LabellingBenchConfig:
    """recipe, options of it, frames, seeds: simulated runs; runs: labelled work folders or files instead. embedding: "auto" for
    the one that `sort` prefers. clicks: of a curve. draws: of random frames per run. folder: see `bench sorting`, whose runs are
    used."""

    recipe: str = "clusters"
    frames: int = 4000
    seeds: tuple[int, ...] = (0, 1, 2)
    options: dict[str, object] = field(default_factory=dict)
    runs: tuple[str, ...] = ()
    embedding: str = "auto"
    clicks: int = 200
    draws: int = 3
    folder: str = "bench/sorting"

    def __post_init__(self) -> None:
        require(self.clicks >= 5, f"clicks = {self.clicks}: need at least 5")
        require(self.draws >= 1, f"draws = {self.draws}: need at least 1")
        require(bool(self.runs or self.seeds), "no runs: give seeds or runs")


def bench_labelling(config: LabellingBenchConfig) -> dict[str, Any]:
    """Returns {"config", "runs", "curves", "clicks_to", "calibration", "unnamed"}, JSON-ready.

    curves: population ("bright", "hits") -> strategy -> {"clicks", "macro_f1", "macro_f1_sd"}, mean over runs and draws; scored
    on all frames of the population, labelled ones included. One click labels a frame, or names a cluster after its most common
    class; two curves (FAULTLESS, FEWEST) tell what no method can beat. clicks_to: population -> strategy -> level -> clicks, None
    where it is not reached, and "times_fewer" than random frames with the linear head. calibration: head -> ece and the
    reliability diagram at 20 labels per class. unnamed: three classes that have no label: auroc, recall and false_share of "none
    of these". Kept in ``folder``, run by run.
    """
    folder = Path(config.folder)
    folder.mkdir(parents=True, exist_ok=True)
    runs = []
    for source in [Path(run) for run in config.runs] or [
        simulated_run(config.recipe, config.frames, seed, folder, config.options) for seed in config.seeds
    ]:
        runs.append(_run(source, config, folder))
    curves = {p: mean_curves([run["curves"][p] for run in runs if p in run["curves"]]) for p in ("bright", "hits")}
    return {
        "config": asdict(config),
        "embedding": runs[0]["embedding"],
        "runs": [run["run"] for run in runs],
        "curves": curves,
        "clicks_to": {p: clicks_to(found) for p, found in curves.items()},
        "calibration": {head: _mean_reliability([run["calibration"][head] for run in runs]) for head in HEADS},
        "unnamed": {key: float(np.mean([run["unnamed"][key] for run in runs])) for key in runs[0]["unnamed"]},
    }


def _run(source: Path, config: LabellingBenchConfig, folder: Path) -> dict[str, Any]:
    """Everything of one run, from the file that an earlier call left where there is one."""
    from sorter.cluster.fit import ClusterConfig, find_clusters
    from sorter.stages.cluster import PREFERRED, find_embedding, inputs_digest

    wanted = PREFERRED[0] if config.embedding == "auto" and not source.is_dir() else config.embedding
    work = WorkFolder.open(source) if source.is_dir() else prepared(source, folder, wanted.split("+"))
    name = find_embedding(work, wanted).name
    embedding, hits = vectors_of_hits(work, name, folder)
    settings = ClusterConfig(embedding=name)
    key = {
        "clicks": steps(config.clicks),
        "draws": config.draws,
        "curves": CURVES,
        "sha256": inputs_digest(embedding, hits),
        "cluster": asdict(settings),
    }

    def make() -> dict[str, Any]:
        log.info("bench labelling: %s", source.name)
        clusters = find_clusters(embedding, hits.photons[hits.is_hit], replace(settings, seed=0))
        pools = pools_of(work, embedding, clusters)
        largest = pools["hits"]
        return {
            "run": source.name,
            "embedding": name,
            "curves": {p: curves(pool, config.clicks, config.draws) for p, pool in pools.items()},
            "calibration": {head: calibration(largest, head, config.draws) for head in HEADS},
            "unnamed": unnamed(largest, config.draws),
        }

    return kept(folder / f"{work.path.stem}__labelling__{short_hash(key)}.json", make)


def pools_of(work: WorkFolder, embedding: Any, clusters: Any) -> dict[str, Pool]:
    """The true hits that were found, and the bright ones among them (left out where they are too few)."""
    from sorter.cluster.evaluation import BRIGHT_PHOTONS
    from sorter.cluster.reduce import principal_components
    from sorter.core.identity import rows_of
    from sorter.stages.evaluate import stored_truth
    from sorter.stages.propose import PCA_DIMS

    truth = stored_truth(work.frames())
    row = rows_of(truth.frame_id, embedding.frame_id)
    out = {}
    for name, least in (("hits", 0), ("bright", BRIGHT_PHOTONS)):
        used = (row >= 0) & truth.is_hit[row] & (truth.photons[row] >= least)
        if used.sum() < 100:
            continue
        points = principal_components(embedding.vectors[used], PCA_DIMS)
        ids = embedding.frame_id[used]
        out[name] = Pool(
            points, truth.classes[row[used]], clusters.assigned[rows_of(clusters.frame_id, ids)], Proposer(ids, points)
        )
    if "hits" not in out:
        raise InputError(f"{work.path}: fewer than 100 true hits were found; the curves need more")
    return out


def _drawn(classes: NDArray, names: NDArray, shots: int, draw: int) -> NDArray[np.int64]:
    rng = child_rng(draw, "labelling", "calibration")
    fits = [np.flatnonzero(classes == name) for name in names]
    return np.concatenate([rng.choice(rows, min(shots, len(rows) // 2), replace=False) for rows in fits])


def calibration(pool: Pool, head: str, draws: int) -> dict[str, Any]:
    """Stated probability of the likeliest label against how often it is right, on frames not labelled, 20 labels per class."""
    stated, right = [], []
    for draw in range(draws):
        rows = _drawn(pool.classes, np.unique(pool.classes), _SHOTS, draw)
        names, member = membership(pool.classes[rows])
        found = pool.proposer.propose(names, rows, member, head)
        rest = ~found.labelled
        stated.append(found.probability[rest].max(axis=1))
        right.append(np.array(names)[found.probability[rest].argmax(axis=1)] == pool.classes[rest])
    diagram = reliability(np.concatenate(stated), np.concatenate(right), _BINS)
    seen = diagram.count > 0
    return {
        "stated": np.where(seen, diagram.stated, 0).tolist(),
        "true": np.where(seen, diagram.true, 0).tolist(),
        "count": diagram.count.tolist(),
    }


def unnamed(pool: Pool, draws: int) -> dict[str, float]:
    """How well frames of three classes without any label are told, at 20 labels of each other class."""
    from sklearn.metrics import roc_auc_score

    figures = []
    for draw in range(draws):
        names = np.unique(pool.classes)
        hidden = child_rng(draw, "labelling", "unnamed").choice(names, min(_UNNAMED, len(names) - 2), replace=False)
        rows = _drawn(pool.classes, np.setdiff1d(names, hidden), _SHOTS, draw)
        given, member = membership(pool.classes[rows])
        found = pool.proposer.propose(given, rows, member)
        rest = ~found.labelled
        strange, told = np.isin(pool.classes[rest], hidden), found.none_of_these[rest]
        auc = float(roc_auc_score(strange, found.unknown[rest]))
        figures.append((auc, float(told[strange].mean()), float(told[~strange].mean())))
    return dict(zip(("auroc", "recall", "false_share"), np.mean(figures, axis=0).tolist()))


def _mean_reliability(found: list[dict[str, Any]]) -> dict[str, Any]:
    """One diagram from those of several runs, weighted by their numbers, and its expected calibration error."""
    count = np.sum([each["count"] for each in found], axis=0)
    weight = np.maximum(count, 1)
    stated, true = (
        np.sum([np.array(each[key]) * each["count"] for each in found], axis=0) / weight for key in ("stated", "true")
    )
    ece = float((np.abs(stated - true) * count).sum() / max(count.sum(), 1))
    return {"ece": ece, "stated": stated.tolist(), "true": true.tolist(), "count": count.tolist()}


def table_text(result: dict[str, Any]) -> str:
    """The tables for people."""
    lines = [f"embedding {result['embedding']}, {len(result['runs'])} runs"]
    for population, found in result["clicks_to"].items():
        lines.append(f"\n{population:34s} clicks to 0.8   to 0.9   times fewer to 0.9   F1 at the end")
        for name, levels in found.items():
            end = result["curves"][population][name]["macro_f1"][-1]
            cells = [_cell(levels["0.8"], 0), _cell(levels["0.9"], 0), _cell(levels["times_fewer"]["0.9"], 1)]
            lines.append(f"{name:34s} {cells[0]:>13s} {cells[1]:>8s} {cells[2]:>20s} {end:15.3f}")
    lines.append("\ncalibration error of the proposals, 20 labels per class, all hits")
    lines += [f"{head:34s} {found['ece']:.3f}" for head, found in result["calibration"].items()]
    u = result["unnamed"]
    lines.append("\nthree classes without a label: " + ", ".join(f"{key} {value:.2f}" for key, value in u.items()))
    return "\n".join(lines)


def _cell(value: float | None, digits: int) -> str:
    return "not reached" if value is None and digits == 0 else "-" if value is None else f"{value:.{digits}f}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    from apps.cli.output import add_json

    default = LabellingBenchConfig()
    texts = {
        "recipe": "simulated recipe", "frames": "frames per run", "embedding": "what the labels spread on",
        "clicks": "length of the curves", "draws": "draws of random frames per run", "folder": "where runs are kept",
    }  # fmt: skip
    for name, text in texts.items():
        value = getattr(default, name)
        parser.add_argument(f"--{name}", type=type(value), default=value, help=f"{text} (default: {value})")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=list(default.seeds), help="seeds of the runs (default: 0 1 2)"
    )
    parser.add_argument(
        "--runs", nargs="+", default=[], help="labelled files or work folders instead of simulated runs"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="an option of the recipe (see `sim`); repeat"
    )
    parser.add_argument("--figure", metavar="FILE", help="draw curves and reliability diagram as PNG")
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    from apps.cli.output import print_result
    from apps.cli.sim import options_of

    plain = {n: getattr(args, n) for n in ("recipe", "frames", "embedding", "clicks", "draws", "folder")}
    runs = {"seeds": tuple(args.seeds), "options": options_of(args.set), "runs": given_runs(args.runs)}
    result = bench_labelling(LabellingBenchConfig(**runs, **plain))
    if args.figure:
        from apps.bench.labelling_figure import draw

        draw(result, Path(args.figure))
    print_result(result, args.json, table_text)
    return 0
