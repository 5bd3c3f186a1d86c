"""What the labels given so far say about the other frames; a guess, kept apart from a person's labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.core.embedding import check_rows
from sorter.core.errors import InputError


@dataclass(frozen=True)
class Proposals:
    """A class for each frame, how sure that is, and whether it is none of the classes that were named.

    name; frame_id (N,) uint64; classes: (C,) labels; probability (N, C) float32, given that the frame belongs to a named class:
    rows sum to one where frames have one label each, are independent where they may have several (meta["several"]);
    unknown (N,) float32: probability that it belongs to no named class; next_value (N,) float32 in [0, 1]: what labelling it next
    is worth, 0 for labelled frames; labelled (N,) bool: a person has labelled it; meta: JSON-ready.
    """

    name: str
    frame_id: NDArray[np.uint64]
    classes: tuple[str, ...]
    probability: NDArray[np.float32]
    unknown: NDArray[np.float32]
    next_value: NDArray[np.float32]
    labelled: NDArray[np.bool_]
    meta: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        what = f"proposals {self.name}"
        columns = {name: getattr(self, name) for name in ("probability", "unknown", "next_value", "labelled")}
        check_rows(what, self.frame_id, **columns)
        if self.probability.shape != (len(self.frame_id), len(self.classes)):
            raise InputError(f"{what}: probability of shape {self.probability.shape} for {len(self.classes)} classes")

    @property
    def none_of_these(self) -> NDArray[np.bool_]:
        """(N,) bool: more likely than not of a class that nobody has named; never a labelled frame."""
        return (self.unknown > 0.5) & ~self.labelled

    @property
    def best(self) -> NDArray[np.int64]:
        """(N,) number of the likeliest class; -1 where it is none of these, or where there is no class."""
        if not self.classes:
            return np.full(len(self.frame_id), -1)
        return np.where(self.none_of_these, -1, self.probability.argmax(axis=1))

    @property
    def confidence(self) -> NDArray[np.float32]:
        """(N, C) probability of each class, with that of being none of them taken off."""
        return self.probability * (1 - self.unknown[:, None])

    def proposed(self, min_probability: float = 0.5) -> NDArray[np.bool_]:
        """(N, C) bool: the labels to propose to frames no person has labelled: `confidence` at least ``min_probability``."""
        return (self.confidence >= min_probability) & ~self.labelled[:, None]
