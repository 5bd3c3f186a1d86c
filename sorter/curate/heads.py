"""From a few labelled frames to scores of all: a linear head, prototypes, or labels that spread over a neighbour graph.

A head is made from points (N, d) and then called with the rows (n,) of labelled frames and their membership (n, C) bool; it
returns logits (N, C): of independent questions ("does it carry this label?") for ``several`` labels per frame, else of one
choice among C. A labelled frame counts as a no for every label that it does not carry.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from sorter.curate.neighbour_graph import NeighbourGraph

Points: TypeAlias = NDArray[np.floating]
Rows: TypeAlias = NDArray[np.int64]
Member: TypeAlias = NDArray[np.bool_]
Logits: TypeAlias = NDArray[np.float64]
Head: TypeAlias = Callable[[Rows, Member, bool], Logits]

HEADS = ("propagation", "linear", "prototypes")

#: Logit of a label that every labelled frame carries (negative: that none does), where there is nothing to learn from.
_CERTAIN = 5.0


def make_head(name: str, points: Points, graph: NeighbourGraph) -> Head:
    """The head ``name`` of HEADS on ``points``; ``graph`` is theirs."""
    if name == "propagation":
        return lambda rows, member, several: propagation(graph, rows, member, several)
    fit = {"linear": linear, "prototypes": prototypes}[name]
    return lambda rows, member, several: fit(points, rows, member, several)


def propagation(graph: NeighbourGraph, rows: Rows, member: Member, several: bool) -> Logits:
    """Logarithm of what reaches each frame over the graph, each label sending out the same amount (Zhou et al. 2004)."""
    share = member / np.maximum(member.sum(axis=0), 1)
    logits = np.log(graph.spread(rows, share))
    if not several:
        return np.where(member.any(axis=0), logits, -np.inf)
    rest = ~member / np.maximum((~member).sum(axis=0), 1)
    return _where_decided(member, logits - np.log(graph.spread(rows, rest)))


def linear(points: Points, rows: Rows, member: Member, several: bool) -> Logits:
    """Logistic regression (L2, C = 1), multinomial or one label against the rest."""
    from sklearn.linear_model import LogisticRegression

    def decision(y: NDArray) -> NDArray:
        return LogisticRegression(max_iter=300, tol=1e-3).fit(points[rows], y).decision_function(points)

    if several:
        out = np.zeros((len(points), member.shape[1]))
        for c in np.flatnonzero(member.any(axis=0) & ~member.all(axis=0)):
            out[:, c] = decision(member[:, c])
        return _where_decided(member, out)
    chosen = member.argmax(axis=1)
    present = np.unique(chosen)
    out = np.full((len(points), member.shape[1]), -np.inf)
    if len(present) == 1:
        out[:, present] = 0.0
        return out
    found = decision(chosen)
    out[:, present] = np.stack([-found / 2, found / 2], axis=1) if len(present) == 2 else found
    return out


def prototypes(points: Points, rows: Rows, member: Member, several: bool) -> Logits:
    """Squared distance to the mean of each label's frames (Snell et al. 2017, eq. 2), in units of the spread about those means;
    for several labels, against that to the mean of the frames without the label."""
    known = points[rows]
    unit = -2 * _spread(known, member)
    near = _to_means(points, known, member) / unit
    return _where_decided(member, near - _to_means(points, known, ~member) / unit) if several else near


def _where_decided(member: Member, logits: Logits) -> Logits:
    """``logits`` with the labels that all labelled frames carry, or none, set: there is nothing to learn of them."""
    fixed = np.where(member.all(axis=0), _CERTAIN, -_CERTAIN)
    return np.where(member.all(axis=0) | ~member.any(axis=0), fixed, logits)


def _to_means(points: Points, known: Points, member: Member) -> NDArray:
    """(N, C) squared distances to the mean of each label's frames; infinity for a label without frames."""
    out = np.full((len(points), member.shape[1]), np.inf)
    for c in np.flatnonzero(member.any(axis=0)):
        out[:, c] = ((points - known[member[:, c]].mean(axis=0)) ** 2).sum(axis=1)
    return out


def _spread(known: Points, member: Member) -> float:
    """Mean squared distance per dimension to a label's own mean; that of all frames where no label has two."""
    within = [known[m] - known[m].mean(axis=0) for m in member.T if m.sum() > 1] or [known - known.mean(axis=0)]
    n_free = sum(max(len(w) - 1, 1) for w in within)
    return max(sum(float((w**2).sum()) for w in within) / (n_free * known.shape[1]), 1e-12)
