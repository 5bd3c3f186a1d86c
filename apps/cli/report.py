"""Write the static report of a work folder."""

from __future__ import annotations

import argparse

from apps.cli.output import add_json, print_json, print_text

HELP = "write the static report of a work folder: one HTML file that needs no server"
EXAMPLE = """\
shotsort report run42/
shotsort report run42/ --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("work", metavar="WORK", help="work folder, after any of the stages")
    parser.add_argument("--force", action="store_true", help="write it anew even where nothing has changed")
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    from apps.report import report

    path = report(args.work, force=args.force)
    if args.json:
        print_json({"report": str(path), "size_bytes": path.stat().st_size})
    else:
        print_text(str(path))
    return 0
