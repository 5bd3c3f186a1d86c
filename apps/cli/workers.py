"""The options that say who works: shared by the commands whose stages share out their frames."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sorter.stages.workers import WorkersConfig


def add_workers(parser: argparse.ArgumentParser) -> None:
    """--workers, --scheduler and --slurm."""
    group = parser.add_argument_group("who works (docs/online.md)")
    group.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes that frames are shared out to (default: 1)"
    )
    group.add_argument(
        "--scheduler", metavar="ADDRESS", help="a running Dask scheduler, tcp://HOST:PORT, whose workers are used"
    )
    group.add_argument(
        "--slurm", action="store_true", help="let SLURM start the N workers, as dask-jobqueue is configured"
    )


def workers_of(args: argparse.Namespace) -> WorkersConfig:
    """What the options say. Raises InputError."""
    from sorter.stages.workers import WorkersConfig

    return WorkersConfig(args.workers, args.scheduler, args.slurm)
