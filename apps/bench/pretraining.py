"""The pre-trained encoder on runs and kinds that it has not seen."""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sorter.core.config import config_to_dict, require
from sorter.core.seeds import child_rng

log = logging.getLogger(__name__)

HELP = """The pre-trained encoder, frozen, on runs it has not seen: the yardstick, other detectors and mixtures, other recipes;
and encoders that were trained without a third of the yardstick's kinds, on all of them and among those left out."""
EXAMPLE = """  shotsort bench pretraining
  shotsort bench pretraining --thirds 0 --frames 4000 --json
"""
#: Runs besides the yardstick: recipe and options. Nothing of them was seen in training but the recipe.
OTHER_RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "other detector": (
        "clusters",
        {
            "layout.n_px": 160, "layout.two_theta_edge_deg": 25.0, "detector.panels": [2, 2], "detector.gap_px": 5,
            "detector.beam_stop_radius_px": 8.0, "detector.stalk_width_px": 4.0, "detector.background_photons": 0.04,
            "detector.background_spread": 0.4,
        },
    ),
    "other mixture": (
        "clusters",
        {
            "mixture": {
                "sphere": 3, "oblate": 2, "prolate": 1, "rod": 1, "icosahedron": 2, "cube": 1, "octahedron": 1, "plate": 1,
                "dimer": 1, "truncated_octahedron": 2, "marks_decahedron": 2, "dodecahedron": 1, "tetrahedron": 2, "multi": 2,
            },
        },
    ),
    "droplets": ("droplets", {}),
    "spi": ("spi", {}),
}  # fmt: skip
#: Columns of the printed table and keys of `evaluate`, with the entry for accuracies after few labels.
COLUMNS = {
    "ARI bright": ("bright_ari", None),
    "purity": ("bright_purity", None),
    "noise": ("bright_noise", None),
    "ARI all": ("hits_ari_assigned", None),
    "k-NN 1": ("knn_balanced_accuracy", "1"),
    "k-NN 20": ("knn_balanced_accuracy", "20"),
    "left out": ("left_out_bright_ari", None),
    "l.o. k-NN 20": ("left_out_knn", "20"),
    "clusters": ("n_clusters", None),
}


@dataclass(frozen=True)
class PretrainingBenchConfig:
    """frames, seeds: of each run. thirds: how many encoders are trained, each without its third of the yardstick's kinds; steps
    and fields of these trainings. cluster_seeds: seeds of UMAP, averaged. folder: where runs, encoders and results
    are kept, so that a call goes on where the last one stopped."""

    frames: int = 4000
    seeds: tuple[int, ...] = (0, 1, 2)
    thirds: int = 3
    fields: int = 16_384
    steps: int = 3000
    cluster_seeds: tuple[int, ...] = (0, 1)
    folder: str = "bench/pretraining"

    def __post_init__(self) -> None:
        require(self.frames >= 200, f"frames = {self.frames}: need at least 200")
        require(bool(self.seeds) and bool(self.cluster_seeds), "give at least one seed and one cluster seed")
        require(0 <= self.thirds <= 3, f"--thirds {self.thirds}: there are 3")


def thirds() -> list[tuple[str, ...]]:
    """The kinds of the yardstick's default mixture in three parts, drawn once and for all."""
    from sim.recipes.clusters import MIXTURE

    order = child_rng(0, "pretraining", "thirds").permutation(len(MIXTURE))
    return [tuple(np.array(list(MIXTURE))[part].tolist()) for part in np.array_split(order, 3)]


def bench_pretraining(config: PretrainingBenchConfig) -> dict[str, Any]:
    """Every encoder on every run it is meant for; returns {"config", "rows", "table"}, JSON-ready.

    rows: one per encoder and run: the figures of `evaluate`, mean over the seeds of UMAP; ``left_out_bright_ari`` and
    ``left_out_knn`` are those among the hits of kinds that the encoder was trained without. Nothing is trained on the runs.
    """
    folder = Path(config.folder)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for encoder, weights, left_out in _encoders(config):
        for group, run, recipe, options, seed in _runs(config):
            if left_out and group != "yardstick":
                continue
            work = _prepare(folder / run.replace(" ", "-"), recipe, config.frames, seed, options)
            rows.append({"encoder": encoder, "runs": group, "run": run, **_row(work, weights, left_out, config)})
    return {"config": asdict(config), "thirds": thirds(), "rows": rows, "table": summarise(rows)}


def _encoders(config: PretrainingBenchConfig) -> Iterator[tuple[str, Path, tuple[str, ...]]]:
    """(name, weights, kinds left out): what is shipped, then the thirds, trained where they are not there yet."""
    from apps.pretrain.config import FieldsConfig
    from apps.pretrain.run import PretrainConfig, pretrain_encoder
    from sorter.models.pretrained import SHIPPED
    from sorter.train.config import PairConfig

    yield "all kinds", SHIPPED, ()
    folder = Path(config.folder)
    for number, kinds in enumerate(thirds()[: config.thirds]):
        to = folder / f"without-third-{number}.safetensors"
        if not to.exists():
            log.info("bench: training without %s", ", ".join(kinds))
            pairs = PairConfig(steps=config.steps, seed=number)
            fields = FieldsConfig(config.fields)
            pretrain_encoder(PretrainConfig(str(to), str(folder), fields, pairs, without=kinds))
        yield f"without {', '.join(kinds)}", to, kinds


def _runs(config: PretrainingBenchConfig) -> Iterator[tuple[str, str, str, dict[str, Any], int]]:
    """(group, run, recipe, options, seed) of every run."""
    for group, (recipe, options) in {"yardstick": ("clusters", {}), **OTHER_RUNS}.items():
        for seed in config.seeds:
            yield group, f"{group} {config.frames} {seed}", recipe, options, seed


