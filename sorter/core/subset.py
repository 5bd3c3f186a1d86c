"""A decision: these frames, chosen by this rule."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Subset:
    """The only thing that is handed to reconstruction.

    name; frame_id (N,) uint64 in storage order; rule: what chose them, as text; label_book_revision: number of the last
    event that the rule could see; meta: JSON-ready details (options, clustering, layout a selection was drawn in).
    """

    name: str
    frame_id: NDArray[np.uint64]
    rule: str
    label_book_revision: int
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """Checksum of the chosen ids, whatever their order."""
        return hashlib.sha256(np.sort(self.frame_id).astype("<u8").tobytes()).hexdigest()
