"""New groups among hits that are unlike anything sorted before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sorter.cluster.density import DensityResult, all_noise, core_distance, density_clusters
from sorter.core.clustering import NOISE

#: A new group begins with few hits, so they lie farther from each other than those of a whole run.
_THINNER = 1.5


def new_groups(points: NDArray, fewest: int, usual_distance: float) -> DensityResult:
    """Groups of at least ``fewest`` among strange ``points`` (N, d).

    Hits that are strange each for itself are no group, however many: only those count that have others about as near as sorted
    hits have (``usual_distance``, a high percentile of their core distance). Among them HDBSCAN looks for clusters; where it
    finds no two, they are one group.
    """
    k = max(2, fewest // 3)
    if len(points) < max(fewest, k + 1):
        return all_noise(len(points))
    core = core_distance(points, k)
    rows = np.flatnonzero(core <= _THINNER * usual_distance)
    if len(rows) < fewest:
        return all_noise(len(points))
    found = density_clusters(points[rows], fewest, k)
    labels, strength = np.full(len(points), NOISE, np.int32), np.zeros(len(points), np.float32)
    if len(found.persistence):
        labels[rows], strength[rows] = found.labels, found.strength
        return DensityResult(labels, strength, found.tree, found.persistence)
    labels[rows] = 0
    strength[rows] = np.minimum(1, np.median(core[rows]) / np.maximum(core[rows], 1e-300))
    return DensityResult(labels, strength, found.tree, np.ones(1))
