"""shotsort train WORK: train a network on the hits."""

from __future__ import annotations

import argparse

HELP = "Train a contrastive encoder or a FactorVAE on the hits of a work folder; a stopped training goes on."
EXAMPLE = """  shotsort train run/
  shotsort train run/ --model factorvae --latents 16
  shotsort train run/ --keep orientation+size --minutes 10
  shotsort train run/ --devices 4 --precision bf16 --balance photons
"""

_OPTIONS = {
    "model": "contrastive or factorvae",
    "steps": "weight updates (default: the model's own)",
    "minutes": "stop after so many minutes (default: when the steps are done)",
    "batch": "frames per weight update",
    "learning_rate": "learning rate (default: the model's own)",
    "keep": "differences that count: orientation, size or orientation+size (default: shape alone)",
    "n_latents": "latents of the FactorVAE",
    "gamma": "weight of the FactorVAE's total correlation",
    "discriminator_layers": "hidden layers of its discriminator",
    "discriminator_width": "width of each of them; 6 x 1000 is the published size",
    "temperature": "temperature of the contrastive loss",
    "memory_mb": "memory for cached polar pictures; larger runs are read in blocks",
    "device": "auto, cpu or cuda",
    "devices": "processes that share each batch, one per GPU; contrastive only",
    "nodes": "nodes that they run on, started by torchrun or srun",
    "precision": "32 or bf16 (mixed)",
    "compile": "put the network through torch.compile",
    "balance": "draw evenly over photons (octaves of brightness) or the clusters of a clustering (default: each hit alike)",
    "bright_span": "learn from hits at most so many times dimmer than the 90th percentile; contrastive only; 0: from all",
    "seed": "seed of weights, order, views and noise",
}
_SHORT = {"n_latents": "latents"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    from dataclasses import fields

    from apps.cli.output import add_json
    from sorter.train.config import TrainConfig

    parser.add_argument("work", help="work folder")
    for field in fields(TrainConfig):
        if field.name in _OPTIONS:
            text = _OPTIONS[field.name]
            text = text if "(default" in text else f"{text} (default: {field.default})"
            flag = _SHORT.get(field.name, field.name).replace("_", "-")
            if isinstance(field.default, bool):
                parser.add_argument(f"--{flag}", dest=field.name, action="store_true", help=_OPTIONS[field.name])
                continue
            parser.add_argument(
                f"--{flag}", dest=field.name, type=type(field.default), default=field.default, help=text
            )
    parser.add_argument("--force", action="store_true", help="train again even where nothing changed")
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    from apps.cli.output import print_json, print_text
    from sorter.stages.train import TrainConfig, train
    from sorter.train.parallel import is_first

    model = train(args.work, TrainConfig(**{name: getattr(args, name) for name in _OPTIONS}), args.force)
    if not is_first():
        return 0
    record = None if model is None else model.card.training
    if args.json:
        print_json({"model": args.model, "trained": record})
    elif record is None:
        print_text(f"{args.model}: not trained, too few hits")
    else:
        print_text(f"{args.model}: {record['steps']} steps on {record['frames']} hits in {record['seconds']:.0f} s")
    return 0
