"""shotsort latents WORK: what the latents of a FactorVAE follow, and the frames that it cannot make."""

from __future__ import annotations

import argparse

HELP = "Tell which latent of a FactorVAE follows size, brightness, ellipticity, orientation, and list the strangest frames."
EXAMPLE = """  shotsort train run/ --model factorvae
  shotsort embed run/ --model factorvae
  shotsort latents run/ --strangest 20
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    from apps.cli.output import add_json

    parser.add_argument("work", help="work folder")
    parser.add_argument("--model", default="factorvae", help="a trained FactorVAE (default: factorvae)")
    parser.add_argument("--strangest", type=int, default=10, metavar="N", help="frames to list (default: 10)")
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    import numpy as np

    from apps.cli.output import print_json, print_text
    from sorter.core.config import require
    from sorter.io.workfolder import WorkFolder
    from sorter.stages.latents import latents, strangeness

    require(args.strangest >= 0, f"--strangest {args.strangest}: must not be negative")
    work = WorkFolder.open(args.work)
    found = latents(work, args.model)
    ids, score = strangeness(work, args.model)
    top = np.argsort(-score, kind="stable")[: args.strangest]
    strangest = [{"frame_id": int(ids[i]), "strangeness": float(score[i])} for i in top]
    if args.json:
        print_json({**found.to_dict(), "strangest": strangest})
        return 0
    lines = [f"{'factor':24s} latent  information   gap"]
    for factor in found.factors:
        latent, information = found.best(factor)
        lines.append(f"{factor:24s} {latent:6d} {information:12.2f} {found.gap[factor]:5.2f}")
    lines += ["strangest frames (error against hits of like brightness):"]
    lines += [f"  frame {entry['frame_id']}  {entry['strangeness']:.1f}" for entry in strangest]
    print_text("\n".join(lines))
    return 0
