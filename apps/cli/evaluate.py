"""shotsort evaluate WORK: figures of a sorted run against its truth."""

from __future__ import annotations

import argparse

HELP = "Compare a sorted run with its truth: hits, clusters, and what a few labels are worth."
EXAMPLE = """  shotsort evaluate run/
  shotsort evaluate run/ --truth truth.csv --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    from apps.cli.output import add_json

    parser.add_argument("work", help="work folder")
    parser.add_argument(
        "--truth", metavar="CSV", help="columns source_index,class,hit,photons (source_file for several files)"
    )
    parser.add_argument("--clustering", default="density", help="name of the clustering (default: density)")
    parser.add_argument("--embedding", help="embedding for the few-label figures (default: the one that was clustered)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draws of labelled frames (default: 0)")
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    from apps.cli.output import print_json, print_text
    from sorter.stages.evaluate import EvaluateConfig, evaluate

    config = EvaluateConfig(args.truth, args.clustering, args.embedding, args.seed)
    figures = evaluate(args.work, config)
    if args.json:
        print_json(figures)
    else:
        print_text("\n".join(f"{name:42s} {_text(value)}" for name, value in figures.items()))
    return 0


def _text(value: object) -> str:
    if isinstance(value, dict):
        return "   ".join(f"{key}: {_text(v)}" for key, v in value.items())
    if isinstance(value, float):
        return f"{value:.3f}"
    return "-" if value is None else str(value)
