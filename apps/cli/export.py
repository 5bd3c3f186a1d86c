"""shotsort export WORK: hand chosen frames to reconstruction."""

from __future__ import annotations

import argparse

HELP = "Write chosen frames at the recorded resolution, with mask, geometry and provenance."
EXAMPLE = """  shotsort export run/ --label icosahedron --to picks.cxi
  shotsort export run/ --cluster 3 --to cluster3.npy --binned
  shotsort export run/ --frames ids.txt --to picks.txt
  shotsort export run/ --label icosahedron --to picks.emc            # photons for Dragonfly
  shotsort export run/ --label icosahedron --to picks.blacklist.txt  # for Dragonfly with the whole run
  shotsort export run/ --subset picks --to picks.parquet
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    from apps.cli.choice import add_choice
    from apps.cli.output import add_json

    parser.add_argument("work", help="work folder")
    add_choice(parser)
    parser.add_argument(
        "--to",
        metavar="FILE",
        help="file to write; frames: .cxi, .h5, .npy, .zarr, .emc or .emc.h5 (Dragonfly); lists:"
        " .txt, .index.npy, .blacklist.txt; tables: .csv, .parquet (default: NAME.cxi)",
    )
    parser.add_argument("--binned", action="store_true", help="the frames as the work folder holds them")
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    from apps.cli.choice import choice_of
    from apps.cli.output import print_json, print_text
    from sorter.stages.export import ExportConfig, export
    from sorter.stages.subset import choose_frames

    chosen = choose_frames(args.work, choice_of(args))
    path = export(args.work, chosen, ExportConfig(args.to, args.binned))
    if args.json:
        print_json({"path": str(path), "n_frames": len(chosen.frame_id), "rule": chosen.rule, "sha256": chosen.sha256})
    else:
        print_text(f"{path}: {len(chosen.frame_id)} frames ({chosen.rule})")
    return 0
