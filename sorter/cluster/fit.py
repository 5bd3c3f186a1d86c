"""From an embedding to a clustering and a layout."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sorter.cluster.assign import Assigned, assign_by_neighbours, medoids
from sorter.cluster.assigner import Assigner
from sorter.cluster.config import BRIGHT_SPANS, ClusterConfig
from sorter.cluster.density import by_size
from sorter.cluster.groups import SMALLEST_CLUSTER, SOFT, Groups, cluster_sizes, drawn, find_groups, renumbered
from sorter.cluster.identity import keep_numbers, lost
from sorter.cluster.reduce import Placement, Projection, principal_components, umap
from sorter.core.clustering import NOISE, Clustering, Memberships
from sorter.core.config import config_to_dict
from sorter.core.embedding import Embedding, Layout
from sorter.core.hits import within_span
from sorter.core.identity import rows_of
from sorter.core.seeds import child_rng, child_seed

__all__ = [
    "SMALLEST_CLUSTER",
    "ClusterConfig",
    "bright_rows",
    "cluster_points",
    "cluster_sizes",
    "find_clusters",
    "fit",
    "lay_out",
    "rows_to_fit",
]

#: Brightest hits are clustered first where the 90th percentile of photons is this many times the 10th.
WIDE_BRIGHTNESS = 10.0
#: Hits of each cluster that a layout of a sample is fitted to, where the cluster has them, however rare it is.
_LAID_OUT = 200


def fit(embedding: Embedding, photons: NDArray[np.float64], config: ClusterConfig) -> tuple[Clustering, Layout]:
    """Clusters and layout of the frames of ``embedding``; ``photons`` (N,) say which are bright.

    The result does not depend on the order of rows and is the same for the same input and seed.
    """
    ids, points, photons = _in_order(embedding, photons, config)
    clustering, _, _ = cluster_points(embedding.name, ids, points, photons, config)
    return clustering, lay_out(embedding.name, ids, points, clustering.labels, config)


def find_clusters(embedding: Embedding, photons: NDArray[np.float64], config: ClusterConfig) -> Clustering:
    """The clustering of `fit` without its layout."""
    return cluster_points(embedding.name, *_in_order(embedding, photons, config), config)[0]


def _in_order(
    embedding: Embedding, photons: NDArray, config: ClusterConfig
) -> tuple[NDArray[np.uint64], NDArray[np.float32], NDArray[np.float64]]:
    """Ids in ascending order, and points and photons of the same frames."""
    order = np.argsort(embedding.frame_id)
    vectors = embedding.vectors[order]
    points = Projection.of([vectors], config.pca_dims)([vectors])
    return embedding.frame_id[order], points, np.asarray(photons, np.float64)[order]


def cluster_points(
    name: str,
    ids: NDArray[np.uint64],
    points: NDArray,
    photons: NDArray[np.float64],
    config: ClusterConfig,
    before: Clustering | None = None,
) -> tuple[Clustering, Memberships, Assigner]:
    """The clustering of ``points`` (N, d) of `Projection`, rows in ascending order of ``ids``, how much they belong to each
    cluster, and what assigns further ones.

    name: of the embedding; photons (N,); before: an earlier clustering of frames of the run, from which clusters that are still
    there keep their numbers; what changed is in the meta, ``changes`` and ``gone`` (numbers that none continues).
    """
    groups = find_groups(points, rows_to_fit(photons, name, config.bright_share), config)
    old_numbers = by_size(groups.labels)[1]
    changes = None
    if before is not None:
        old_numbers, changes = keep_numbers(before, ids, groups.labels, old_numbers)
    numbers = np.argsort(old_numbers).astype(np.int32)
    groups = renumbered(groups, numbers)
    labels, strength, fitted = groups.labels, groups.strength, groups.fitted
    known = np.arange(len(ids)) if groups.facts["n_drawn"] is None else fitted
    assigned = assign_by_neighbours(points, labels, config.assign_neighbors, among=known)
    meta = {
        "embedding": name,
        "config": config_to_dict(config),
        "n_hits": len(ids),
        "n_clustered_first": len(fitted),  # the others are dimmer, or lie alone, or were not drawn
        "photons_clustered_first": float(photons[fitted].min()) if len(fitted) else None,
        "sizes": np.bincount(labels[labels >= 0], minlength=len(old_numbers)).tolist(),
        "persistence": _persistence(groups, numbers),
        "noise_share": round(float((labels < 0).mean()), 4) if len(ids) else None,
        "noise_share_clustered_first": round(float((groups.result.labels < 0).mean()), 4) if len(fitted) else None,
        "changes": changes,
        "gone": None if before is None else lost(before, changes or []),
        **groups.facts,
    }
    stand_for = ids[medoids(points, labels, strength)]
    clustering = Clustering(
        config.name, ids, labels, strength, assigned, stand_for, _tree_of_rows(groups, len(ids)), meta
    )
    return clustering, Memberships.of(clustering, groups.soft_labels, groups.soft_shares), groups.assigner


def _tree_of_rows(groups: Groups, n: int) -> NDArray:
    """The condensed tree with rows (of ``n`` hits) as its leaves instead of places among those fitted, nodes after them."""
    tree, fitted = groups.result.tree.copy(), groups.fitted
    leaf = tree["child"] < len(fitted)
    tree["child"][leaf] = fitted[tree["child"][leaf]]
    tree["child"][~leaf] += n - len(fitted)
    tree["parent"] += n - len(fitted)
    return tree


def _persistence(groups: Groups, numbers: NDArray[np.int32]) -> list[float | None]:
    """Stability of each cluster in [0, 1]; None for a rare one, which another fit found."""
    of = dict(zip(numbers.tolist(), groups.result.persistence.tolist()))
    return [round(of[c], 4) if c in of else None for c in range(len(numbers))]


def rows_to_fit(photons: NDArray, embedding: str, share: float | None) -> NDArray[np.int64]:
    """Rows, ascending, of the hits in which clusters are sought: `bright_rows` of ``share``; where that is None, those bright
    enough for the embedding (`BRIGHT_SPANS`), or all."""
    if share is not None or embedding not in BRIGHT_SPANS:
        return bright_rows(photons, 1.0 if share is None else share)
    return np.flatnonzero(within_span(photons, BRIGHT_SPANS[embedding]))


def bright_rows(photons: NDArray, share: float) -> NDArray[np.int64]:
    """Rows, ascending, of the hits in which clusters are sought: all, or the brightest ``share`` where brightness is wide."""
    n = len(photons)
    if n == 0 or share == 1:
        return np.arange(n)
    low, high = np.percentile(photons, [10, 90])
    if high <= WIDE_BRIGHTNESS * max(low, 0):
        return np.arange(n)
    kept = np.lexsort((np.arange(n), -photons))[: int(np.ceil(share * n))]
    return np.sort(kept)


def lay_out(
    name: str,
    ids: NDArray[np.uint64],
    points: NDArray,
    labels: NDArray[np.int32],
    config: ClusterConfig,
    before: Layout | None = None,
) -> Layout:
    """2-D UMAP of ``points`` (N, d); principal components where there are too few of them or all are alike.

    Of more than ``config.max_fit`` a sample is laid out, with some of every cluster of ``labels`` however rare, and the others
    placed by it (`Placement`). before: a layout whose places are started from.
    """
    meta = {"config": config_to_dict(config)}
    if len(points) < 10 or (points == points[0]).all():
        xy = np.zeros((len(points), 2), np.float32)
        if len(points):
            flat = principal_components(points, 2)[:, :2]
            xy[:, : flat.shape[1]] = flat
        return Layout(name, ids, xy, {"method": "pca", **meta})
    rows = _laid_out_rows(labels, config)
    start = None if before is None else _start(before, ids[rows], points[rows])
    seed = child_seed(config.seed, "cluster", "layout")
    xy = umap(points[rows], 2, config.layout_neighbors, config.layout_min_dist, seed, start)
    if len(rows) < len(points):
        placed, _ = Placement(np.asarray(points[rows], np.float64), xy)(points)
        placed[rows] = xy
        xy, meta["n_fitted"] = placed, len(rows)
        meta["rest"] = "mean place of the three nearest fitted frames, weighted by inverse distance"
    return Layout(name, ids, xy, {"method": "umap", "started_from_earlier": start is not None, **meta})


def _laid_out_rows(labels: NDArray[np.int32], config: ClusterConfig) -> NDArray[np.int64]:
    """All rows, or a sample of them in which every cluster has its share and at least _LAID_OUT where it has so many."""
    rng, every = child_rng(config.seed, "cluster", "layout sample"), np.arange(len(labels))
    if len(labels) <= config.max_fit:
        return every
    some = [drawn(np.flatnonzero(labels == c), _LAID_OUT, rng) for c in range(int(labels.max(initial=NOISE)) + 1)]
    return np.union1d(drawn(every, config.max_fit, rng), np.concatenate([every[:0], *some]))


def _start(before: Layout, ids: NDArray[np.uint64], points: NDArray) -> NDArray[np.float32] | None:
    """Places to start a layout from: the earlier ones, and for new frames those of their neighbours; None with too few."""
    rows = rows_of(before.frame_id, ids)
    known = rows >= 0
    if known.sum() < max(10, 0.05 * len(ids)):
        return None
    start = np.empty((len(ids), 2), np.float32)
    start[known] = before.xy[rows[known]]
    if not known.all():
        start[~known], _ = Placement(np.asarray(points[known], np.float64), start[known])(points[~known])
    return start


def empty_result(
    ids: NDArray[np.uint64], config: ClusterConfig, warning: str
) -> tuple[Clustering, Memberships, Layout]:
    """What is stored where there is nothing to cluster: every hit is noise."""
    n = len(ids)
    noise = np.full(n, NOISE, np.int32)
    name = "none" if config.embedding == "auto" else config.embedding
    share = 1.0 if n else None
    meta = {"embedding": None, "config": config_to_dict(config), "n_hits": n, "sizes": [], "warning": warning}
    meta |= {"noise_share": share, "changes": None, "gone": None}
    clustering = Clustering(
        config.name, ids, noise, np.zeros(n, np.float32), noise.copy(), np.empty(0, np.uint64), meta=meta
    )
    memberships = Memberships.of(clustering, *Assigned.nowhere(n, SOFT).soft)
    return clustering, memberships, Layout(name, ids, np.zeros((n, 2), np.float32), {"method": "none"})
