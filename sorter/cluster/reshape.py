"""A person's hand in a clustering: clusters merged, split, or cut elsewhere along the tree. Each gives a new clustering that
says how it came to be (meta["steps"]); the old one stays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.cluster.density import by_size
from sorter.core.clustering import NOISE, TREE_DTYPE, Clustering
from sorter.core.errors import InputError


def merged(clustering: Clustering, clusters: Sequence[int], name: str) -> Clustering:
    """The clustering with ``clusters`` as one, renumbered by size. Raises InputError for fewer than two, or an unknown one."""
    chosen = sorted(set(clusters))
    if len(chosen) < 2:
        raise InputError("merge: choose two clusters or more")
    for cluster in chosen:
        if not 0 <= cluster < clustering.n_clusters:
            raise InputError(f"merge: cluster {cluster} is not in clustering '{clustering.name}'")
    table = np.arange(clustering.n_clusters)
    table[chosen] = chosen[0]
    labels, assigned = (_through(table, column) for column in (clustering.labels, clustering.assigned))
    return renumbered(clustering, labels, assigned, clustering.strength, name, {"step": "merge", "clusters": chosen})


def regrouped(
    clustering: Clustering, frame_id: NDArray[np.uint64], groups: NDArray[np.integer], strength: NDArray[np.floating],
    name: str, step: dict[str, Any],
) -> Clustering:  # fmt: skip
    """The clustering in which the frames ``frame_id`` (n,) form the new clusters ``groups`` (n,; -1: noise) and nothing else.

    strength: (n,) in [0, 1] of their membership. Frames that the clustering does not hold are left out.
    """
    order = np.argsort(clustering.frame_id, kind="stable")
    place = np.minimum(np.searchsorted(clustering.frame_id, frame_id, sorter=order), max(len(order) - 1, 0))
    rows = order[place]
    there = clustering.frame_id[rows] == frame_id
    rows, groups = rows[there], np.asarray(groups)[there]
    labels, assigned, strong = clustering.labels.copy(), clustering.assigned.copy(), clustering.strength.copy()
    labels[rows] = np.where(groups < 0, NOISE, clustering.n_clusters + groups)
    assigned[rows], strong[rows] = labels[rows], np.where(groups < 0, 0, np.asarray(strength)[there])
    return renumbered(clustering, labels, assigned, strong, name, step)


def cut(clustering: Clustering, level: float, min_size: int, name: str) -> Clustering:
    """The clusters that the HDBSCAN tree has at density ``level`` (1 / distance), those of ``min_size`` frames and more."""
    labels, strength = cut_tree(clustering.tree, len(clustering.frame_id), level, min_size)
    step = {"step": "cut", "level": level, "min_size": min_size}
    return renumbered(clustering, labels, labels, strength, name, step)


def cut_levels(clustering: Clustering, n: int = 100) -> NDArray[np.float64]:
    """Up to ``n`` densities, ascending, at which a cut of the tree gives something else each; none without a tree of the rows."""
    tree = clustering.tree
    if not len(tree) or int(tree["parent"].min()) != len(clustering.frame_id):
        return np.empty(0)
    splits = np.unique(tree["lambda_val"][tree["child_size"] > 1])
    splits = splits[np.isfinite(splits) & (splits < np.finfo(np.float64).max)]
    if not len(splits):
        return np.empty(0)
    return np.unique(np.interp(np.linspace(0, len(splits) - 1, n), np.arange(len(splits)), splits))


def cut_tree(tree: NDArray, n: int, level: float, min_size: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Labels (n,), numbered by size, and strengths (n,) of the flat clusters that a condensed tree has at density ``level``.

    A node is alive there if it was born before ``level`` and splits after it; its members are the points below it that are
    still in at that density (Campello, Moulavi & Sander 2013, section 3). Strength: log density at which a point leaves, over
    that of the last one of its cluster.
    """
    of_nodes = tree["child"] >= n
    nodes = tree[of_nodes]
    root = int(tree["parent"].min()) if len(tree) else n
    n_nodes = int(max(tree["parent"].max(), tree["child"].max())) - n + 1 if len(tree) else 0
    birth, death = np.zeros(n_nodes), np.full(n_nodes, np.inf)
    birth[nodes["child"] - n] = nodes["lambda_val"]
    np.minimum.at(death, nodes["parent"] - n, nodes["lambda_val"])
    alive = (birth <= level) & (death > level)
    owner = np.where(alive, np.arange(n_nodes), NOISE)
    parent = np.full(n_nodes, NOISE)
    parent[nodes["child"] - n] = nodes["parent"] - n
    for node in range(root - n, n_nodes):  # parents come before their children
        if owner[node] < 0 and parent[node] >= 0:
            owner[node] = owner[parent[node]]
    points = tree[~of_nodes]
    found = np.where(points["lambda_val"] >= level, owner[points["parent"] - n], NOISE)
    labels, leaves = np.full(n, NOISE), np.zeros(n)
    labels[points["child"]], leaves[points["child"]] = found, points["lambda_val"]
    sizes = np.bincount(labels[labels >= 0], minlength=max(n_nodes, 1))
    labels[(labels >= 0) & (sizes[labels] < min_size)] = NOISE
    top = np.zeros(max(n_nodes, 1))
    np.maximum.at(top, labels[labels >= 0], leaves[labels >= 0])
    strength = np.where(labels >= 0, np.log1p(leaves) / np.maximum(np.log1p(top[labels]), 1e-300), 0)
    return by_size(labels)[0], np.clip(np.nan_to_num(strength), 0, 1).astype(np.float32)


def renumbered(
    clustering: Clustering, labels: NDArray, assigned: NDArray, strength: NDArray, name: str, step: dict[str, Any]
) -> Clustering:
    """A clustering of the same frames from other ``labels`` (numbers with gaps allowed), by size; the surest member of each
    cluster is its medoid unless the old medoid is still in it."""
    new, old = by_size(labels)
    table = np.full(int(max(labels.max(initial=NOISE), assigned.max(initial=NOISE))) + 2, NOISE)
    table[old] = np.arange(len(old))
    given = _through(table, assigned)
    medoids = _medoids(clustering, new, strength, len(old))
    source = {"from": clustering.name, **step}
    meta = {**clustering.meta, "steps": [*clustering.meta.get("steps", []), source],
            "sizes": np.bincount(new[new >= 0], minlength=len(old)).tolist(),
            "noise_share": round(float((new < 0).mean()), 4) if len(new) else None}  # fmt: skip
    empty = np.empty(0, TREE_DTYPE)
    tree = clustering.tree if step["step"] == "cut" else empty
    return Clustering(name, clustering.frame_id, new, np.asarray(strength, np.float32), given, medoids, tree, meta)


def _medoids(clustering: Clustering, labels: NDArray, strength: NDArray, n: int) -> NDArray[np.uint64]:
    order = np.lexsort((-np.asarray(strength), labels))
    first = order[np.searchsorted(labels[order], np.arange(n))] if n else np.empty(0, np.int64)
    out = clustering.frame_id[first].copy()
    rows = np.flatnonzero(np.isin(clustering.frame_id, clustering.medoids))
    for row in rows[np.argsort(-clustering.strength[rows], kind="stable")][::-1]:
        if labels[row] >= 0:
            out[labels[row]] = clustering.frame_id[row]
    return out


def _through(table: NDArray, labels: NDArray) -> NDArray[np.int32]:
    return np.where(labels < 0, NOISE, table[labels]).astype(np.int32)
