"""shotsort cluster WORK: group the hits into pattern classes and lay them out."""

from __future__ import annotations

import argparse
from typing import Any

HELP = "Group the hits of a work folder into pattern classes (HDBSCAN) and lay them out in 2-D (UMAP)."
EXAMPLE = """  shotsort cluster run/
  shotsort cluster run/ --embedding contrastive+features --min-cluster-size 40
"""

_OPTIONS = {
    "embedding": "embedding to cluster, several joined by '+' (default: the best that is there)",
    "name": "name of the clustering",
    "pca_dims": "principal components kept first; 0: all dimensions as they are",
    "umap_dims": "dimensions of the UMAP step; 0: none",
    "umap_neighbors": "neighbours of the UMAP step",
    "min_cluster_size": "smallest group that counts (default: the most stable about the root of the number of hits)",
    "min_samples": "neighbours that make a point dense; more gives more noise",
    "selection": "eom (few large clusters) or leaf (many small ones)",
    "largest_share": "clusters of more than this share of the hits are cut into their parts; 1: never",
    "bright_share": "share of the hits, brightest first, in which clusters are sought (default: what suits the embedding)",
    "max_fit": "most hits that are fitted; of more, that many are drawn and the others assigned by them",
    "seed": "seed of UMAP",
}
#: Types of the options whose default is None.
_TYPES = {"min_cluster_size": int, "bright_share": float}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    from dataclasses import fields

    from apps.cli.output import add_json
    from sorter.cluster.fit import ClusterConfig

    parser.add_argument("work", help="work folder")
    for field in fields(ClusterConfig):
        if field.name in _OPTIONS:
            kind = _TYPES.get(field.name, type(field.default))
            text = _OPTIONS[field.name]
            text = text if "(default" in text else f"{text} (default: {field.default})"
            parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=field.default, help=text)
    parser.add_argument("--force", action="store_true", help="cluster again even where nothing changed")
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    from apps.cli.output import print_json, print_text
    from sorter.stages.cluster import ClusterConfig, cluster

    config = ClusterConfig(**{name: getattr(args, name) for name in _OPTIONS})
    clustering = cluster(args.work, config, args.force)
    noise = clustering.meta.get("noise_share")
    if args.json:
        print_json({"clustering": clustering.name, "n_clusters": clustering.n_clusters, **clustering.meta})
    else:
        print_text(f"{clustering.n_clusters} clusters of {len(clustering.labels)} hits, noise {_percent(noise)}")
        changes = clustering.meta["changes"] or [{}] * clustering.n_clusters
        for number, (size, change) in enumerate(zip(clustering.meta["sizes"], changes)):
            print_text(f"  cluster {number}: {size} hits{_changed(change)}")
        for number in clustering.meta["gone"] or ():
            print_text(f"  cluster {number} of the fit before: gone")
    return 0


def _changed(change: dict[str, Any]) -> str:
    """What became of a cluster since the last fit; nothing where it is the same, or was no fit before."""
    match change.get("change"):
        case "new":
            return ", new"
        case "changed":
            return f", changed: {_percent(change['overlap'])} in common with cluster {change['was']} before"
    return ""


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
