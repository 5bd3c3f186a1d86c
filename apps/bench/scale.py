"""What a run costs as it grows: seconds, frames a second and peak memory of each stage, beside the bare limits."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from apps.bench.scale_measures import (
    measure_assignment,
    measure_fits,
    measure_limits,
    measure_reading,
    measure_run_sampling,
    measure_sampling,
)
from sorter.core.config import require
from sorter.core.errors import ShotsortError

log = logging.getLogger(__name__)

HELP = "What a run costs as it grows: every stage as a process of its own, beside raw reading and the bare network."
EXAMPLE = """  shotsort bench scale --frames 10000 100000
  shotsort bench scale --frames 10000 100000 1000000 --plot scale.png --json
"""

#: Stages in order: the command of each, WORK and RUN standing for the work folder and the simulated run.
STAGES = {
    "ingest, hits": ("ingest", "RUN", "-w", "WORK", "--hits", "all"),
    "embed": ("embed", "WORK", "--model", "MODEL"),
    "cluster, lay out": ("cluster", "WORK"),
    "table": ("table", "WORK", "--to", "FOLDER/frames.csv"),
    "evaluate": ("evaluate", "WORK", "--json"),
    "report": ("report", "WORK"),
}
#: What embeds without being trained on the run.
MODELS = ("pretrained", "features")
#: Those that are asked for in 20 minutes at a million frames, the model given.
SORTING = ("embed", "cluster, lay out")


@dataclass(frozen=True)
class ScaleBenchConfig:
    """frames: sizes of the runs; model: what embeds them, one of those that need no training on the run; seed of the runs;
    folder: where runs and results are kept, so that a call goes on where the last one stopped; assignment: whether fits, the
    assignment of points, and what a sample costs in agreement, are measured too."""

    frames: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    model: str = MODELS[0]
    seed: int = 0
    folder: str = "bench/scale"
    assignment: bool = True

    def __post_init__(self) -> None:
        require(bool(self.frames) and min(self.frames) >= 1000, f"frames {self.frames}: give numbers of at least 1000")
        require(self.model in MODELS, f"--model {self.model}: choose one of {', '.join(MODELS)}")


def bench_scale(config: ScaleBenchConfig) -> dict[str, Any]:
    """Run every stage on every size; returns {"config", "rows", "sorted_in_all", "limits", "fits", "assignment",
    "sampling", "run_sampling"}, JSON-ready.

    rows: frames, stage, seconds, cpu_seconds, frames_per_s, peak_mb, and share_of_limit: of the rate of raw reading, of an
    embedding of the smaller one of that and of the bare network. Every frame of the runs holds a particle and is taken as a
    hit, so that each one is embedded, clustered and laid out. limits: frames/s of raw reading and of the bare network.
    """
    folder = Path(config.folder)
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    works = {n: folder / f"run-{n}-{config.seed}.work" for n in sorted(config.frames)}
    for n, work in works.items():
        run = work.with_suffix(".zarr")
        _simulated(run, n, config.seed)
        rows += [_measured(stage, n, config.model, run, work, folder) for stage in STAGES]
    limits = _limits(works, config.model, folder)  # at last: they make this process large
    for row in rows:
        row["share_of_limit"] = _share(row, limits)
    result: dict[str, Any] = {
        "config": asdict(config), "rows": rows, "sorted_in_all": sorted_in_all(rows), "limits": limits
    }  # fmt: skip
    largest = works[max(works)]
    measures: dict[str, Callable[[], Any]] = {
        "fits": measure_fits,
        "assignment": measure_assignment,
        "sampling": measure_sampling,
        "run_sampling": partial(measure_run_sampling, largest),
    }
    for name, measure in measures.items():
        kept = folder / (f"{largest.stem}-sampling.json" if name == "run_sampling" else f"{name}.json")
        result[name] = _kept(kept, measure) if config.assignment else None
    return result


def _limits(works: dict[int, Path], model: str, folder: Path) -> dict[str, float]:
    """Frames/s of raw reading of each run, and of the bare network on the smallest."""
    found = {}
    for n, work in works.items():
        found[f"read_frames_per_s_{n}"] = _kept(folder / f"{work.stem}-read.json", partial(measure_reading, work))
    if model == "pretrained":
        found |= _kept(folder / "limits.json", partial(measure_limits, works[min(works)]))
    return found


def _share(row: dict[str, Any], limits: dict[str, float]) -> float:
    """Of the bare limit that a stage is held against; stages that do not go through all frames have one above 1."""
    limit = limits[f"read_frames_per_s_{row['frames']}"]
    if row["stage"] == "embed":
        limit = min(limit, limits.get("network_frames_per_s", limit))
    return round(row["frames_per_s"] / limit, 3)


def _simulated(run: Path, n: int, seed: int) -> None:
    if not run.exists():
        options = ("--set", "blank_fraction=0", "--vary", str(min(512, n)), "--seed", str(seed))
        _run(("sim", "clusters", "--frames", str(n), *options, "--to", str(run)), n)


def _measured(stage: str, n: int, model: str, run: Path, work: Path, folder: Path) -> dict[str, Any]:
    """Run a stage as a process of its own, or read what an earlier call measured."""
    names = {"RUN": str(run), "WORK": str(work), "MODEL": model, "FOLDER/frames.csv": str(folder / "frames.csv")}
    argv = [names.get(word, word) for word in STAGES[stage]]
    name = f"{work.stem}-{model}-{stage.replace(', ', '-').replace(' ', '-')}.json"
    return _kept(folder / name, lambda: {"frames": n, "stage": stage, **_run(argv, n)})


def _kept(path: Path, measure: Callable[[], Any]) -> Any:
    from sorter.io.whole import write_text_whole

    if path.exists():
        return json.loads(path.read_text())
    found = measure()
    write_text_whole(path, json.dumps(found) + "\n")
    return found


def _run(argv: Sequence[str], n: int) -> dict[str, Any]:
    """Run a command in a process of its own; this one stays small, as its size would count as the other's peak."""
    log.info("bench: shotsort %s", " ".join(argv))
    started = time.perf_counter()
    command = [sys.executable, "-m", "apps.cli", *argv, "-q"]
    actions = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawn(sys.executable, command, os.environ, file_actions=actions)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - started
    if os.waitstatus_to_exitcode(status):
        raise ShotsortError(f"shotsort {' '.join(argv)}: ended with {os.waitstatus_to_exitcode(status)}")
    return {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "frames_per_s": round(n / seconds, 1),
        "peak_mb": round(usage.ru_maxrss / 1024, 1),
    }


