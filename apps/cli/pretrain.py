"""shotsort pretrain: train the encoder that sorts without training on the run."""

from __future__ import annotations

import argparse

HELP = """Pre-train an encoder on simulated pairs: the same kind of particle in another orientation and size, behind another
detector, in another shot. What is shipped was made by this command; use it to leave kinds out, or to train longer."""
EXAMPLE = """  shotsort pretrain --to mine.safetensors
  shotsort pretrain --to without.safetensors --without cube rod dimer
  shotsort embed run/ --model pretrained --weights mine.safetensors
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    from apps.cli.output import add_json
    from apps.pretrain.config import FieldsConfig
    from sorter.train.config import PairConfig

    fields, pairs = FieldsConfig(), PairConfig()
    parser.add_argument("--to", required=True, metavar="FILE", help=".safetensors file to write, with a card beside it")
    parser.add_argument(
        "--fields", type=int, default=fields.fields, help=f"simulated far fields (default: {fields.fields})"
    )
    parser.add_argument("--steps", type=int, default=pairs.steps, help=f"weight updates (default: {pairs.steps})")
    parser.add_argument(
        "--minutes",
        type=float,
        default=pairs.minutes,
        help="stop after so many minutes (default: when the steps are done)",
    )
    parser.add_argument("--batch", type=int, default=pairs.batch, help=f"shots per update (default: {pairs.batch})")
    parser.add_argument(
        "--without", nargs="+", default=[], metavar="KIND", help="kinds that are left out of everything"
    )
    parser.add_argument(
        "--seed", type=int, default=pairs.seed, help="seed of weights, order, shots and detectors (default: 0)"
    )
    parser.add_argument(
        "--folder", default="pretrain", help="where far fields and checkpoints are kept (default: pretrain)"
    )
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    from apps.cli.output import print_json, print_text
    from apps.pretrain.config import FieldsConfig
    from apps.pretrain.run import PretrainConfig, pretrain_encoder
    from sorter.train.config import PairConfig

    pairs = PairConfig(steps=args.steps, minutes=args.minutes, batch=args.batch, seed=args.seed)
    config = PretrainConfig(args.to, args.folder, FieldsConfig(args.fields), pairs, without=tuple(args.without))
    _, meta = pretrain_encoder(config)
    if args.json:
        print_json(
            {"to": args.to, **{name: meta[name] for name in ("steps", "patterns", "seconds", "parameters", "without")}}
        )
    else:
        print_text(f"{args.to}: {meta['steps']} steps on {meta['patterns']} patterns in {meta['seconds']:.0f} s")
    return 0
