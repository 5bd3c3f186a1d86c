"""shotsort recon STAGE VERB: reconstruction, one stage per question."""

from __future__ import annotations

import argparse
import importlib

#: stage -> module with HELP and add_verbs(subparsers); each verb sets ``run_verb``.
STAGES = {
    "phase": "apps.cli.recon_phase",
    "speckle": "apps.cli.recon_speckle",
    "shape": "apps.cli.recon_shape",
}

HELP = "Reconstruct from sorted frames: recon STAGE VERB."
EXAMPLE = """  shotsort recon phase predict scan54/ --refine
  shotsort recon speckle predict run/ --label speckle
  shotsort recon speckle evaluate
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    stages = parser.add_subparsers(dest="stage", metavar="STAGE", required=True)
    for name, module_name in STAGES.items():
        module = importlib.import_module(module_name)
        stage = stages.add_parser(
            name, help=module.HELP, description=module.HELP, epilog=f"example:\n{module.EXAMPLE.rstrip()}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        module.add_verbs(stage.add_subparsers(dest="verb", metavar="VERB", required=True))


def main(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    return args.run_verb(args)
