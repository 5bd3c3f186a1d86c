"""Which frames hold a particle."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.core.embedding import check_rows


@dataclass(frozen=True)
class Hits:
    """frame_id (N,) uint64, all frames in storage order; photons (N,) float64, sum over good pixels in the store's unit;
    score (N,) float32, larger is brighter against the run's background; is_hit (N,) bool; threshold on the score
    (-inf where every frame is taken as a hit); meta: rule, populations found, what was said about them."""

    frame_id: NDArray[np.uint64]
    photons: NDArray[np.float64]
    score: NDArray[np.float32]
    is_hit: NDArray[np.bool_]
    threshold: float
    meta: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_rows("hits", self.frame_id, photons=self.photons, score=self.score, is_hit=self.is_hit)

    @property
    def hit_ids(self) -> NDArray[np.uint64]:
        """Ids of the hits, storage order."""
        return self.frame_id[self.is_hit]


def within_span(photons: NDArray, span: float) -> NDArray[np.bool_]:
    """Which of the hits of these ``photons`` (N,) are at most ``span`` times dimmer than their 90th percentile."""
    return photons >= np.percentile(photons, 90) / span if len(photons) else np.zeros(0, bool)
