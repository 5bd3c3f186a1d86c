"""From an embedding and a person's labels to proposals for all frames."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.core.identity import rows_of
from sorter.core.proposals import Proposals
from sorter.curate.calibration import choose_temperature, left_out_logits, reliability, to_probability
from sorter.curate.heads import Member, Points, Rows, make_head
from sorter.curate.label_state import LabelState
from sorter.curate.neighbour_graph import NeighbourGraph
from sorter.curate.open_set import unknown_probability
from sorter.curate.suggest import next_value


def known_frames(
    state: LabelState, frame_id: NDArray[np.uint64], words: tuple[str, ...] = ()
) -> tuple[tuple[str, ...], Rows, Member]:
    """What a person has said of frames (N,): the labels (C,), the rows (n,) of frames that carry one, membership (n, C).

    ``words``: only these labels count (all where empty). Labels that came from accepted proposals are no evidence, and left out.
    """
    classes = tuple(word for word in state.labels() if not words or word in words)
    member = np.zeros((len(frame_id), len(classes)), bool)
    for c, word in enumerate(classes):
        rows = rows_of(frame_id, state.members(word, by_people=True))
        member[rows[rows >= 0], c] = True
    used = np.flatnonzero(member.any(axis=0))
    rows = np.flatnonzero(member.any(axis=1))
    return tuple(classes[c] for c in used), rows, member[rows][:, used]


class Proposer:
    """Proposals for the frames of one embedding; it holds their neighbour graph, so that asking again after each click is quick.

    frame_id (N,); vectors (N, d), a few dozen dimensions that stand on one scale (principal components).
    """

    def __init__(self, frame_id: NDArray[np.uint64], vectors: Points) -> None:
        self.frame_id = frame_id
        self.points = scaled(vectors)
        self.graph = NeighbourGraph(self.points)

    def propose(
        self, classes: tuple[str, ...], rows: Rows, member: Member, head: str = "propagation", name: str = "default",
        seed: int = 0,
    ) -> Proposals:  # fmt: skip
        """Proposals from the labelled ``rows`` (n,) and which of ``classes`` (C,) each carries, ``member`` (n, C) bool.

        Frames may have several labels where some labelled frame has; the temperature of the probabilities is found on labelled
        frames left out (meta: temperature, None where there were too few; left_out_accuracy, left_out_ece). Without any
        label nothing is proposed, and next_value alone says where to begin.
        """
        several = bool((member.sum(axis=1) > 1).any())
        probability, meta = self._probability(rows, member, head, several, seed)
        unknown = unknown_probability(self.graph, rows, member, seed) if len(rows) else np.ones(len(self.frame_id))
        value = next_value(probability * (1 - unknown[:, None]), self.graph, rows)
        labelled = np.zeros(len(self.frame_id), bool)
        labelled[rows] = True
        counts = dict(zip(classes, member.sum(axis=0).tolist()))
        meta = {"head": head, "several": several, "labelled_frames": len(rows), "labelled_per_class": counts, **meta}
        p, none, worth = (np.asarray(column, np.float32) for column in (probability, unknown, value))
        return Proposals(name, self.frame_id, classes, p, none, worth, labelled, meta)

    def _probability(
        self, rows: Rows, member: Member, head: str, several: bool, seed: int
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        """(N, C) calibrated probabilities, and what is known of their quality."""
        if not len(rows):
            return np.zeros((len(self.frame_id), member.shape[1])), {
                "temperature": None,
                **_left_out_figures(member, member),
            }
        model = make_head(head, self.points, self.graph)
        place, left_out = left_out_logits(model, rows, member, several, seed)
        temperature = choose_temperature(left_out, member[place], several)
        figures = _left_out_figures(to_probability(left_out, several, temperature or 1.0), member[place])
        probability = to_probability(model(rows, member, several), several, temperature or 1.0)
        probability[rows] = member
        return probability, {"temperature": temperature, **figures}


def scaled(points: Points) -> Points:
    """``points`` (N, d) centred, in units of the root of their mean variance."""
    points = np.asarray(points, np.float64)
    centred = points - points.mean(axis=0) if len(points) else points
    unit = np.sqrt(centred.var(axis=0).mean()) if centred.size else 1.0
    return centred / unit if unit > 0 else centred


def _left_out_figures(probability: NDArray, member: Member) -> dict[str, Any]:
    """Accuracy of the likeliest label and expected calibration error on labelled frames left out; None without any."""
    if not len(member):
        return {"left_out_accuracy": None, "left_out_ece": None}
    best = probability.argmax(axis=1)
    right = member[np.arange(len(member)), best]
    return {
        "left_out_accuracy": float(right.mean()),
        "left_out_ece": reliability(probability.max(axis=1), right).ece,
    }
