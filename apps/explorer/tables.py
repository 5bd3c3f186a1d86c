"""The rows of the tables of clusters and labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apps.explorer.labels import LabelView
from apps.explorer.run import NOT_CLUSTERED, Run
from sorter.core.clustering import NOISE


@dataclass(frozen=True)
class ClusterRow:
    """A cluster, the noise (-1) or what was not clustered (-2): frames, mean strength (None where it has none), frames of it
    that carry each label, the most frequent first."""

    cluster: int
    n_frames: int
    strength: float | None
    labels: dict[str, int]


def cluster_rows(run: Run, labels: LabelView) -> list[ClusterRow]:
    """One row per cluster by number, then noise, then hits that the clustering has not seen where there are any."""
    if run.clustering is None:
        return []
    group = np.where(run.is_hit | (run.cluster != NOT_CLUSTERED), run.cluster, NOT_CLUSTERED - 1) - NOT_CLUSTERED + 1
    n_groups = run.n_clusters - NOT_CLUSTERED + 1  # blanks, not clustered, noise, clusters
    sizes = np.bincount(group, minlength=n_groups)
    strength = np.bincount(group, np.nan_to_num(run.strength), n_groups) / np.maximum(sizes, 1)
    carried = {name: np.bincount(group[labels.rows(name)], minlength=n_groups) for name in labels.names}

    def row(cluster: int) -> ClusterRow:
        at = cluster - NOT_CLUSTERED + 1
        found = sorted(((name, int(n[at])) for name, n in carried.items() if n[at]), key=lambda item: -item[1])
        return ClusterRow(cluster, int(sizes[at]), float(strength[at]) if cluster >= 0 else None, dict(found))

    rows = [row(cluster) for cluster in (*range(run.n_clusters), NOISE, NOT_CLUSTERED)]
    return rows if rows[-1].n_frames else rows[:-1]
