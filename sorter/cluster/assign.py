"""What belongs to a cluster by its neighbours, and what stands for a cluster."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sorter.cluster.reduce import nearest
from sorter.core.clustering import NOISE


def assign_by_neighbours(points: NDArray, labels: NDArray, k: int, min_share: float = 0.0) -> NDArray[np.int32]:
    """``labels`` (N,) with noise given to the cluster of its nearest clustered ``points`` (N, d).

    The ``k`` nearest clustered points vote with weight 1 / distance; a point stays noise where the winner has less than
    ``min_share`` of the votes. With no cluster at all everything stays noise.
    """
    out = np.array(labels, np.int32)
    known, open_rows = np.flatnonzero(labels >= 0), np.flatnonzero(labels < 0)
    if not len(known) or not len(open_rows):
        return out
    n_clusters = int(labels.max()) + 1
    for start in range(0, len(open_rows), 100_000):
        rows = open_rows[start : start + 100_000]
        distance, near = nearest(points[known], points[rows], k)
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
