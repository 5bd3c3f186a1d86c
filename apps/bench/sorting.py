"""Sorters against each other on labelled runs: one table, one JSON."""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sorter.core.config import config_to_dict, require
from sorter.core.errors import InputError

log = logging.getLogger(__name__)

HELP = "Sorters against each other on labelled runs: simulates, ingests, trains, embeds, clusters, evaluates."
EXAMPLE = """  shotsort bench sorting
  shotsort bench sorting --frames 4000 --seeds 0 1 --methods "pca + hdbscan" contrastive --json
  shotsort bench sorting --runs run/ other.h5
"""


@dataclass(frozen=True)
class Method:
    """A way to sort: the embedding(s), joined by "+", and what differs from the default clustering."""

    embedding: str
    overrides: tuple[tuple[str, Any], ...] = ()


#: The rivals. PCA + HDBSCAN has the parameters that did best for it on runs of other seeds; with the default ones all is noise.
METHODS = {
    "pca + hdbscan": Method(
        "pca",
        (
            ("umap_dims", 0),
            ("pca_dims", 10),
            ("min_cluster_size", 10),
            ("min_samples", 1),
            ("largest_share", 1.0),
            ("one_population", False),
        ),
    ),
    "pca + umap + hdbscan": Method("pca", (("one_population", False),)),
    "contrastive, bright first": Method("contrastive", (("bright_share", 0.5),)),
    "features": Method("features"),
    "factorvae": Method("factorvae"),
    "contrastive": Method("contrastive"),
    "contrastive + features": Method("contrastive+features"),
    "factorvae + features": Method("factorvae+features"),
    "contrastive + factorvae": Method("contrastive+factorvae"),
    "contrastive + factorvae + features": Method("contrastive+factorvae+features"),
}

#: Figures of the printed table: column, key of `evaluate` (with its entry, for accuracies after few labels).
COLUMNS = {
    "hit F1": ("hit_f1", None),
    "ARI bright": ("bright_ari", None),
    "w/o noise": ("bright_ari_without_noise", None),
    "purity": ("bright_purity", None),
    "noise": ("bright_noise", None),
    "ARI hits": ("hits_ari", None),
    "assigned": ("hits_ari_assigned", None),
    "k-NN 20": ("knn_balanced_accuracy", "20"),
    "probe 20": ("probe_balanced_accuracy", "20"),
    "F1 1/cluster": ("macro_f1_one_label_per_cluster", None),
    "seconds": ("seconds", None),
}


@dataclass(frozen=True)
class SortingBenchConfig:
    """recipe, frames, seeds: the simulated runs; runs: labelled files or work folders instead of them (work folders are read,
    never written). methods: names of METHODS, all where empty. cluster_seeds: seeds of UMAP, averaged. folder: where runs and
    results are kept, so that a call goes on where the last one stopped."""

    recipe: str = "clusters"
    frames: int = 8000
    seeds: tuple[int, ...] = (0, 1, 2)
    runs: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    cluster_seeds: tuple[int, ...] = (0, 1, 2)
    folder: str = "bench/sorting"

    def __post_init__(self) -> None:
        unknown = [name for name in self.methods if name not in METHODS]
        require(not unknown, f"method {', '.join(unknown)}: not known; choose from {', '.join(METHODS)}")
        require(self.frames >= 100, f"frames = {self.frames}: need at least 100")
        require(bool(self.seeds or self.runs), "no runs: give seeds or runs")
        require(bool(self.cluster_seeds), "give at least one cluster seed")


