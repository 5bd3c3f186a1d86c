"""How much a point belongs to each cluster, not to one alone: HDBSCAN's soft clustering, for batches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

#: Distances that are held at a time.
_DISTANCES = 4_000_000
#: Below this a difference of lambdas is taken as this, as in hdbscan.
_LEAST = 1e-8
#: Lambdas of points that are alike have no bound.
_MOST = float(np.finfo(np.float64).max)


class SoftClusters:
    """The rule of hdbscan's ``membership_vector``. A point's share in cluster c is d_c^(1/2) o_c^2, normalised, times the
    probability that it lies in some cluster at all. d_c is the inverse distance to the nearest exemplar of c (the points that
    stay longest in its leaves), o_c the softmax of L / (L - h_c), both normalised; L is the highest lambda of the node that the
    point's neighbour fell out of, and h_c the lambda at which that node and c are one (the point's own lambda, where one holds
    the other).

    Taken from the arrays of a `DensityAssigner`, whose names they have.
    """

    def __init__(
        self, base: NDArray[np.float64], base_node: NDArray[np.int64], base_lambda: NDArray[np.float64],
        node_parent: NDArray[np.int64], node_birth: NDArray[np.float64], node_label: NDArray[np.int32],
    ) -> None:  # fmt: skip
        base_lambda, node_birth = (np.minimum(values, _MOST) for values in (base_lambda, node_birth))
        n_nodes, n_clusters = len(node_parent), int(node_label.max(initial=-1)) + 1
        self.highest = np.zeros(n_nodes)
        np.maximum.at(self.highest, base_node, base_lambda)
        np.maximum.at(self.highest, node_parent[1:], node_birth[1:])
        first_of_parent = (node_label != node_label[node_parent]) | (node_parent == np.arange(n_nodes))
        self.top = np.zeros(n_clusters, np.int64)
        tops = np.flatnonzero((node_label >= 0) & first_of_parent)
        self.top[node_label[tops]] = tops
        self.merge = self._merges(node_parent, node_birth, node_label)
        is_leaf = np.ones(n_nodes, bool)
        is_leaf[node_parent[1:]] = False
        stays = is_leaf[base_node] & (base_lambda == self.highest[base_node]) & (node_label[base_node] >= 0)
        cluster = node_label[base_node[stays]]
        order = np.argsort(cluster, kind="stable")
        self.exemplars = base[stays][order]
        self.starts = np.searchsorted(cluster[order], np.arange(n_clusters))

    def _merges(
        self, parent: NDArray[np.int64], birth: NDArray[np.float64], label: NDArray[np.int32]
    ) -> NDArray[np.float64]:
        """(nodes, clusters) lambda at which a node and a cluster are one; NaN where one holds the other."""
        n_clusters = len(self.top)
        holds = label[:, None] == np.arange(n_clusters)
        for cluster, node in enumerate(self.top):
            while not holds[node, cluster] or node == self.top[cluster]:
                holds[node, cluster] = True
                if node == parent[node]:
                    break
                node = parent[node]
        merge = np.full((len(parent), n_clusters), np.nan)
        for node in range(1, len(parent)):  # parents have lower numbers
            above = merge[parent[node]]
            merge[node] = np.where(holds[node], np.nan, np.where(np.isnan(above), birth[node], above))
        return merge

    def __call__(
        self, points: NDArray, node: NDArray[np.int64], lam: NDArray[np.float64], n: int
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The ``n`` clusters (N, n) in which points (N, d) have the largest shares (N, n), largest first; -1 and 0 where there
        are fewer. node: that each point's neighbour fell out of; lam: at which it joins it, at most that of the neighbour."""
        clusters, shares = np.full((len(points), n), -1, np.int32), np.zeros((len(points), n), np.float32)
        if not len(self.top):
            return clusters, shares
        best = min(n, len(self.top))
        for rows in self._batches(len(points)):
            share = self._shares(np.asarray(points[rows], np.float64), node[rows], lam[rows])
            order = np.argsort(-share, axis=1, kind="stable")[:, :best]
            clusters[rows, :best], shares[rows, :best] = order, np.take_along_axis(share, order, 1)
        return clusters, shares

    def _batches(self, n: int) -> Iterator[slice]:
        step = max(1, _DISTANCES // (len(self.exemplars) + len(self.top)))
        return (slice(start, start + step) for start in range(0, n, step))

    def _shares(self, points: NDArray, node: NDArray[np.int64], lam: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, clusters) shares of all clusters."""
        from scipy.spatial.distance import cdist

        distance = np.minimum.reduceat(cdist(points, self.exemplars), self.starts, axis=1)
        near = np.divide(1, distance, out=np.full_like(distance, _MOST / len(self.top)), where=distance > 0)
        near /= near.sum(1, keepdims=True)
        height = np.where(np.isnan(self.merge[node]), lam[:, None], self.merge[node])
        gap = self.highest[node][:, None] - height
        with np.errstate(over="ignore"):
            score = np.minimum(self.highest[node][:, None] / np.where(gap > 0, gap, _LEAST), _MOST)
        score = np.exp(score - score.max(1, keepdims=True))
        share = near**0.5 * (score / score.sum(1, keepdims=True)) ** 2
        total = share.sum(1, keepdims=True)
        share = np.divide(share, total, out=np.zeros_like(share), where=total > 0)
        by_top = np.argsort(self.top)  # of equally near ones hdbscan takes the first of its own order
        nearest = by_top[height[:, by_top].argmax(1)]
        at_most = np.maximum(lam, self.highest[self.top[nearest]]) + _LEAST
        return share * (height[np.arange(len(height)), nearest] / at_most)[:, None]
