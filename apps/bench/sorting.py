"""Sorters against each other on labelled runs: one table, one figure, one JSON."""

from __future__ import annotations

import argparse
import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from apps.bench.labelled_runs import cost_of, given_runs, kept, prepared, short_hash, simulated_run, vectors_of_hits
from apps.bench.methods import BASELINES, LABELLED, METHODS, default_method, labelled_accuracy
from apps.bench.sorting_table import mean_of, paired, summarise, table_text
from sorter.core.config import config_to_dict, require
from sorter.io.workfolder import WorkFolder

log = logging.getLogger(__name__)

HELP = "Sorters against each other on labelled runs: simulates, ingests, trains, embeds, clusters, evaluates."
EXAMPLE = """  shotsort bench sorting
  shotsort bench sorting --recipes clusters --frames 4000 --seeds 0 1 --methods "pca + hdbscan" contrastive --json
  shotsort bench sorting --runs run/ other.h5 --figure sorting.png
"""
#: Labelled frames per class that the sorters get which learn from labels.
SHOTS = 20


@dataclass(frozen=True)
class SortingBenchConfig:
    """recipes, frames (one number, or one per recipe), seeds: the simulated runs; runs: labelled files or work folders instead of
    them (work folders are read, never written). methods: names of METHODS, all where empty. cluster_seeds: seeds of UMAP,
    averaged. train_steps: weight updates of each training on a run, 0: the model's default. folder: where runs and results are
    kept, so that a call goes on where the last one stopped."""

    recipes: tuple[str, ...] = ("clusters", "droplets", "spi")
    frames: tuple[int, ...] = (4000,)
    seeds: tuple[int, ...] = (0, 1, 2)
    runs: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    cluster_seeds: tuple[int, ...] = (0, 1, 2)
    train_steps: int = 0
    folder: str = "bench/sorting"

    def __post_init__(self) -> None:
        unknown = [name for name in self.methods if name not in METHODS]
        require(not unknown, f"method {', '.join(unknown)}: not known; choose from {', '.join(METHODS)}")
        require(all(n >= 100 for n in self.frames), f"frames = {min(self.frames)}: need at least 100")
        fits = len(self.frames) in (1, len(self.recipes))
        require(
            fits, f"frames: {len(self.frames)} numbers for {len(self.recipes)} recipes; give one, or one per recipe"
        )
        require(bool(self.runs or (self.seeds and self.recipes)), "no runs: give recipes and seeds, or runs")
        require(bool(self.cluster_seeds), "give at least one cluster seed")
        require(self.train_steps >= 0, f"--train-steps {self.train_steps}: must not be negative")


def bench_sorting(config: SortingBenchConfig) -> dict[str, Any]:
    """Run every method on every run; returns {"config", "default", "rows", "table", "paired"}, JSON-ready.

    rows: one per run and method, the figures of `evaluate` (mean over the seeds of UMAP; bright_ari_umap_sd: their spread), what
    a method's own classifier reaches with 20 labels per class, and what it took: seconds (training, embedding and clustering
    together). table: mean and standard deviation over the runs of a recipe, per method. paired: the default less each other
    method, run by run. A result that is there already for the same vectors and parameters is not computed again. Raises
    InputError for a run without truth.
    """
    folder = Path(config.folder)
    folder.mkdir(parents=True, exist_ok=True)
    methods = config.methods or tuple(METHODS)
    parts = {part for name in methods for part in METHODS[name].embedding.split("+") if part}
    models = sorted(parts - set(BASELINES))
    rows = []
    for recipe, source in _sources(config, folder):
        work = WorkFolder.open(source) if source.is_dir() else prepared(source, folder, models, config.train_steps)
        rows += [{"recipe": recipe, "run": source.name, "method": name, **_row(work, name, config)} for name in methods]
    default = default_method()
    return {
        "config": asdict(config),
        "default": default,
        "rows": rows,
        "table": summarise(rows, methods),
        "paired": paired(rows, default) if default in methods else [],
    }


def _sources(config: SortingBenchConfig, folder: Path) -> list[tuple[str, Path]]:
    """Recipe ("" for a person's own runs) and file or work folder of every run."""
    if config.runs:
        return [("", Path(run)) for run in config.runs]
    frames = config.frames * len(config.recipes) if len(config.frames) == 1 else config.frames
    return [
        (recipe, simulated_run(recipe, n, seed, folder))
        for recipe, n in zip(config.recipes, frames)
        for seed in config.seeds
    ]


