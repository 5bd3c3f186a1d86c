"""How far two people who labelled the same frames agree."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sorter.core.identity import ascending
from sorter.curate.label_state import LabelState, contained


@dataclass(frozen=True)
class Agreement:
    """Two labellers on the frames that both labelled. n_both: how many; same: of those, with the same labels; kappa: Cohen's
    (1960), None where it is not defined; disputes: (labels of one, labels of the other) -> frames, the most frequent first,
    several labels joined by "; "; frame_id (n_both - same,) of the frames in dispute."""

    one: str
    other: str
    n_both: int
    same: int
    kappa: float | None
    disputes: dict[tuple[str, str], int]
    frame_id: NDArray[np.uint64]


def agreement(state: LabelState, one: str, other: str) -> Agreement:
    """How far the labels that two people gave agree, each taken as if the other had never been there."""
    shared = np.intersect1d(_labelled(state, one), _labelled(state, other), assume_unique=True)
    first, second = _words(state, one, shared), _words(state, other, shared)
    differ = first != second
    disputes = Counter(zip(first[differ].tolist(), second[differ].tolist()))
    n, same = len(shared), int((~differ).sum())
    return Agreement(one, other, n, same, _kappa(first, second), dict(disputes.most_common()), shared[differ])


def _labelled(state: LabelState, author: str) -> NDArray[np.uint64]:
    given = [state.given_by(author, label) for label in state.all_labels()]
    return ascending(np.concatenate(given)) if given else np.empty(0, np.uint64)


def _words(state: LabelState, author: str, frames: NDArray[np.uint64]) -> NDArray[np.object_]:
    """The labels of each frame, joined."""
    words = np.full(len(frames), "", object)
    for label in sorted(state.all_labels()):
        mine = contained(state.given_by(author, label), frames)
        words[mine] = [f"{have}; {label}" if have else label for have in words[mine]]
    return words


def _kappa(first: NDArray[np.object_], second: NDArray[np.object_]) -> float | None:
    """Cohen, Educ. Psychol. Meas. 20, 37 (1960), eq. 1."""
    n = len(first)
    if not n:
        return None
    one, other = Counter(first.tolist()), Counter(second.tolist())
    expected = sum(one[word] * other[word] for word in one) / n**2
    observed = float((first == second).mean())
    return None if expected == 1 else (observed - expected) / (1 - expected)
