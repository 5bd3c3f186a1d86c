"""shotsort table WORK: one row per frame."""

from __future__ import annotations

import argparse

HELP = """One row per frame as CSV: frame_id, source_file, source_index, photons, hit, cluster, strength,
assigned_cluster, label, x, y; with --soft the clusters that each hit belongs to most, and how much."""
EXAMPLE = """  shotsort table run/ --to frames.csv
  shotsort table run/ | head
  shotsort table run/ --soft --to frames.csv
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument("work", help="work folder")
    parser.add_argument("--to", metavar="CSV", help="file to write (default: standard output)")
    parser.add_argument("--clustering", default="density", help="name of the clustering (default: density)")
    parser.add_argument("--layout", help="layout that x and y come from (default: that of the clustered embedding)")
    parser.add_argument(
        "--soft", action="store_true", help="add cluster_1, membership_1, ... : the clusters that a hit belongs to most"
    )


def main(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    import logging

    from sorter.stages.table import table

    rows = table(args.work, args.to, args.clustering, args.layout, args.soft)
    if args.to:
        logging.getLogger("apps.cli.table").info("%s: %d frames", args.to, rows)
    return 0
