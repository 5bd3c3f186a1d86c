"""How well could the hits be named at all? The likelihood of simulated patterns, beside the pre-trained encoder."""

from __future__ import annotations

import argparse
import logging
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.bench.labelled_runs import kept, prepared, short_hash, simulated_run, vectors_of_hits
from sorter.core.config import require
from sorter.core.seeds import child_rng
from sorter.io.workfolder import WorkFolder

log = logging.getLogger(__name__)

HELP = """How well anyone could name the hits of the yardstick: each hit against thousands of simulated patterns of its kinds, in
every turn and mirrored, by the likelihood of its counts; beside the pre-trained encoder, by photons."""
EXAMPLE = """  shotsort bench limit
  shotsort bench limit --frames 4000 --patterns 12288 --figure limit.png --json
"""
#: Photons at which one band ends and the next begins.
BANDS = (0, 300, 1_000, 3_000, 10_000, np.inf)


@dataclass(frozen=True)
class LimitBenchConfig:
    """frames, seed: of the run. patterns: simulated ones, of all kinds of the recipe. hits: how many are named, drawn at random.
    folder: where run and patterns are kept, so that a call goes on where the last one stopped."""

    frames: int = 2000
    seed: int = 0
    patterns: int = 12288
    hits: int = 1000
    folder: str = "bench/limit"

    def __post_init__(self) -> None:
        require(self.frames >= 200, f"--frames {self.frames}: need at least 200")
        require(self.patterns >= 256 and self.hits >= 1, "--patterns must be at least 256, --hits at least 1")


def bench_limit(config: LimitBenchConfig) -> dict[str, Any]:
    """Returns {"config", "patterns", "bands", "balanced_accuracy"}, JSON-ready.

    bands: photons from .. to, hits, the share named rightly by the likelihood (``likelihood``) and by the 15 nearest of a random
    half of all hits in the encoder's embedding (``encoder``). The likelihood knows the recipe, its detector and its background;
    with ever more patterns it would be the best that anyone can do. Where photons are many, two patterns are seldom alike enough
    and their number is what limits it: a lower bound.
    """
    from sorter.stages.cluster import inputs_digest

    folder = Path(config.folder)
    folder.mkdir(parents=True, exist_ok=True)
    work = prepared(simulated_run("clusters", config.frames, config.seed, folder), folder, ["pretrained"])
    key = [asdict(config) | {"folder": ""}, inputs_digest(*vectors_of_hits(work, "pretrained", folder))]
    return kept(folder / f"limit__{short_hash(key)}.json", lambda: _measure(work, config))


def _measure(work: WorkFolder, config: LimitBenchConfig) -> dict[str, Any]:
    from apps.bench.pattern_likelihood import PatternLikelihood, simulated_patterns
    from sorter.cluster.agreement import balanced_accuracy

    ids, classes, photons = known_hits(work)
    chosen = child_rng(config.seed, "limit").permutation(len(ids))[: config.hits]
    patterns = simulated_patterns(Path(config.folder) / "fields", config.patterns, config.seed, np.unique(classes))
    model = PatternLikelihood.of_run(work, *patterns)
    found = {
        "likelihood": model.name(work.frames().read(ids[chosen])),
        "encoder": by_neighbours(work, ids, classes, config)[chosen],
    }
    truth, light = classes[chosen], photons[chosen]
    bands = []
    for low, high in pairwise(BANDS):
        inside = (light >= low) & (light < high)
        right = {
            name: float((named == truth)[inside].mean()) if inside.any() else None for name, named in found.items()
        }
        bands.append({"from": low, "to": None if high == np.inf else high, "hits": int(inside.sum()), **right})
    return {
        "config": asdict(config),
        "patterns": len(model.rate),
        "bands": bands,
        "balanced_accuracy": {name: balanced_accuracy(truth, named) for name, named in found.items()},
    }


