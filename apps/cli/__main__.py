"""``shotsort``: find the subcommand, run it, turn a user's error into one line and exit code 2."""

from __future__ import annotations

import argparse
import errno
import importlib
import logging
import os
import signal
import sys
from collections.abc import Sequence

from sorter.core.errors import ShotsortError
from sorter.core.manifest import package_version

#: Subcommands in the order a person meets them, with the line that ``shotsort --help`` shows. Their modules are imported
#: only when they are called, so the command starts at once.
COMMANDS = {
    "sort": "the main job: ingest, find hits, embed, cluster, lay out, report",
    "info": "what is in a file: datasets, shapes, geometry, mask, anything odd",
    "ingest": "read recorded frames into a work folder and find the hits",
    "train": "train a FactorVAE or a contrastive encoder on the hits",
    "embed": "one vector per hit, from a trained model",
    "cluster": "group the hits into pattern classes and lay them out in 2-D",
    "watch": "sort frames while they are recorded",
    "report": "write the static report of a work folder",
    "explore": "look at a work folder in the browser and label it",
    "label": "give labels to clusters or frames, undo, list",
    "latents": "what a FactorVAE's latents follow, and the strangest frames",
    "propose": "from a few labels to proposals for all hits, and what to label next",
    "subset": "store a named choice of frames",
    "export": "hand chosen frames to reconstruction",
    "table": "one row per frame as CSV",
    "evaluate": "compare a sorted run with its truth",
    "recon": "reconstruct from sorted frames: recon STAGE VERB",
    "sim": "simulate a run",
    "pretrain": "train the encoder that needs no training on the run, on simulated pairs",
    "bench": "the tables of the README",
}

EPILOG = """example:
  shotsort sim clusters --frames 6000 --seed 1 --to run.h5
  shotsort sort run.h5 -w run/
  shotsort explore run/
  shotsort label run/ --cluster 3 icosahedron
  shotsort export run/ --label icosahedron --to picks.cxi
"""


def build_parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """The parser; only the subcommand that ``argv`` names is imported."""
    wide = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "shotsort",
        description="Sort single-shot diffraction frames without labels.",
        epilog=EPILOG,
        formatter_class=wide,
    )
    parser.add_argument(
        "--version", action="version", version=f"shotsort {package_version('shotsort') or '(not installed)'}"
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    called = next((word for word in argv if word in COMMANDS), None)
    for name, summary in COMMANDS.items():
        if name != called:
            subparsers.add_parser(name, help=summary)
            continue
        module = importlib.import_module(f"apps.cli.{name}")
        sub = subparsers.add_parser(
            name,
            help=summary,
            description=module.HELP,
            epilog=f"example:\n{module.EXAMPLE.rstrip()}",
            formatter_class=wide,
        )
        sub.add_argument("-v", "--verbose", action="store_true", help="say more on standard error")
        sub.add_argument("-q", "--quiet", action="store_true", help="say only warnings and errors")
        module.add_arguments(sub)
        sub.set_defaults(run=module.main)
    return parser


def _set_up_logging(args: argparse.Namespace) -> None:
    level = logging.DEBUG if args.verbose else logging.WARNING if args.quiet else logging.INFO
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    for package in ("sorter", "sim", "recon", "apps"):
        logging.getLogger(package).setLevel(level)


def _terminated(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``shotsort argv``; returns the exit code: 0 done, 2 the user's error, 130 interrupted."""
    argv = sys.argv[1:] if argv is None else list(argv)
    args = build_parser(argv).parse_args(argv)
    _set_up_logging(args)
    signal.signal(signal.SIGTERM, _terminated)
    try:
        return int(args.run(args) or 0)
    except ShotsortError as error:
        sys.stderr.write(f"shotsort {args.command}: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write(f"\nshotsort {args.command}: interrupted; the same command goes on from here\n")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise
        where = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(
            f"shotsort {args.command}: {where}{os.strerror(error.errno)}; free space or choose another folder\n"
        )
        return 2


if __name__ == "__main__":
    sys.exit(main())
