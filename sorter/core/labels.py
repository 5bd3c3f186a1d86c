"""A person's words about frames, as events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Authors that begin so are no persons: labels that came in bulk from accepted proposals.
PROPOSAL = "proposal"


@dataclass(frozen=True)
class LabelEvent:
    """One entry of the label book; events are appended, never changed.

    revision: 1, 2, ... in order. kind: "add" (label given), "remove" (label taken away), "undo" or "redo" (of event
    ``target``). label: the word. frame_id: (N,) uint64, the frames meant (empty for undo and redo). author, when (ISO 8601
    UTC), reason: what was pointed at ("cluster 3 of density", "lasso in layout umap", ...).
    """

    revision: int
    kind: str
    label: str
    frame_id: NDArray[np.uint64]
    author: str
    when: str
    reason: str
    target: int | None = None

    @property
    def is_proposal(self) -> bool:
        """Whether the label came from an accepted proposal and not from a person's own look at these frames."""
        return self.author.startswith(PROPOSAL)
