"""shotsort embed WORK: one vector per hit."""

from __future__ import annotations

import argparse

HELP = (
    "Embed the hits of a work folder with the pre-trained encoder, a model trained on them, or by hand-made features."
)
EXAMPLE = """  shotsort embed run/
  shotsort embed run/ --model pretrained --weights mine.safetensors
  shotsort embed run/ --model contrastive+factorvae+features
  shotsort embed run/ --workers 8
  shotsort embed run/ --bench --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    from apps.cli.output import add_json
    from apps.cli.workers import add_workers

    parser.add_argument("work", help="work folder")
    parser.add_argument(
        "--model",
        default="pretrained",
        help="pretrained, contrastive, factorvae, features or pca; several joined by '+' are stored one by one"
        " (default: pretrained)",
    )
    parser.add_argument(
        "--weights", default="", metavar="FILE", help="another pre-trained encoder, written by 'shotsort pretrain'"
    )
    parser.add_argument("--batch", type=int, default=512, help="frames at a time (default: 512)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parser.add_argument("--force", action="store_true", help="embed again even where nothing changed")
    parser.add_argument(
        "--bench",
        action="store_true",
        help="store nothing; compare the rate with the bare network's on a tensor in memory",
    )
    add_workers(parser)
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    from apps.cli.output import print_json, print_text
    from apps.cli.workers import workers_of
    from sorter.stages.embed import EmbedConfig, bench_embedding, embed
    from sorter.stages.workers import open_pool

    config = EmbedConfig(model=args.model, weights=args.weights, batch=args.batch, device=args.device)
    if args.bench:
        figures = bench_embedding(args.work, config)
        if args.json:
            print_json(figures)
        else:
            for name, value in figures.items():
                print_text(f"{name}: {value}")
        return 0
    with open_pool(workers_of(args)) as pool:
        embedding = embed(args.work, config, args.force, pool)
    n, dims = embedding.vectors.shape
    if args.json:
        print_json({"embedding": embedding.name, "n_frames": n, "n_dims": dims})
    else:
        print_text(f"{embedding.name}: {n} hits, {dims} dimensions")
    return 0
