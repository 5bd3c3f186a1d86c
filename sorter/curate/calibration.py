"""Probabilities that mean what they say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sorter.curate.heads import Head, Logits, Member, Rows

#: Predictions of frames left out that a calibration needs at least.
_FEWEST = 12
_FOLDS = 5


def to_probability(logits: Logits, several: bool, temperature: float = 1.0) -> NDArray[np.float64]:
    """(N, C) probabilities: softmax of each row over ``temperature``, or a logistic function of each for ``several`` labels."""
    scaled = logits / temperature
    if several:
        return 1 / (1 + np.exp(-np.clip(scaled, -500, 500)))
    scaled = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return scaled / scaled.sum(axis=1, keepdims=True)


def folds(member: Member, seed: int = 0) -> Rows:
    """(n,) number of the fold, 0 to 4, in which each labelled frame is left out; -1: never, the only one of its kind.

    Frames with the same labels are spread evenly over the folds.
    """
    kind = np.unique(member, axis=0, return_inverse=True)[1].ravel()
    order = np.random.default_rng(seed).permutation(len(member))
    fold = np.full(len(member), -1)
    for value in np.unique(kind):
        mine = order[kind[order] == value]
        if len(mine) > 1:
            fold[mine] = np.arange(len(mine)) % _FOLDS
    return fold


def left_out_logits(head: Head, rows: Rows, member: Member, several: bool, seed: int = 0) -> tuple[Rows, Logits]:
    """Logits of labelled frames from heads that did not see them: their positions (m,) in ``rows``, and (m, C)."""
    fold = folds(member, seed)
    places, found = [np.empty(0, np.int64)], [np.empty((0, member.shape[1]))]
    for k in range(_FOLDS):
        out, kept = np.flatnonzero(fold == k), np.flatnonzero(fold != k)
        if len(out) and len(kept):
            places.append(out)
            found.append(head(rows[kept], member[kept], several)[rows[out]])
    return np.concatenate(places), np.concatenate(found)


def choose_temperature(logits: Logits, member: Member, several: bool) -> float | None:
    """The temperature with the least cross entropy (Guo et al. 2017, section 4.2); None for too few predictions."""
    from scipy.optimize import minimize_scalar

    if len(logits) < _FEWEST:
        return None

    def cost(log_temperature: float) -> float:
        p = np.clip(to_probability(logits, several, float(np.exp(log_temperature))), 1e-9, 1 - 1e-9)
        if several:
            return float(-np.where(member, np.log(p), np.log(1 - p)).mean())
        return float(-np.log(p[np.arange(len(p)), member.argmax(axis=1)]).mean())

    return float(np.exp(minimize_scalar(cost, bounds=(np.log(0.05), np.log(50.0)), method="bounded").x))


@dataclass(frozen=True)
class Reliability:
    """How often predictions come true: per bin of stated probability the mean stated one, the share that was true, and the
    number (NaN, NaN, 0 for an empty bin); ece: the mean absolute gap, weighted by number (Guo et al. 2017, eq. 3)."""

    stated: NDArray[np.float64]
    true: NDArray[np.float64]
    count: NDArray[np.int64]
    ece: float | None


def reliability(stated: NDArray, correct: NDArray[np.bool_], n_bins: int = 10) -> Reliability:
    """The reliability diagram of predictions: ``stated`` (n,) probabilities in [0, 1] and whether they were ``correct`` (n,)."""
    stated = np.asarray(stated, np.float64)
    bins = np.clip((stated * n_bins).astype(np.int64), 0, n_bins - 1)
    count = np.bincount(bins, minlength=n_bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(bins, stated, n_bins) / count
        share = np.bincount(bins, np.asarray(correct, np.float64), n_bins) / count
    gap = np.abs(mean - share)[count > 0]
    return Reliability(mean, share, count, float((gap * count[count > 0]).sum() / len(stated)) if len(stated) else None)
