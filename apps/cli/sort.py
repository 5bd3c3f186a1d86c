"""The main job in one command."""

from __future__ import annotations

import argparse

HELP = "ingest, find hits, embed, cluster, lay out, report; a call that was interrupted goes on where it stopped"
EXAMPLE = """\
  shotsort sort run42.h5 -w run42/
  shotsort sort r0042_part*.cxi -w run42/ --center 511.5,498 --keep size
  shotsort sort scan.h5 -w scan/ --hits all --keep orientation
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    from apps.cli.ingest import add_ingest_arguments
    from apps.cli.output import add_json
    from apps.cli.workers import add_workers

    add_ingest_arguments(parser)
    group = parser.add_argument_group("how it is sorted")
    group.add_argument(
        "--keep",
        default="",
        metavar="WHAT",
        help="differences that count: orientation, size, orientation+size (default: shape alone)",
    )
    group.add_argument(
        "--embedding",
        "--model",
        metavar="NAME",
        help="what is clustered: pretrained (needs no training on the run), contrastive, factorvae, features, pca, several joined"
        " by '+'",
    )
    group.add_argument(
        "--steps", type=int, default=0, help="weight updates of each training (default: the model's own)"
    )
    group.add_argument("--min-cluster-size", type=int, metavar="N", help="smallest group that counts")
    group.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    group.add_argument("--seed", type=int, default=0, help="seed of everything random (default: 0)")
    add_workers(parser)
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Run the command."""
    from apps.cli.ingest import configs
    from apps.cli.output import print_json, print_text
    from apps.cli.workers import workers_of
    from apps.sort import SortConfig, sort
    from sorter.cluster.fit import ClusterConfig
    from sorter.io.workfolder import WorkFolder
    from sorter.stages.workers import open_pool

    ingest_config, hits_config = configs(args)
    settings = {} if args.embedding is None else {"embedding": args.embedding}
    clusters = ClusterConfig(min_cluster_size=args.min_cluster_size)
    config = SortConfig(
        ingest_config,
        hits_config,
        clusters,
        keep=args.keep,
        steps=args.steps,
        device=args.device,
        seed=args.seed,
        **settings,
    )
    with open_pool(workers_of(args)) as pool:
        path = sort(args.files, args.work, config, pool)
    work = WorkFolder.open(args.work)
    hits, clustering = work.read_hits(), work.read_clustering(clusters.name)
    noise = clustering.meta["noise_share"]
    summary = {
        "frames": len(hits.frame_id),
        "hits": int(hits.is_hit.sum()),
        "clusters": clustering.n_clusters,
        "noise_share": noise,
        "report": str(path),
    }
    if args.json:
        print_json(summary)
        return 0
    share = "" if noise is None else f", {100 * noise:.0f} % of the hits in none of them"
    print_text(f"{summary['frames']} frames, {summary['hits']} hits, {clustering.n_clusters} clusters{share}")
    sought = clustering.meta.get("n_clustered_first") or 0
    if clustering.n_clusters and sought < 0.9 * len(clustering.labels):
        print_text(
            f"clusters were sought among the {sought} brightest hits; assigned_cluster says where the others belong"
        )
    print_text(f"report:   {path}\nexplorer: shotsort explore {args.work}")
    return 0