def _row(work: WorkFolder, name: str, config: SortingBenchConfig) -> dict[str, Any]:
    """Figures of one method on one run: mean over the seeds of UMAP, and its own classifier's."""
    from sorter.cluster.fit import ClusterConfig

    method, folder = METHODS[name], Path(config.folder)
    row: dict[str, Any] = {}
    if method.embedding:
        settings = replace(ClusterConfig(), embedding=method.embedding, **dict(method.overrides))
        seeds = config.cluster_seeds if settings.umap_dims else config.cluster_seeds[:1]
        found = [_figures(work, replace(settings, seed=seed), folder) for seed in seeds]
        row |= mean_of(found)
        bright = [each["bright_ari"] for each in found if each["bright_ari"] is not None]
        row["bright_ari_umap_sd"] = float(np.std(bright, ddof=1)) if len(bright) > 1 else None
        row |= cost_of(work, work.read_hits(), method.embedding, folder)
        row["seconds"] = row["cluster_seconds"] + row["train_seconds"]
    if method.classifier:
        row |= _labelled_figures(work, method.classifier, folder)
        row.setdefault("seconds", row.get("classifier_seconds"))
    return row


def _figures(work: WorkFolder, settings: Any, folder: Path) -> dict[str, Any]:
    """Cluster and evaluate once, or read what an earlier call found for the same vectors and parameters.

    What few labels are worth depends on the vectors alone, so it is worked out once for all clusterings of them.
    """
    import time

    from sorter.cluster.evaluation import evaluate_clusters, evaluate_few_labels
    from sorter.cluster.fit import find_clusters
    from sorter.stages.cluster import inputs_digest
    from sorter.stages.evaluate import stored_truth

    embedding, hits = vectors_of_hits(work, settings.embedding, folder)
    digest = inputs_digest(embedding, hits)
    key = {"config": config_to_dict(settings), "sha256": digest}
    truth = stored_truth(work.frames())

    def cluster_figures() -> dict[str, Any]:
        log.info("bench: %s on %s, seed %d", settings.embedding, work.path.name, settings.seed)
        started = time.perf_counter()
        clustering = find_clusters(embedding, hits.photons[hits.is_hit], settings)
        seconds = time.perf_counter() - started
        return evaluate_clusters(truth, hits, clustering) | {"cluster_seconds": seconds}

    stem = folder / f"{work.path.stem}__{settings.embedding}__"
    found = kept(Path(f"{stem}{short_hash(key)}.json"), cluster_figures)
    few = kept(Path(f"{stem}few__{digest[:16]}.json"), lambda: evaluate_few_labels(truth, hits, embedding))
    return found | few


def _labelled_figures(work: WorkFolder, name: str, folder: Path) -> dict[str, Any]:
    """What a sorter that learns from labels reaches on the true hits that were found."""
    from sorter.stages.evaluate import stored_truth

    hits, truth = work.read_hits(), stored_truth(work.frames())
    used = truth.is_hit & np.isin(truth.frame_id, hits.hit_ids)
    key = {"classifier": name, "shots": SHOTS, "draws": LABELLED[name][1], "frames": truth.frame_id[used].tolist()}

    def make() -> dict[str, Any]:
        log.info("bench: %s on %s", name, work.path.name)
        return labelled_accuracy(name, work.frames().select(truth.frame_id[used]), truth.classes[used], SHOTS) or {}

    return kept(folder / f"{work.path.stem}__{name}__{short_hash(key)}.json", make)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    from apps.cli.output import add_json

    default = SortingBenchConfig()
    lists = {
        "recipes": (str, "simulated recipes"),
        "frames": (int, "frames per run, one number or one per recipe"),
        "seeds": (int, "seeds of the runs"),
        "cluster_seeds": (int, "seeds of UMAP"),
        "runs": (str, "labelled files or work folders instead of simulated runs"),
        "methods": (str, f"of: {', '.join(METHODS)}"),
    }
    for name, (kind, text) in lists.items():
        values = list(getattr(default, name))
        shown = f"{text} (default: {' '.join(map(str, values))})" if values else text
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, nargs="+", default=values, help=shown)
    parser.add_argument(
        "--train-steps",
        type=int,
        default=0,
        help="weight updates of each training on a run (default: as `train` has it)",
    )
    parser.add_argument(
        "--folder", default=default.folder, help=f"where runs and results are kept (default: {default.folder})"
    )
    parser.add_argument("--figure", metavar="FILE", help="draw the figure of the table as PNG")
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    from apps.cli.output import print_result

    names = ("recipes", "frames", "seeds", "methods", "cluster_seeds")
    several = {n: tuple(getattr(args, n)) for n in names}
    one = {"folder": args.folder, "train_steps": args.train_steps}
    result = bench_sorting(SortingBenchConfig(runs=given_runs(args.runs), **one, **several))
    if args.figure:
        from apps.bench.sorting_figure import draw

        draw(result, Path(args.figure))
    print_result(result, args.json, table_text)
    return 0