def _prepare(stem: Path, recipe: str, frames: int, seed: int, options: dict[str, Any]) -> Path:
    """Simulate, ingest, find hits; each step rests when done."""
    from sim.run import simulate
    from sorter.stages.hits import find_hits
    from sorter.stages.ingest import ingest

    source, work = stem.with_suffix(".h5"), stem.with_suffix(".work")
    if not source.exists():
        simulate(recipe, frames, seed, str(source), options)
    ingest(str(source), work)
    find_hits(work)
    return work


def _row(work: Path, weights: Path, left_out: tuple[str, ...], config: PretrainingBenchConfig) -> dict[str, Any]:
    """Figures of one encoder on one run, or what an earlier call found for the same weights and settings."""
    from apps.bench.sorting import mean_of
    from sorter.cluster.fit import ClusterConfig, find_clusters
    from sorter.io.whole import write_text_whole
    from sorter.io.workfolder import WorkFolder
    from sorter.stages.embed import EmbedConfig, embed

    settings = ClusterConfig(embedding="pretrained")
    key = [str(work), hashlib.sha256(weights.read_bytes()).hexdigest(), config_to_dict(settings), config.cluster_seeds]
    cached = work.with_suffix(f".{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]}.json")
    if cached.exists():
        return json.loads(cached.read_text())
    folder = WorkFolder.open(work)
    embedding, hits = embed(folder, EmbedConfig(model="pretrained", weights=str(weights))), folder.read_hits()
    log.info("bench: %s with %s", work.stem, weights.stem)
    found = []
    for seed in config.cluster_seeds:
        clustering = find_clusters(embedding, hits.photons[hits.is_hit], replace(settings, seed=seed))
        found.append(figures(folder, embedding, clustering, left_out))
    row = mean_of(found)
    write_text_whole(cached, json.dumps(row, allow_nan=False) + "\n")
    return row


def figures(work: Any, embedding: Any, clustering: Any, left_out: Sequence[str]) -> dict[str, Any]:
    """Figures of one clustering of a work folder, with those among the hits of the kinds ``left_out``."""
    from sorter.cluster.evaluation import Truth, evaluate_run
    from sorter.stages.evaluate import stored_truth

    truth, hits = stored_truth(work.frames()), work.read_hits()
    out = evaluate_run(truth, hits, clustering, embedding)
    some = np.isin(truth.classes, left_out)
    if some.any():
        part = Truth(truth.frame_id[some], truth.classes[some], truth.is_hit[some], truth.photons[some])
        among = evaluate_run(part, hits, clustering, embedding)
        out |= {"left_out_bright_ari": among["bright_ari"], "left_out_knn": among["knn_balanced_accuracy"]}
    return out


def summarise(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and standard deviation over seeds, per encoder and group of runs, and over the encoders with kinds left out."""
    named = [(row["encoder"], row["runs"], row) for row in rows]
    named += [("mean of those without a third", row["runs"], row) for row in rows if row["encoder"] != "all kinds"]
    table = []
    for encoder, group in dict.fromkeys((encoder, group) for encoder, group, _ in named):
        mine = [row for e, g, row in named if (e, g) == (encoder, group)]
        entry: dict[str, Any] = {"encoder": encoder, "runs": group, "n": len(mine)}
        for column, (key, shots) in COLUMNS.items():
            values = [row.get(key) if shots is None else (row.get(key) or {}).get(shots) for row in mine]
            known = [value for value in values if value is not None]
            entry[column] = float(np.mean(known)) if known else None
            entry[f"{column} sd"] = float(np.std(known, ddof=1)) if len(known) > 1 else None
        table.append(entry)
    return table


def table_text(table: list[dict[str, Any]]) -> str:
    """The table for people."""
    width = max(len(entry["encoder"]) for entry in table)
    lines = [" ".join([f"{'':{width}s} {'runs':15s}", *(f"{column:>12s}" for column in COLUMNS)])]
    for entry in table:
        cells = [_cell(entry[column], entry[f"{column} sd"]) for column in COLUMNS]
        lines.append(
            " ".join([f"{entry['encoder']:{width}s} {entry['runs']:15s}", *(f"{cell:>12s}" for cell in cells)])
        )
    return "\n".join(lines)


def _cell(value: float | None, spread: float | None) -> str:
    if value is None:
        return "-"
    digits = 0 if value >= 2 else 3
    return f"{value:.{digits}f}" + ("" if spread is None else f"±{spread:.{digits}f}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the bench."""
    from apps.cli.output import add_json

    default = PretrainingBenchConfig()
    for name, text in (
        ("frames", "frames of each run"), ("thirds", "encoders trained without a third of the kinds, 0 to 3"),
        ("fields", "far fields for their training"), ("steps", "weight updates of each"),
    ):  # fmt: skip
        value = getattr(default, name)
        parser.add_argument(f"--{name}", type=int, default=value, help=f"{text} (default: {value})")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=list(default.seeds), help="seeds of the runs (default: 0 1 2)"
    )
    parser.add_argument(
        "--cluster-seeds", type=int, nargs="+", default=list(default.cluster_seeds), help="seeds of UMAP (default: 0 1)"
    )
    parser.add_argument(
        "--folder",
        default=default.folder,
        help=f"where runs, encoders and results are kept (default: {default.folder})",
    )
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Run the bench."""
    from apps.cli.output import print_result

    config = PretrainingBenchConfig(
        args.frames, tuple(args.seeds), args.thirds, args.fields, args.steps, tuple(args.cluster_seeds), args.folder
    )
    result = bench_pretraining(config)
    print_result(result, args.json, lambda found: table_text(found["table"]))
    return 0
