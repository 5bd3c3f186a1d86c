"""Which frame, or which cluster, is worth a person's next click."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sorter.core.clustering import Clustering
from sorter.core.identity import rows_of
from sorter.core.proposals import Proposals
from sorter.curate.heads import Points, Rows
from sorter.curate.neighbour_graph import NeighbourGraph

#: What a neighbour of a frame that was just suggested is still worth.
_BESIDE = 0.3


def next_value(confidence: NDArray[np.floating], graph: NeighbourGraph, labelled: Rows) -> NDArray[np.float64]:
    """What labelling each frame (N,) is worth, in [0, 1]: its own uncertainty times that of the frames it speaks for.

    Uncertainty is 1 less the largest of ``confidence`` (N, C), where C may be 0; the frames it speaks for are those it reaches
    over the graph, so a doubtful frame in a crowd of doubtful ones comes first and an odd one alone comes late (density-weighted
    uncertainty, Settles & Craven 2008, eq. 13). Where labelled frames are near already, and doubt remains because classes
    overlap, it counts less: over 1 + what reaches the frame from them, in units of the median. 0 for ``labelled`` rows.
    """
    n = len(confidence)
    doubt = 1 - np.asarray(confidence, np.float64).max(axis=1, initial=0.0)
    doubt[labelled] = 0.0
    if len(labelled):
        near = graph.spread(labelled, np.ones((len(labelled), 1)))[:, 0]
        doubt /= 1 + near / np.median(near)
    value = doubt * graph.spread(np.arange(n), doubt[:, None])[:, 0]
    return value / max(float(value.max(initial=0.0)), 1e-300)


def next_rows(value: NDArray[np.floating], points: Points, n: int) -> Rows:
    """Up to ``n`` rows, most worth labelling first, not all neighbours of one another: after each, the 1 % of the frames that are
    nearest to it count less."""
    left = np.array(value, np.float64)
    near = max(1, len(left) // 100)
    out: list[int] = []
    while len(out) < min(n, len(left)) and left.max() > 0:
        row = int(left.argmax())
        out.append(row)
        distance = ((points - points[row]) ** 2).sum(axis=1)
        left[np.argpartition(distance, near)[: near + 1] if near < len(left) else slice(None)] *= _BESIDE
        left[row] = 0.0
    return np.array(out, np.int64)


def next_clusters(proposals: Proposals, clustering: Clustering) -> list[dict[str, float | int]]:
    """The clusters, the one most worth naming first: cluster, frames, labelled (share of them that a person labelled), doubt
    (mean uncertainty of its frames) and worth (its sum over the frames, as a share of all)."""
    rows = rows_of(proposals.frame_id, clustering.frame_id)
    there = rows >= 0
    top = proposals.confidence.max(axis=1, initial=0.0)
    doubt = np.where(proposals.labelled, 0.0, 1 - top)
    out: list[dict[str, float | int]] = []
    for cluster in range(clustering.n_clusters):
        mine = rows[there & (clustering.labels == cluster)]
        if len(mine):
            share, mean = float(proposals.labelled[mine].mean()), float(doubt[mine].mean())
            worth = float(doubt[mine].sum() / max(len(doubt), 1))
            out.append({"cluster": cluster, "frames": len(mine), "labelled": share, "doubt": mean, "worth": worth})
    return sorted(out, key=lambda entry: (-entry["worth"], entry["cluster"]))
