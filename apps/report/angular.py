"""Angular contrast of frames: how strongly each n-fold order modulates the rings about the beam."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sorter.core.geometry import Geometry, azimuth_rad, radius_px

MAX_ORDER = 8
#: Rings with less than this in a frame say nothing about angles.
_LEAST_PER_RING = 30.0
_RING_WIDTH_PX = 3.0


@dataclass(frozen=True)
class Rings:
    """Good pixels in rings of equal width. pixel (P,): flat index; ring (P,): ring of each; waves (P, MAX_ORDER):
    exp(-i m phi) for m = 1, 2, ...; n: number of rings."""

    pixel: NDArray[np.int64]
    ring: NDArray[np.int64]
    waves: NDArray[np.complex128]
    n: int


def make_rings(geometry: Geometry, bad_pixels: NDArray[np.bool_]) -> Rings:
    """Rings about the beam centre; those cut by the edge of the detector count with what lies on it."""
    pixel = np.flatnonzero(~bad_pixels.ravel())
    ring = (radius_px(geometry).ravel()[pixel] / _RING_WIDTH_PX).astype(np.int64)
    order = np.argsort(ring, kind="stable")
    pixel, ring = pixel[order], ring[order]
    azimuth = azimuth_rad(geometry).ravel()[pixel]
    return Rings(
        pixel, ring, np.exp(-1j * azimuth[:, None] * np.arange(1, MAX_ORDER + 1)), int(ring.max(initial=-1)) + 1
    )


@dataclass
class AngularContrast:
    """Running mean over frames of the angular power |sum (I - <I>) exp(-i m phi)|^2 / (sum I)^2 of each ring, over rings.

    Bad pixels count as at their ring's mean. On photons the power that Poisson noise has on average, 1 / sum I, is taken off,
    so a ring without structure gives 0 whatever its brightness.
    """

    rings: Rings
    poisson: bool
    power: NDArray[np.float64] = field(default_factory=lambda: np.zeros(MAX_ORDER))
    n: int = 0

    def update(self, frames: NDArray) -> None:
        """Add frames (n, ny, nx)."""
        for frame in frames.reshape(len(frames), -1):
            self._add(np.nan_to_num(frame[self.rings.pixel].astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0))

    def _add(self, values: NDArray[np.float64]) -> None:
        ring, n = self.rings.ring, self.rings.n
        total = np.bincount(ring, values, minlength=n)
        used = total >= _LEAST_PER_RING
        if not used.any():
            return
        count = np.bincount(ring, minlength=n)
        rest = (values - (total / np.maximum(count, 1))[ring])[:, None] * self.rings.waves
        present = np.flatnonzero(count)
        starts = np.concatenate([[0], np.cumsum(count[present])[:-1]])
        wave = np.zeros((n, MAX_ORDER), complex)
        wave[present] = np.add.reduceat(rest, starts, axis=0)
        noise = total[used] if self.poisson else np.zeros(int(used.sum()))
        self.power += ((np.abs(wave[used]) ** 2 - noise[:, None]) / total[used][:, None] ** 2).mean(axis=0)
        self.n += 1

    def finish(self) -> NDArray[np.float64]:
        """(MAX_ORDER,) contrast of orders 1, 2, ...: the root of the mean power; NaN where no frame was bright enough."""
        return np.sqrt(np.maximum(self.power, 0) / self.n) if self.n else np.full(MAX_ORDER, np.nan)