def bench_sorting(config: SortingBenchConfig) -> dict[str, Any]:
    """Run every method on every run; returns {"config", "rows", "table"}, JSON-ready.

    rows: one per run and method, the figures of `evaluate` (mean over the seeds of UMAP) and seconds, the sum of training,
    embedding and clustering. table: mean and standard deviation over runs, per method. A result that is there already for
    the same vectors and parameters is not computed again. Raises InputError for a run without truth.
    """
    folder = Path(config.folder)
    folder.mkdir(parents=True, exist_ok=True)
    methods = config.methods or tuple(METHODS)
    rows = []
    for run in config.runs or [f"{config.recipe}-{config.frames}-{seed}" for seed in config.seeds]:
        work = Path(run) if config.runs and Path(run).is_dir() else _prepare(run, config, methods)
        rows += [_row(work, Path(run).name, method, config) for method in methods]
    return {"config": asdict(config), "rows": rows, "table": summarise(rows, methods)}


def summarise(rows: list[dict[str, Any]], methods: Sequence[str]) -> list[dict[str, Any]]:
    """Mean and standard deviation over runs of each column of the table, one entry per method; None where nothing is known."""
    table = []
    for method in methods:
        mine = [row for row in rows if row["method"] == method]
        entry: dict[str, Any] = {"method": method, "runs": len(mine)}
        for column in COLUMNS:
            values = [v for row in mine if (v := figure(row, column)) is not None]
            entry[column] = float(np.mean(values)) if values else None
            entry[f"{column} sd"] = float(np.std(values, ddof=1)) if len(values) > 1 else None
        table.append(entry)
    return table


def figure(row: dict[str, Any], column: str) -> float | None:
    """The value of a column of the table in one row of results."""
    key, entry = COLUMNS[column]
    value = row.get(key)
    return value.get(entry) if isinstance(value, dict) else value


def _prepare(run: str, config: SortingBenchConfig, methods: Sequence[str]) -> Path:
    """Simulate (or take) a run, ingest it, find hits, train and embed what the methods need; each step rests when done."""
    from sim.run import simulate
    from sorter.stages.embed import UNTRAINED, EmbedConfig, embed
    from sorter.stages.hits import find_hits
    from sorter.stages.ingest import ingest
    from sorter.stages.train import TrainConfig, train

    folder = Path(config.folder)
    source = Path(run)
    if not config.runs:
        source = folder / f"{run}.h5"
        if not source.exists():
            simulate(config.recipe, config.frames, int(run.rsplit("-", 1)[1]), str(source), {})
    work = folder / f"{source.stem}.work"
    ingest(str(source), work)
    find_hits(work)
    for name in dict.fromkeys(part for method in methods for part in METHODS[method].embedding.split("+")):
        if name not in UNTRAINED:
            train(work, TrainConfig(model=name))
        embed(work, EmbedConfig(model=name))
    return work


def _row(path: Path, run: str, name: str, config: SortingBenchConfig) -> dict[str, Any]:
    """Figures of one method on one run: mean over the seeds of UMAP."""
    from sorter.cluster.fit import ClusterConfig
    from sorter.io.workfolder import WorkFolder

    work, method = WorkFolder.open(path), METHODS[name]
    settings = replace(ClusterConfig(), embedding=method.embedding, **dict(method.overrides))
    found = []
    for seed in config.cluster_seeds if settings.umap_dims else config.cluster_seeds[:1]:
        found.append(_figures(work, run, replace(settings, seed=seed), Path(config.folder)))
    row = mean_of(found)
    return {"run": run, "method": name, **row, "seconds": row["cluster_seconds"] + _seconds(work, method.embedding)}


