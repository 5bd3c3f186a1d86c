"""Clusters keep their numbers from fit to fit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.core.clustering import NOISE, Clustering
from sorter.core.identity import rows_of

#: Clusters of which less than this share of the frames of both together is common are not the same one.
_SAME = 0.3
#: From this share on a cluster counts as unchanged.
_UNCHANGED = 0.9


def keep_numbers(
    before: Clustering, ids: NDArray[np.uint64], labels: NDArray[np.int32], order: NDArray[np.int64]
) -> tuple[NDArray[np.int64], list[dict[str, Any]]]:
    """Which of the clusters ``labels`` (N,) of the frames ``ids`` is to be called 0, 1, ..., and what changed.

    A cluster that overlaps one of ``before`` keeps that one's number; the pairs are chosen so that the overlaps, frames in
    common over frames in either (Jaccard), add up to most. The others take the numbers that are left, in the order given,
    which lists the clusters by size. Only frames that both clusterings hold count. The changes, one entry per cluster in its
    new numbering: cluster, was (number before, None for a new one), overlap, change ("same", "changed" or "new").
    """
    from scipy.optimize import linear_sum_assignment

    overlap = _overlaps(before, ids, labels, len(order))
    mine, theirs = linear_sum_assignment(overlap, maximize=True)
    was = {int(new): int(old) for new, old in zip(mine, theirs) if overlap[new, old] >= _SAME}
    called = np.full(len(order), -1, np.int64)
    left = []
    for cluster in order:
        number = was.get(int(cluster), len(order))
        if number < len(order):
            called[number] = cluster
        else:
            left.append(cluster)
    called[called < 0] = left
    return called, [_change(number, int(c), was, overlap) for number, c in enumerate(called)]


def _change(number: int, cluster: int, was: dict[int, int], overlap: NDArray[np.float64]) -> dict[str, Any]:
    if cluster not in was:
        return {"cluster": number, "was": None, "overlap": None, "change": "new"}
    share = float(overlap[cluster, was[cluster]])
    same = share >= _UNCHANGED and was[cluster] == number
    return {
        "cluster": number, "was": was[cluster], "overlap": round(share, 3), "change": "same" if same else "changed"
    }  # fmt: skip


def _overlaps(
    before: Clustering, ids: NDArray[np.uint64], labels: NDArray[np.int32], n_new: int
) -> NDArray[np.float64]:
    """(n_new, n_old) Jaccard index of each cluster with each earlier one, over the frames of both clusterings."""
    rows = rows_of(before.frame_id, ids)
    new, old = labels[rows >= 0], before.labels[rows[rows >= 0]]
    common = np.zeros((n_new + 1, before.n_clusters + 1))
    np.add.at(common, (new, old), 1)  # noise counts in the last row and column
    either = common.sum(1)[:, None] + common.sum(0)[None] - common
    return (common / np.maximum(either, 1))[:n_new, : before.n_clusters]


def lost(before: Clustering, changes: list[dict[str, Any]]) -> list[int]:
    """Numbers of the clusters of ``before`` that none of the new ones continues."""
    kept = {change["was"] for change in changes}
    return [number for number in range(before.n_clusters) if number not in kept and number != NOISE]
