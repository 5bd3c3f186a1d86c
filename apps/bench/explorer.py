"""The explorer under a real browser, by number of frames, beside plain Bokeh scatters of the same points."""

from __future__ import annotations

import argparse
import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sorter.core.config import require

log = logging.getLogger(__name__)

HELP = "The explorer in headless Chromium, beside a plain scatter: start, zoom, lasso, label, undo; memory of server and page."
EXAMPLE = """  shotsort bench explorer
  shotsort bench explorer --frames 1000000 --repeats 3 --json
"""
#: What is timed, in the order of the table, with its heading.
STEPS = {
    "start_s": "start", "whole_s": "all points", "zoom_s": "zoom", "lasso_s": "lasso 10 %", "label_s": "label", "undo_s": "undo",
    "server_mb": "server MB", "page_mb": "page MB",
}  # fmt: skip


@dataclass(frozen=True)
class ExplorerBenchConfig:
    """frames: numbers of frames; repeats: of zoom, lasso, label and undo, of which the median counts; rival: whether plain
    scatters, by WebGL and on the canvas, are timed too; timeout_s: how long one answer is waited for, after which the program
    is ended."""

    frames: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    repeats: int = 3
    rival: bool = True
    timeout_s: float = 120.0

    def __post_init__(self) -> None:
        require(bool(self.frames) and min(self.frames) >= 1000, f"--frames {self.frames}: give 1000 or more")
        require(self.repeats >= 1, f"--repeats {self.repeats}: must be at least 1")
        require(self.timeout_s > 0, f"--timeout {self.timeout_s}: must be more than 0")


def bench_explorer(config: ExplorerBenchConfig) -> dict[str, Any]:
    """One row per number of frames and program, JSON-ready. A step that took longer than ``timeout_s`` is named in the row's
    "overdue"; it is null, as are the steps after it and those that the program does not have.

    The work folders are made for it: drawn embedding, layout and clusters for each frame, pictures that repeat
    (`apps.bench.explorer_data`). Raises InputError without playwright or a Chromium.
    """
    from apps.bench.chromium import browsers
    from apps.bench.explorer_data import make_big_work_folder
    from apps.bench.explorer_drive import Explored, PlainCanvas, PlainWebGL

    rows = []
    with browsers() as launch, tempfile.TemporaryDirectory(prefix="shotsort-bench-") as folder:
        for n in config.frames:
            log.info("%d frames: making the work folder", n)
            work = make_big_work_folder(Path(folder) / str(n), n)
            for kind in (Explored, PlainWebGL, PlainCanvas) if config.rival else (Explored,):
                log.info("%d frames: %s", n, kind.name)
                with kind(launch, work, config.timeout_s) as program:
                    found = program.measured(config.repeats)
                nothing = dict.fromkeys(("drawn_by", "overdue", *STEPS))
                rows.append({"program": kind.name, "frames": n, **nothing, **found})
                log.info("%s", rows[-1])
    return {"rows": rows, "repeats": config.repeats, "timeout_s": config.timeout_s}


def table(result: dict[str, Any]) -> str:
    """The rows as Markdown."""
    head = ["program", "frames", *STEPS.values()]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in result["rows"]:
        late = {row["overdue"]: f"> {result['timeout_s']:.0f}"}
        cells = [row["program"], f"{row['frames']:,}", *(late.get(key) or _cell(row[key]) for key in STEPS)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}" if value >= 100 else f"{value:.2f}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the bench."""
    from apps.cli.output import add_json

    default = ExplorerBenchConfig()
    parser.add_argument("--frames", type=int, nargs="+", default=list(default.frames), metavar="N")
    parser.add_argument("--repeats", type=int, default=default.repeats, metavar="N")
    parser.add_argument("--no-rival", action="store_true", help="leave the plain scatters out")
    parser.add_argument(
        "--timeout", type=float, default=default.timeout_s, metavar="S", help="longest wait for an answer"
    )
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Run the bench."""
    from apps.cli.output import print_result

    config = ExplorerBenchConfig(tuple(args.frames), args.repeats, not args.no_rival, args.timeout)
    result = bench_explorer(config)
    print_result(result, args.json, table)
    return 0
