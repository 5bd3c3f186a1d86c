"""Frames of a class that nobody has named."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sorter.curate.calibration import folds
from sorter.curate.heads import Member, Rows
from sorter.curate.neighbour_graph import NeighbourGraph

#: Named classes, and labelled frames of them, that the calibration needs.
_FEWEST_CLASSES, _FEWEST_FRAMES = 3, 3
#: Share of the frames that is taken to be of unnamed classes before anything is known of them.
_PRIOR = 0.25


def reach(graph: NeighbourGraph, rows: Rows, member: Member) -> NDArray[np.float64]:
    """Logarithm (N,) of what reaches each frame over the graph when each label sends out one unit, shared by its frames."""
    share = (member / np.maximum(member.sum(axis=0), 1)).sum(axis=1, keepdims=True)
    return np.log(graph.spread(rows, share))[:, 0]


def unknown_probability(graph: NeighbourGraph, rows: Rows, member: Member, seed: int = 0) -> NDArray[np.float64]:
    """Probability (N,) that a frame belongs to none of the named classes; 0 for the labelled rows.

    What reaches a frame from the labelled ones is compared with what reaches labelled frames when they are left out one fold at
    a time (known), and when their whole class is left out (unknown): a logistic curve between the two, at a prior share of a
    quarter. With fewer than three named classes of three frames there is no such comparison: the odds fall with what reaches
    the frame, and are even where a known frame's would be among the lowest twentieth.
    """
    scores = reach(graph, rows, member)
    known = _left_out(graph, rows, member, seed)
    unknown = _class_left_out(graph, rows, member)
    if len(known) and len(unknown):
        log_odds = _logistic(scores, known, unknown) + np.log(_PRIOR / (1 - _PRIOR))
    else:
        log_odds = (np.quantile(known, 0.05) if len(known) else np.median(scores)) - scores
    p = 1 / (1 + np.exp(-np.clip(log_odds, -50, 50)))
    p[rows] = 0.0
    return p


def _left_out(graph: NeighbourGraph, rows: Rows, member: Member, seed: int) -> NDArray[np.float64]:
    """What reaches labelled frames that were left out while the others of their label were there."""
    fold = folds(member, seed)
    found = [np.empty(0)]
    for k in range(fold.max(initial=-1) + 1):
        out, kept = fold == k, fold != k
        found.append(reach(graph, rows[kept], member[kept])[rows[out]])
    return np.concatenate(found)


def _class_left_out(graph: NeighbourGraph, rows: Rows, member: Member) -> NDArray[np.float64]:
    """What reaches the frames of a label when none of them is labelled; frames with a second label do not count."""
    large = np.flatnonzero(member.sum(axis=0) >= _FEWEST_FRAMES)
    if len(large) < _FEWEST_CLASSES:
        return np.empty(0)
    found = []
    for c in large:
        mine = member[:, c]
        only = mine & (member.sum(axis=1) == 1)
        if only.any() and not mine.all():
            others = np.delete(member[~mine], c, axis=1)
            found.append(reach(graph, rows[~mine], others)[rows[only]])
    return np.concatenate(found) if found else np.empty(0)


def _logistic(scores: NDArray, known: NDArray, unknown: NDArray) -> NDArray[np.float64]:
    """Logarithm of the odds of being unknown, at equal priors."""
    from sklearn.linear_model import LogisticRegression

    x, y = np.concatenate([known, unknown])[:, None], np.repeat([0, 1], [len(known), len(unknown)])
    return LogisticRegression(class_weight="balanced").fit(x, y).decision_function(scores[:, None])
