"""What belongs to a cluster: by HDBSCAN's own rule for points that come later, or by neighbours; what stands for a cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sorter.cluster.neighbours import Found, nearest, searcher
from sorter.cluster.soft import SoftClusters
from sorter.core.clustering import NOISE

#: Points that are assigned at a time.
_BATCH = 16_384


@dataclass(frozen=True)
class Assigned:
    """labels (N,) int32, -1 noise; strength (N,) float32 in [0, 1], 0 for noise; core_distance (N,) float64, how far the point
    lies from the base: the distance to its (min_samples + 1)-th nearest point of it; soft_labels (N, n) int32, soft_shares
    (N, n) float32: the n clusters it belongs to most, and how much (`SoftClusters`), n 0 where that was not asked for."""

    labels: NDArray[np.int32]
    strength: NDArray[np.float32]
    core_distance: NDArray[np.float64]
    soft_labels: NDArray[np.int32]
    soft_shares: NDArray[np.float32]

    @property
    def soft(self) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """soft_labels and soft_shares."""
        return self.soft_labels, self.soft_shares

    @classmethod
    def nowhere(cls, n: int, n_soft: int = 0) -> Assigned:
        """``n`` points that belong to nothing."""
        soft = np.full((n, n_soft), NOISE, np.int32), np.zeros((n, n_soft), np.float32)
        return cls(np.full(n, NOISE, np.int32), np.zeros(n, np.float32), np.full(n, np.inf), *soft)


@dataclass(frozen=True)
class DensityAssigner:
    """Gives later points the clusters of a fit by HDBSCAN's own rule (hdbscan's ``approximate_predict``), many at once.

    A point belongs where its nearest base point by mutual reachability does, among its 2 min_samples nearest; if that one
    left its cluster only at a higher density than the point joins it with (lambda), the point climbs the condensed tree while
    the birth lambda of the node is at least its own.

    base (B, d) float64; core (B,) distance to the min_samples-th nearest, itself counted; base_node (B,), base_lambda (B,):
    node of the tree that each base point fell out of, and when; node_parent, node_birth (M,): parent of each node (the root is
    its own) and the lambda at which it was born; node_label (M,): cluster that a node lies in, -1 none; label_lambda (C,):
    highest lambda of each cluster. All of it is arrays: `arrays` and `DensityAssigner(**arrays)` store it and bring it back.
    """

    min_samples: int
    base: NDArray[np.float64]
    core: NDArray[np.float64]
    base_node: NDArray[np.int64]
    base_lambda: NDArray[np.float64]
    node_parent: NDArray[np.int64]
    node_birth: NDArray[np.float64]
    node_label: NDArray[np.int32]
    label_lambda: NDArray[np.float64]
    _search: Callable[[NDArray, int], Found] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "min_samples", int(np.asarray(self.min_samples).item()))  # stored as an array of one
        object.__setattr__(self, "_search", searcher(self.base))

    @classmethod
    def of_fit(cls, points: NDArray, labels: NDArray[np.int32], tree: NDArray, min_samples: int) -> DensityAssigner:
        """From the ``points`` (B, d) of a fit, its ``labels`` (B,) and condensed ``tree`` (TREE_DTYPE, not empty)."""
        n = len(points)
        root = int(tree["parent"].min())
        n_nodes = int(tree["parent"].max()) - root + 1
        parent, child = tree["parent"] - root, tree["child"]
        is_point = child < n
        base_node, base_lambda = np.zeros(n, np.int64), np.zeros(n)
        base_node[child[is_point]] = parent[is_point]
        base_lambda[child[is_point]] = tree["lambda_val"][is_point]
        node_parent, node_birth = np.zeros(n_nodes, np.int64), np.zeros(n_nodes)
        node_parent[child[~is_point] - root] = parent[~is_point]
        node_birth[child[~is_point] - root] = tree["lambda_val"][~is_point]
        node_label = _node_labels(base_node, labels, node_parent)
        highest = np.zeros(n_nodes)
        np.maximum.at(highest, parent, tree["lambda_val"])
        top = (node_label >= 0) & ((node_label != node_label[node_parent]) | (node_parent == np.arange(n_nodes)))
        label_lambda = np.zeros(int(labels.max(initial=NOISE)) + 1)
        label_lambda[node_label[top]] = highest[top]
        core = nearest(points, points, min_samples)[0][:, -1]
        base = np.asarray(points, np.float64)
        return cls(min_samples, base, core, base_node, base_lambda, node_parent, node_birth, node_label, label_lambda)

    @classmethod
    def of_one(cls, points: NDArray, min_samples: int) -> DensityAssigner:
        """For a single cluster 0 that holds all ``points`` (B, d) and whatever else is asked for."""
        core = nearest(points, points, min_samples)[0][:, -1]
        typical = float(np.median(core))
        nodes, lam = np.zeros(1, np.int64), np.full(1, 1 / typical if typical > 0 else 0.0)
        base = np.asarray(points, np.float64)
        falls = np.zeros(len(base), np.int64), np.full(len(base), np.inf)
        return cls(min_samples, base, core, *falls, nodes, np.zeros(1), np.zeros(1, np.int32), lam)

    def arrays(self) -> dict[str, NDArray]:
        """What the assigner is made of, by the names of its fields."""
        return {each.name: np.atleast_1d(getattr(self, each.name)) for each in fields(self) if each.init}

    @cached_property
    def _soft(self) -> SoftClusters:
        names = ("base", "base_node", "base_lambda", "node_parent", "node_birth", "node_label")
        return SoftClusters(**{name: getattr(self, name) for name in names})

    def __call__(self, points: NDArray, n_soft: int = 0) -> Assigned:
        """Cluster, strength, core distance and ``n_soft`` shares of ``points`` (N, d), which lie in the space of the base."""
        parts = [self._assign(points[start : start + _BATCH], n_soft) for start in range(0, len(points), _BATCH)]
        if not parts:
            return Assigned.nowhere(0, n_soft)
        return Assigned(*(np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(Assigned)))

    def _assign(self, points: NDArray, n_soft: int) -> Assigned:
        distance, rows = self._search(points, 2 * self.min_samples)
        own_core = distance[:, min(self.min_samples, distance.shape[1] - 1)]
        reach = np.maximum(np.maximum(distance, self.core[rows]), own_core[:, None])
        first = reach.argmin(axis=1)[:, None]
        neighbour, reach = (np.take_along_axis(a, first, 1)[:, 0] for a in (rows, reach))
        lam = np.where(reach > 0, 1 / np.where(reach > 0, reach, 1), np.finfo(np.float64).max)
        node, leaves = self.base_node[neighbour], self.base_lambda[neighbour]
        soft = self._soft(points, node, np.minimum(lam, leaves), n_soft) if n_soft else Assigned.nowhere(len(node)).soft
        climbing = leaves > lam
        while climbing.any():
            climbing &= (node > 0) & (self.node_birth[node] >= lam)
            node = np.where(climbing, self.node_parent[node], node)
        labels = self.node_label[node]
        highest = np.append(self.label_lambda, 0)[labels]
        strength = np.where(highest > 0, np.minimum(lam / np.where(highest > 0, highest, 1), 1), 1)
        return Assigned(labels, np.where(labels < 0, 0, strength).astype(np.float32), own_core, *soft)


def _node_labels(
    base_node: NDArray[np.int64], labels: NDArray[np.int32], node_parent: NDArray[np.int64]
) -> NDArray[np.int32]:
    """Cluster that each node lies in: the one that all base points below it have, -1 where they differ or are noise."""
    low, high = np.full(len(node_parent), np.iinfo(np.int32).max, np.int32), np.full(len(node_parent), -1, np.int32)
    np.minimum.at(low, base_node, labels)
    np.maximum.at(high, base_node, labels)
    for node in range(len(node_parent) - 1, 0, -1):  # children have higher numbers than their parents
        parent = node_parent[node]
        low[parent], high[parent] = min(low[parent], low[node]), max(high[parent], high[node])
    return np.where(low == high, low, np.int32(NOISE))


def assign_by_neighbours(
    points: NDArray, labels: NDArray, k: int, min_share: float = 0.0, among: NDArray[np.int64] | None = None
) -> NDArray[np.int32]:
    """``labels`` (N,) with noise given to the cluster of its nearest clustered ``points`` (N, d), of the rows ``among`` where
    they are given.

    The ``k`` nearest clustered points vote with weight 1 / distance; a point stays noise where the winner has less than
    ``min_share`` of the votes. With no cluster at all everything stays noise.
    """
    out = np.array(labels, np.int32)
    known = np.flatnonzero(labels >= 0) if among is None else among[labels[among] >= 0]
    open_rows = np.flatnonzero(labels < 0)
    if not len(known) or not len(open_rows):
        return out
    n_clusters = int(labels.max()) + 1
    search = searcher(points[known])
    for start in range(0, len(open_rows), _BATCH):
        rows = open_rows[start : start + _BATCH]
        distance, near = search(points[rows], k)
        weight = 1 / np.maximum(distance, 1e-12)
        votes = np.zeros((len(rows), n_clusters))
        np.add.at(votes, (np.arange(len(rows))[:, None], labels[known][near]), weight)
        winner = votes.argmax(axis=1)
        share = votes.max(axis=1) / votes.sum(axis=1)
        out[rows] = np.where(share >= min_share, winner, NOISE)
    return out


def medoids(points: NDArray, labels: NDArray, strength: NDArray) -> NDArray[np.int64]:
    """Row of the medoid of each cluster: of its 500 strongest points, the one nearest to their mean."""
    rows = []
    for cluster in range(int(labels.max(initial=NOISE)) + 1):
        members = np.flatnonzero(labels == cluster)
        members = members[np.argsort(-strength[members], kind="stable")[:500]]
        centre = points[members].mean(axis=0)
        rows.append(int(members[((points[members] - centre) ** 2).sum(axis=1).argmin()]))
    return np.array(rows, np.int64)
