"""The options that choose frames, shared by label, subset and export."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sorter.stages.subset import SubsetConfig


def add_choice(parser: argparse.ArgumentParser, with_label: bool = True) -> None:
    """--label, --cluster, --frames (a file) and --subset."""
    if with_label:
        parser.add_argument("--label", help="the frames that carry this label")
        parser.add_argument("--frames", metavar="FILE", help="the frames listed in it: one id per line, or a CSV")
    parser.add_argument("--cluster", type=int, metavar="N", help="the members of this cluster (-1: noise)")
    parser.add_argument("--subset", help="the frames of this stored subset")
    parser.add_argument("--clustering", default="density", help="clustering that --cluster means (default: density)")


def choice_of(args: argparse.Namespace) -> SubsetConfig:
    """The choice that the options make. Raises InputError unless it is exactly one."""
    from sorter.stages.subset import SubsetConfig

    return SubsetConfig(args.label, args.cluster, args.frames, args.subset, args.clustering)