def known_hits(work: WorkFolder) -> tuple[NDArray[np.uint64], NDArray[np.str_], NDArray[np.float64]]:
    """Ids, true classes and photons of the true hits that were found."""
    from sorter.stages.evaluate import stored_truth

    truth = stored_truth(work.frames())
    found = truth.is_hit & np.isin(truth.frame_id, work.read_hits().hit_ids)
    return truth.frame_id[found], truth.classes[found], truth.photons[found]


def by_neighbours(
    work: WorkFolder, ids: NDArray[np.uint64], classes: NDArray[np.str_], config: LimitBenchConfig
) -> NDArray[np.str_]:
    """Class of each hit by the 15 nearest of that half of the hits to which it does not belong, in the encoder's embedding."""
    from sklearn.neighbors import KNeighborsClassifier

    from sorter.core.identity import rows_of

    embedding, _ = vectors_of_hits(work, "pretrained", Path(config.folder))
    vectors = embedding.vectors[rows_of(embedding.frame_id, ids)]
    half = child_rng(config.seed, "halves").random(len(ids)) < 0.5
    named = np.empty_like(classes)
    for known in (half, ~half):
        named[~known] = (
            KNeighborsClassifier(15, weights="distance").fit(vectors[known], classes[known]).predict(vectors[~known])
        )
    return named


def table_text(result: dict[str, Any]) -> str:
    """The table for people."""
    lines = [f"{result['patterns']} patterns", f"{'photons':>16s} {'hits':>6s} {'likelihood':>11s} {'encoder':>8s}"]
    for band in result["bands"]:
        span = f"{band['from']:,} .. {band['to'] or 'more':,}" if band["to"] else f"from {band['from']:,}"
        shares = [f"{band[name]:.2f}" if band[name] is not None else "-" for name in ("likelihood", "encoder")]
        lines.append(f"{span:>16s} {band['hits']:6d} {shares[0]:>11s} {shares[1]:>8s}")
    both = result["balanced_accuracy"]
    lines.append(f"{'balanced, all':>16s} {'':6s} {both['likelihood']:11.2f} {both['encoder']:8.2f}")
    return "\n".join(lines)


def draw(result: dict[str, Any], path: Path) -> None:
    """Write a PNG: share named rightly over photons, by the likelihood and by the encoder."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from sorter.io.whole import whole_file

    sheet = Figure(figsize=(5.2, 3.6), layout="constrained")
    FigureCanvasAgg(sheet)
    axes = sheet.subplots()
    bands = [band for band in result["bands"] if band["hits"]]
    middle = [np.sqrt(max(band["from"], 100) * (band["to"] or 1e6)) for band in bands]
    for name, label in (
        ("likelihood", f"likelihood of {result['patterns']:,} simulated patterns"),
        ("encoder", "pre-trained encoder, 15 neighbours"),
    ):
        axes.semilogx(middle, [band[name] for band in bands], "o-", label=label)
    axes.set(xlabel="photons of the hit", ylabel="share named rightly", ylim=(0, 1), title="what the light allows")
    axes.grid(lw=0.4)
    axes.legend(fontsize=8, loc="lower right")
    with whole_file(path) as partial:
        sheet.savefig(partial, format="png", dpi=110)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the bench."""
    from apps.cli.output import add_json

    default = LimitBenchConfig()
    for name, text in (
        ("frames", "frames of the run"), ("seed", "seed of the run"), ("patterns", "simulated patterns"),
        ("hits", "hits that are named"),
    ):  # fmt: skip
        value = getattr(default, name)
        parser.add_argument(f"--{name}", type=int, default=value, help=f"{text} (default: {value})")
    parser.add_argument(
        "--folder", default=default.folder, help=f"where run and patterns are kept (default: {default.folder})"
    )
    parser.add_argument("--figure", metavar="FILE", help="draw the table as PNG")
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Run the bench."""
    from apps.cli.output import print_result

    result = bench_limit(LimitBenchConfig(args.frames, args.seed, args.patterns, args.hits, args.folder))
    if args.figure:
        draw(result, Path(args.figure))
    print_result(result, args.json, table_text)
    return 0