def table_text(result: dict[str, Any]) -> str:
    """The table for people."""
    lines = [
        f"{'frames':>9s}  {'stage':18s} {'seconds':>9s} {'CPU s':>9s} {'frames/s':>10s} {'peak MB':>8s} {'of limit':>8s}"
    ]
    for row in result["rows"]:
        lines.append(
            f"{row['frames']:9d}  {row['stage']:18s} {row['seconds']:9.1f} {row['cpu_seconds']:9.1f}"
            f" {row['frames_per_s']:10.0f} {row['peak_mb']:8.0f} {row['share_of_limit']:8.2f}"
        )
    for n, row in sorted_in_all(result["rows"]).items():
        lines.append(
            f"{n:9d}  {'sorted in all':18s} {row['seconds']:9.1f} {row['cpu_seconds']:9.1f}"
            f"   {row['us_per_frame']:.0f} us ({row['cpu_us_per_frame']:.0f} us CPU) per frame"
        )
    lines += [f"limits: {key} {value}" for key, value in result["limits"].items()]
    for what in ("fits", "assignment", "sampling", "run_sampling"):
        found = result[what] or []
        for entry in found if isinstance(found, list) else [found]:
            lines.append(f"{what}: " + ", ".join(f"{key} {value}" for key, value in entry.items()))
    return "\n".join(lines)


def sorted_in_all(rows: list[dict[str, Any]]) -> dict[int, dict[str, float]]:
    """What the stages of SORTING cost together, by number of frames."""
    out = {}
    for n in sorted({row["frames"] for row in rows}):
        mine = [row for row in rows if row["frames"] == n and row["stage"] in SORTING]
        seconds, cpu = (sum(row[name] for row in mine) for name in ("seconds", "cpu_seconds"))
        out[n] = {
            "seconds": round(seconds, 2), "cpu_seconds": round(cpu, 2),
            "us_per_frame": round(1e6 * seconds / n, 1), "cpu_us_per_frame": round(1e6 * cpu / n, 1),
        }  # fmt: skip
    return out


def plot(result: dict[str, Any], path: Path) -> None:
    """CPU time per frame, and peak memory, of each stage over the number of frames."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (cost, memory) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for stage in STAGES:
        rows = [row for row in result["rows"] if row["stage"] == stage]
        n = [row["frames"] for row in rows]
        cost.loglog(n, [1e3 * row["cpu_seconds"] / row["frames"] for row in rows], "o-", label=stage)
        memory.loglog(n, [row["peak_mb"] / 1024 for row in rows], "o-")
    cost.set(xlabel="frames", ylabel="CPU time per frame [ms]")
    memory.set(xlabel="frames", ylabel="peak memory [GiB]")
    memory.axhline(3, color="0.6", lw=1, ls="--")
    cost.legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    from apps.cli.output import add_json

    default = ScaleBenchConfig()
    parser.add_argument(
        "--frames",
        type=int,
        nargs="+",
        default=list(default.frames),
        help="sizes of the runs (default: 10^4 10^5 10^6)",
    )
    parser.add_argument("--model", choices=MODELS, default=default.model, help="what embeds (default: pretrained)")
    parser.add_argument("--seed", type=int, default=default.seed, help="seed of the runs (default: 0)")
    parser.add_argument(
        "--folder", default=default.folder, help=f"where runs and results are kept (default: {default.folder})"
    )
    parser.add_argument("--no-assignment", action="store_true", help="leave fits, assignment and sampling out")
    parser.add_argument("--plot", metavar="PNG", help="write a plot")
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    from apps.cli.output import print_result

    config = ScaleBenchConfig(tuple(args.frames), args.model, args.seed, args.folder, not args.no_assignment)
    result = bench_scale(config)
    if args.plot:
        plot(result, Path(args.plot))
    print_result(result, args.json, table_text)
    return 0
