"""``shotsort explore``: look at a work folder in the browser and label it."""

from __future__ import annotations

import argparse

HELP = "Look at a sorted work folder in the browser, and give labels to clusters and selections of frames."
EXAMPLE = """  shotsort explore run/
  shotsort explore run/ --port 0 --no-browser      # any free port; open the address that is printed yourself
  shotsort explore run/ --address 0.0.0.0 --origin beamline.example --token WORD   # for others, who need the token
  shotsort explore run/ --read-only                 # look, and change nothing
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
    parser.add_argument("--token", metavar="WORD", help="what a browser must know; 'random' makes one and prints it")
    parser.add_argument("--read-only", action="store_true", help="look at everything, change nothing")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")


def main(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    import secrets

    from apps.explorer.server import explore
    from sorter.core.errors import InputError

    token = secrets.token_urlsafe(9) if args.token == "random" else args.token
    if token is not None and len(token) < 6:
        raise InputError("--token: give six characters or more, or 'random'")
    explore(args.work, args.port, args.address, args.origin, not args.no_browser, token, args.read_only)
    return 0
