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
    """Good pixels in rings of equal width, those of a ring together. pixel (P,): flat index; ring (P,): ring of each; waves
    (P, MAX_ORDER): exp(-i m phi), its mean over the ring's good pixels taken away; count (n,): pixels of each ring; free
    (n, MAX_ORDER): mean of |waves|^2, below 1 where a gap or a coarse ring leaves less room for an order."""

    pixel: NDArray[np.int64]
    ring: NDArray[np.int64]
    waves: NDArray[np.complex128]
    count: NDArray[np.int64]
    free: NDArray[np.float64]

    def sums(self, values: NDArray) -> NDArray:
        """(n, ...) sum over each ring of values (P, ...)."""
        present = np.flatnonzero(self.count)
        out = np.zeros((len(self.count), *values.shape[1:]), values.dtype)
        if len(present):
            out[present] = np.add.reduceat(values, np.concatenate([[0], np.cumsum(self.count[present])[:-1]]), axis=0)
        return out


def make_rings(geometry: Geometry, bad_pixels: NDArray[np.bool_]) -> Rings:
    """Rings about the beam centre; those cut by the edge of the detector count with what lies on it."""
    pixel = np.flatnonzero(~bad_pixels.ravel())
    ring = (radius_px(geometry).ravel()[pixel] / _RING_WIDTH_PX).astype(np.int64)
    order = np.argsort(ring, kind="stable")
    pixel, ring = pixel[order], ring[order]
    waves = np.exp(-1j * azimuth_rad(geometry).ravel()[pixel][:, None] * np.arange(1, MAX_ORDER + 1))
    count = np.bincount(ring)
    plain = Rings(pixel, ring, waves, count, np.empty(0))
    n = np.maximum(count, 1)[:, None]
    waves = waves - (plain.sums(waves) / n)[ring]
    return Rings(pixel, ring, waves, count, plain.sums(np.abs(waves) ** 2) / n)


def angular_power(rings: Rings, frame: NDArray, poisson: bool) -> NDArray[np.float64] | None:
    """(MAX_ORDER,) mean over the rings of a frame (ny, nx) of |sum (I - <I>) exp(-i m phi)|^2 / (sum I)^2; None where no ring
    is bright enough. ``poisson``: the power that photon noise has on average (about 1 / sum I) is taken off."""
    values = np.nan_to_num(frame.ravel()[rings.pixel].astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    total = rings.sums(values)
    used = total >= _LEAST_PER_RING
    if not used.any():
        return None
    wave = rings.sums(values[:, None] * rings.waves)[used]
    noise = total[used, None] * rings.free[used] if poisson else 0.0
    return ((np.abs(wave) ** 2 - noise) / total[used, None] ** 2).mean(axis=0)


def twofold_angle(rings: Rings, frame: NDArray) -> float:
    """Angle in [0, pi) of the two-fold axis of a frame (ny, nx), along which it is brightest; NaN for a dark one."""
    values = np.nan_to_num(frame.ravel()[rings.pixel].astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    total = rings.sums(values)
    used = total >= _LEAST_PER_RING
    if not used.any():
        return float("nan")
    wave = rings.sums(values * rings.waves[:, 1])[used].sum()
    return float(-np.angle(wave) / 2 % np.pi)


@dataclass
class AngularContrast:
    """Running mean over frames of their `angular_power`.

    Bad pixels count as at their ring's mean. On photons a ring without structure gives 0 whatever its brightness.
    """

    rings: Rings
    poisson: bool
    power: NDArray[np.float64] = field(default_factory=lambda: np.zeros(MAX_ORDER))
    n: int = 0

    def update(self, frames: NDArray) -> None:
        """Add frames (n, ny, nx)."""
        for frame in frames:
            power = angular_power(self.rings, frame, self.poisson)
            if power is not None:
                self.power += power
                self.n += 1

    def finish(self) -> NDArray[np.float64]:
        """(MAX_ORDER,) contrast of orders 1, 2, ...: the root of the mean power; NaN where no frame was bright enough."""
        return np.sqrt(np.maximum(self.power, 0) / self.n) if self.n else np.full(MAX_ORDER, np.nan)
