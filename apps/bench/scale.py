"""What a run costs as it grows: seconds, frames a second and peak memory of each stage, beside the bare limits."""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from apps.bench.scale_measures import measure_assignment, measure_limits, measure_sampling
from sorter.core.config import require
from sorter.core.errors import InputError, ShotsortError

log = logging.getLogger(__name__)

HELP = "What a run costs as it grows: every stage as a process of its own, beside raw reading and the bare network."
EXAMPLE = """  shotsort bench scale --frames 10000 100000
  shotsort bench scale --frames 10000 100000 1000000 --model run/ --plot scale.png --json
"""

#: Stages in order: the command of each, WORK and RUN standing for the work folder and the simulated run.
STAGES = {
    "ingest, hits": ("ingest", "RUN", "-w", "WORK", "--hits", "all"),
    "embed contrastive": ("embed", "WORK", "--model", "contrastive"),
    "embed features": ("embed", "WORK", "--model", "features"),
    "cluster, lay out": ("cluster", "WORK"),
    "table": ("table", "WORK", "--to", "FOLDER/frames.csv"),
    "evaluate": ("evaluate", "WORK", "--json"),
    "report": ("report", "WORK"),
}
#: Those that are asked for in 20 minutes at a million frames, the model given.
SORTING = ("embed contrastive", "embed features", "cluster, lay out")


@dataclass(frozen=True)
class ScaleBenchConfig:
    """frames: sizes of the runs; model: work folder whose contrastive model is taken, None trains one on the smallest run for
    ``steps`` updates (the cost does not depend on how well it is trained); seed of the runs; folder: where runs and results are
    kept, so that a call goes on where the last one stopped; assignment: whether the assignment of points, and what a sample
    costs in agreement, are measured too."""

    frames: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    model: str | None = None
    steps: int = 100
    seed: int = 0
    folder: str = "bench/scale"
    assignment: bool = True

    def __post_init__(self) -> None:
        require(bool(self.frames) and min(self.frames) >= 1000, f"frames {self.frames}: give numbers of at least 1000")


def bench_scale(config: ScaleBenchConfig) -> dict[str, Any]:
    """Run every stage on every size; returns {"config", "rows", "limits", "assignment", "sampling"}, JSON-ready.

    rows: frames, stage, seconds, cpu_seconds, frames_per_s, peak_mb. Every frame of the runs holds a particle and is taken as a
    hit, so that each one is embedded, clustered and laid out. limits: frames/s of raw reading and of the bare network.
    """
    folder = Path(config.folder)
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for n in sorted(config.frames):
        run, work = folder / f"run-{n}-{config.seed}.zarr", folder / f"run-{n}-{config.seed}.work"
        _simulated(run, n, config.seed)
        for stage in STAGES:
            if stage == "embed contrastive":
                _give_model(work, config)
            rows.append(_measured(stage, n, run, work, folder))
    smallest = folder / f"run-{min(config.frames)}-{config.seed}.work"
    limits = _kept(folder / "limits.json", lambda: measure_limits(smallest))
    result: dict[str, Any] = {"config": asdict(config), "rows": rows, "limits": limits}
    result["assignment"] = _kept(folder / "assignment.json", measure_assignment) if config.assignment else None
    result["sampling"] = _kept(folder / "sampling.json", measure_sampling) if config.assignment else None
    return result


def _simulated(run: Path, n: int, seed: int) -> None:
    if not run.exists():
        options = ("--set", "blank_fraction=0", "--vary", str(min(512, n)), "--seed", str(seed))
        _run(("sim", "clusters", "--frames", str(n), *options, "--to", str(run)), n)


def _give_model(work: Path, config: ScaleBenchConfig) -> None:
    """The contrastive model of ``config.model`` or of an earlier, smaller run; trained where there is none."""
    from sorter.io.workfolder import WorkFolder

    target = WorkFolder.open(work)
    if "contrastive" in target.model_names():
        return
    given = sorted(Path(config.folder).glob("*.work")) if config.model is None else [Path(config.model)]
    for other in map(WorkFolder.open, given):
        if "contrastive" in other.model_names():
            shutil.copytree(other.model_path("contrastive"), target.model_path("contrastive"))
            return
    require(config.model is None, f"--model {config.model}: holds no contrastive model")
    _run(("train", str(work), "--model", "contrastive", "--steps", str(config.steps)), config.steps)


def _measured(stage: str, n: int, run: Path, work: Path, folder: Path) -> dict[str, Any]:
    """Run a stage as a process of its own, or read what an earlier call measured."""
    names = {"RUN": str(run), "WORK": str(work), "FOLDER/frames.csv": str(folder / "frames.csv")}
    argv = [names.get(word, word) for word in STAGES[stage]]
    return _kept(
        folder / f"{work.stem}-{stage.replace(', ', '-').replace(' ', '-')}.json",
        lambda: {"frames": n, "stage": stage, **_run(argv, n)},
    )


def _kept(path: Path, measure: Any) -> dict[str, Any]:
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
    lines = [f"{'frames':>9s}  {'stage':18s} {'seconds':>9s} {'CPU s':>9s} {'frames/s':>10s} {'peak MB':>8s}"]
    for row in result["rows"]:
        lines.append(
            f"{row['frames']:9d}  {row['stage']:18s} {row['seconds']:9.1f} {row['cpu_seconds']:9.1f}"
            f" {row['frames_per_s']:10.0f} {row['peak_mb']:8.0f}"
        )
    for n in sorted({row["frames"] for row in result["rows"]}):
        mine = [row for row in result["rows"] if row["frames"] == n and row["stage"] in SORTING]
        lines.append(
            f"{n:9d}  {'sorted in all':18s} {sum(r['seconds'] for r in mine):9.1f}"
            f" {sum(r['cpu_seconds'] for r in mine):9.1f}"
        )
    for what in ("limits", "assignment", "sampling"):
        lines += [f"{what}: {key} {value}" for key, value in (result[what] or {}).items()]
    return "\n".join(lines)


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
    parser.add_argument("--model", metavar="WORK", help="work folder whose contrastive model is taken")
    parser.add_argument("--steps", type=int, default=default.steps, help="training steps where no model is given")
    parser.add_argument("--seed", type=int, default=default.seed, help="seed of the runs (default: 0)")
    parser.add_argument(
        "--folder", default=default.folder, help=f"where runs and results are kept (default: {default.folder})"
    )
    parser.add_argument("--no-assignment", action="store_true", help="leave assignment and sampling out")
    parser.add_argument("--plot", metavar="PNG", help="write a plot")
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    from apps.cli.output import print_json, print_text

    if args.model is not None and not Path(args.model).is_dir():
        raise InputError(f"--model {args.model}: no such work folder")
    config = ScaleBenchConfig(
        tuple(args.frames), args.model, args.steps, args.seed, args.folder, not args.no_assignment
    )
    result = bench_scale(config)
    if args.plot:
        plot(result, Path(args.plot))
    if args.json:
        print_json(result)
    else:
        print_text(table_text(result))
    return 0
