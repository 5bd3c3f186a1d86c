"""``shotsort explore``: look at a work folder in the browser and label it."""

from __future__ import annotations

import argparse

HELP = "Look at a sorted work folder in the browser, and give labels to clusters and selections of frames."
EXAMPLE = """  shotsort explore run/
  shotsort explore run/ --port 0 --no-browser      # any free port; open the address that is printed yourself
  ssh -L 5006:localhost:5006 beamline               # on your laptop, for an explorer that runs at the beamline
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    parser.add_argument("work", metavar="WORK", help="work folder")
    parser.add_argument("--port", type=int, default=5006, help="port to listen on; 0 takes a free one (default: 5006)")
    parser.add_argument(
        "--address", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine only)"
    )
    parser.add_argument(
        "--origin", action="append", default=[], metavar="HOST[:PORT]",
        help="a further name under which browsers reach this server; may be repeated",
    )  # fmt: skip
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")


def main(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    from apps.explorer.server import explore

    explore(args.work, args.port, args.address, args.origin, browser=not args.no_browser)
    return 0
