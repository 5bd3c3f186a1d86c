"""``shotsort bench``: the tables of the README, each a module of apps.bench."""

from __future__ import annotations

import argparse
import importlib

HELP = "The tables of the README: sorting, far fields, scale and others, each by one command."
EXAMPLE = """  shotsort bench farfield
  shotsort bench sorting --json
"""
#: Benches and the line that ``shotsort bench --help`` shows; each is apps/bench/NAME.py, imported when it is called.
BENCHES = {
    "sorting": "sorters against each other on labelled runs",
    "labelling": "label quality per click, calibration of proposals, classes that nobody named",
    "pretraining": "the pre-trained encoder on runs and kinds it has not seen",
    "limit": "how well anyone could name the hits of the yardstick, beside the pre-trained encoder",
    "choice": "how HDBSCAN's sizes may be chosen without truth: rules against each other",
    "farfield": "far fields against Mie theory, closed forms and pyMSFT: error and time",
    "phasing": "iterative phasing against bare transforms and cohere-core: rates and errors",
    "explorer": "the explorer in a browser: start, zoom, lasso, label, undo, memory",
    "scale": "seconds, frames a second and peak memory of each stage as a run grows",
    "watch": "sorting while recording: rate, latency, and twice the rate that can be kept up with",
    "simulation": "simulated frames a second, stage by stage, and crystals a minute",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One sub-parser per bench."""
    choices = parser.add_subparsers(dest="bench", metavar="BENCH", required=True)
    for name, summary in BENCHES.items():
        bench = importlib.import_module(f"apps.bench.{name}")
        raw = argparse.RawDescriptionHelpFormatter
        sub = choices.add_parser(
            name, help=summary, description=bench.HELP, epilog=f"example:\n{bench.EXAMPLE}", formatter_class=raw
        )
        bench.add_arguments(sub)
        sub.set_defaults(bench_main=bench.main)


def main(args: argparse.Namespace) -> int:
    """Run the bench that was named."""
    return args.bench_main(args)