def _figures(work: Any, run: str, settings: Any, folder: Path) -> dict[str, Any]:
    """Cluster and evaluate once, or read what an earlier call found for the same vectors and parameters."""
    from sorter.cluster.evaluation import evaluate_run
    from sorter.cluster.fit import find_clusters
    from sorter.core.embedding import Embedding
    from sorter.core.identity import rows_of
    from sorter.io.workfolder import write_text_whole
    from sorter.stages.cluster import find_embedding, inputs_digest
    from sorter.stages.evaluate import stored_truth

    hits = work.read_hits()
    whole = find_embedding(work, settings.embedding)
    rows = rows_of(whole.frame_id, hits.hit_ids)
    require(bool((rows >= 0).all()), f"{work.path}: embedding {whole.name} lacks some hits; run 'shotsort embed' again")
    embedding = Embedding(whole.name, hits.hit_ids, whole.vectors[rows])
    key = {"run": run, "config": config_to_dict(settings), "sha256": inputs_digest(embedding, hits)}
    path = folder / f"{run}__{settings.embedding}__{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]}.json"
    if path.exists():
        return json.loads(path.read_text())
    log.info("bench: %s on %s, seed %d", settings.embedding, run, settings.seed)
    started = time.perf_counter()
    clustering = find_clusters(embedding, hits.photons[hits.is_hit], settings)
    seconds = time.perf_counter() - started
    figures = evaluate_run(stored_truth(work.frames()), hits, clustering, embedding) | {"cluster_seconds": seconds}
    write_text_whole(path, json.dumps(figures, allow_nan=False) + "\n")
    return figures


def mean_of(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Entry-wise mean of dicts of figures; None where one of them is None."""
    out: dict[str, Any] = {}
    for key, value in found[0].items():
        values = [each[key] for each in found]
        if isinstance(value, dict):
            out[key] = mean_of(values)
        else:
            out[key] = None if any(v is None for v in values) else float(np.mean(values))
    return out


def _seconds(work: Any, embedding: str) -> float:
    """Seconds that training and embedding took, from the manifests; each part's last run counts."""
    total = 0.0
    for part in embedding.split("+"):
        for stage, output in (("train", "model"), ("embed", "embedding")):
            runs = [m for m in work.manifests(stage) if m["outputs"].get(output) == part]
            total += runs[-1]["seconds"] if runs else 0.0
    return total


def table_text(table: list[dict[str, Any]]) -> str:
    """The table for people: mean and, for several runs, standard deviation."""
    width = max(len(entry["method"]) for entry in table)
    lines = [" ".join([" " * width, *(f"{column:>13s}" for column in COLUMNS)])]
    for entry in table:
        lines.append(" ".join([f"{entry['method']:{width}s}", *(f"{_cell(entry, column):>13s}" for column in COLUMNS)]))
    return "\n".join(lines)


def _cell(entry: dict[str, Any], column: str) -> str:
    value, spread = entry[column], entry[f"{column} sd"]
    if value is None:
        return "-"
    digits = 0 if column == "seconds" else 3
    return f"{value:.{digits}f}" if spread is None else f"{value:.{digits}f}±{spread:.{digits}f}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    from apps.cli.output import add_json

    default = SortingBenchConfig()
    parser.add_argument("--recipe", default=default.recipe, help=f"simulated recipe (default: {default.recipe})")
    parser.add_argument(
        "--frames", type=int, default=default.frames, help=f"frames per run (default: {default.frames})"
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=list(default.seeds), help="seeds of the runs (default: 0 1 2)"
    )
    parser.add_argument(
        "--runs", nargs="+", default=[], help="labelled files or work folders instead of simulated runs"
    )
    parser.add_argument("--methods", nargs="+", default=[], metavar="METHOD", help=f"of: {', '.join(METHODS)}")
    parser.add_argument(
        "--cluster-seeds", type=int, nargs="+", default=list(default.cluster_seeds), help="seeds of UMAP"
    )
    parser.add_argument(
        "--folder", default=default.folder, help=f"where runs and results are kept (default: {default.folder})"
    )
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    from apps.cli.output import print_json, print_text

    for run in args.runs:
        if not Path(run).exists():
            raise InputError(f"{run}: no such file or work folder")
    names = ("seeds", "runs", "methods", "cluster_seeds")
    lists = {name: tuple(getattr(args, name)) for name in names}
    result = bench_sorting(SortingBenchConfig(args.recipe, args.frames, folder=args.folder, **lists))
    if args.json:
        print_json(result)
    else:
        print_text(table_text(result["table"]))
    return 0
