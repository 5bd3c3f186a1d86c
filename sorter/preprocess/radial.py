"""Radial profile of a frame about the beam centre, in q where the geometry is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sorter.core.geometry import Geometry, radius_px


@dataclass(frozen=True)
class RadialGrid:
    """Rings one pixel wide: ring (ny, nx) int64 number of each pixel, -1 where it is bad; at (n,) their place on the axis."""

    ring: NDArray[np.int64]
    at: NDArray[np.float64]
    unit: str

    def profile(self, frame: NDArray) -> NDArray[np.float64]:
        """(n,) mean over the good pixels of each ring; NaN where there is none."""
        used = (self.ring >= 0) & np.isfinite(frame)
        total = np.bincount(self.ring[used], weights=frame[used], minlength=len(self.at))
        count = np.bincount(self.ring[used], minlength=len(self.at))
        with np.errstate(invalid="ignore"):
            return total / np.where(count, count, np.nan)


def radial_grid(geometry: Geometry, bad_pixels: NDArray[np.bool_]) -> RadialGrid:
    """Rings about the beam centre; ``at`` in 1/nm where q is known, else in pixels."""
    ring = np.rint(radius_px(geometry)).astype(np.int64)
    radii = np.arange(ring.max() + 1, dtype=np.float64)
    ring = np.where(bad_pixels, -1, ring)
    if not geometry.has_q:
        return RadialGrid(ring, radii, "px")
    return RadialGrid(ring, q_of_radius(geometry, radii), "1/nm")


def q_of_radius(geometry: Geometry, radius: NDArray[np.float64]) -> NDArray[np.float64]:
    """|q| = (4 pi / wavelength) sin(two_theta / 2), 1/nm, at distances ``radius`` (pixels) from the beam centre."""
    assert geometry.pixel_size_m and geometry.distance_m and geometry.wavelength_m
    two_theta = np.arctan(radius * geometry.pixel_size_m / geometry.distance_m)
    return 4 * np.pi / (geometry.wavelength_m * 1e9) * np.sin(two_theta / 2)
