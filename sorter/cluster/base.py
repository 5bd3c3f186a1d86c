"""Places hits that come later among those that were clustered: cluster, place in the layout, or unlike anything."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sorter.cluster.assigner import Assigner
from sorter.cluster.density import core_distance
from sorter.cluster.neighbours import searcher
from sorter.core.clustering import NOISE, Placed

#: A hit is unlike anything where its core distance is above this percentile of those of the sorted hits.
FAR_PERCENTILE = 99.0


class Base:
    """Sorted hits: points (N, d), labels (N,) int32 (-1 noise), xy (N, 2) float32 places in the layout.

    assign gives clusters and strengths by HDBSCAN's own rule. Where that finds none, the ``k`` nearest hits vote, those in a
    cluster, with weight 1 / distance. far_distance: distance to the k-th neighbour beyond which a point is unlike anything;
    then it belongs nowhere, whatever the rule says of the place that it is drawn to.
    """

    def __init__(
        self, assign: Assigner, points: NDArray, labels: NDArray, xy: NDArray, k: int, far_distance: float
    ) -> None:
        self.k, self.far_distance = k, far_distance
        self._assign, self._nearest = assign, searcher(points)
        self._labels, self._xy = np.asarray(labels, np.int32), np.asarray(xy, np.float32)
        self.n_clusters = int(self._labels.max(initial=NOISE)) + 1

    def __call__(self, points: NDArray) -> Placed:
        """Place points (n, d) among the sorted hits. A point's result depends on that point alone."""
        distance, rows = self._nearest(points, self.k)
        weight = 1 / np.maximum(distance, 1e-12)
        far = distance[:, -1] > self.far_distance
        found = self._assign(points)
        labels = np.where(far, NOISE, found.labels).astype(np.int32)
        strength = np.where(far, 0, found.strength).astype(np.float32)
        assigned = np.where(far | (labels >= 0), labels, self._vote(rows, weight)).astype(np.int32)
        three = weight[:, :3, None]
        xy = (self._xy[rows[:, :3]] * three).sum(axis=1) / three.sum(axis=1)
        return Placed(labels, strength, assigned, far, xy.astype(np.float32))

    def _vote(self, rows: NDArray[np.int64], weight: NDArray[np.float64]) -> NDArray[np.int64]:
        """Cluster (n,) of most of the neighbours ``rows`` (n, k); -1 where none of them is in one."""
        if not self.n_clusters:
            return np.full(len(rows), NOISE)
        labels = self._labels[rows]
        votes = np.zeros((len(rows), self.n_clusters))
        query, place = np.nonzero(labels >= 0)
        np.add.at(votes, (query, labels[query, place]), weight[query, place])
        return np.where(votes.any(axis=1), votes.argmax(axis=1), NOISE)


def usual_distance(points: NDArray, sample: NDArray, k: int, percentile: float = FAR_PERCENTILE) -> float:
    """Percentile of the distance of ``sample`` (n, d), some of ``points`` (N, d), to the k-th nearest other one."""
    return float(np.percentile(core_distance(sample, k, points), percentile))
