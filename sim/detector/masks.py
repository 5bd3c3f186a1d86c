"""Gaps, beam stop, hole and defect pixels of a simulated detector, as CXI mask bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.detector.config import DetectorConfig
from sorter.core.errors import InputError
from sorter.core.geometry import Geometry, radius_px
from sorter.core.seeds import child_rng

#: Bits of a CXI mask (CXI 1.6): 0 is a perfect pixel.
HOT, DEAD, SHADOWED, BAD, MISSING = 0x4, 0x8, 0x10, 0x80, 0x200

BoolImage = NDArray[np.bool_]


@dataclass(frozen=True)
class PixelMap:
    """What the pixels are, all (ny, nx): cxi uint32 mask bits as written to the file; recorded: a pixel exists and sees light;
    gain: float32 relative sensitivity; hot: bool."""

    cxi: NDArray[np.uint32]
    recorded: BoolImage
    gain: NDArray[np.float32]
    hot: BoolImage

    @property
    def good(self) -> BoolImage:
        """Pixels that the mask calls good."""
        return self.cxi == 0


def gap_pixels(shape_px: tuple[int, int], panels: tuple[int, int], gap_px: int) -> BoolImage:
    """True in the gaps of gap_px pixels between a grid of ``panels`` (rows, columns) equal panels.

    Raises InputError where the gaps leave no panel.
    """
    gap = np.zeros(shape_px, bool)
    for axis, count in enumerate(panels):
        size = shape_px[axis]
        if (count - 1) * gap_px >= size:
            raise InputError(
                f"detector.gap_px = {gap_px}: {count} panels leave no pixel of {size}; use fewer or narrower gaps"
            )
        for border in range(1, count):
            start = round(border * size / count - gap_px / 2)
            index = (slice(start, start + gap_px), slice(None))
            gap[index if axis == 0 else index[::-1]] = True
    return gap


def stop_pixels(geometry: Geometry, radius: float, stalk_width: float, stalk_angle_deg: float) -> BoolImage:
    """True in the shadow of a round beam stop (radius, pixels) and of the stalk that holds it."""
    shadow = radius_px(geometry) <= radius if radius > 0 else np.zeros(geometry.shape_px, bool)
    if stalk_width > 0:
        cy, cx = geometry.center_px()
        y, x = np.ogrid[: geometry.shape_px[0], : geometry.shape_px[1]]
        angle = np.radians(stalk_angle_deg)
        along = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
        across = (y - cy) * np.cos(angle) - (x - cx) * np.sin(angle)
        shadow = shadow | ((along > 0) & (np.abs(across) <= stalk_width / 2))
    return shadow


def pixel_map(config: DetectorConfig, geometry: Geometry, seed: int) -> PixelMap:
    """The pixels of one run; defects and the spread of the gain are drawn from ``seed`` and are the same in all its frames.

    Raises InputError where nothing is left to record.
    """
    shape = geometry.shape_px
    gaps = gap_pixels(shape, config.panels, config.gap_px)
    if config.hole_radius_px > 0:
        gaps |= radius_px(geometry) <= config.hole_radius_px
    shadow = stop_pixels(geometry, config.beam_stop_radius_px, config.stalk_width_px, config.stalk_angle_deg)
    draw = child_rng(seed, "detector", "defects").random(shape)
    hot = draw < config.hot_fraction
    dead = ~hot & (draw < config.hot_fraction + config.dead_fraction)
    cold = ~hot & ~dead & (draw < config.hot_fraction + config.dead_fraction + config.cold_fraction)
    gain = np.ones(shape)
    if config.gain_spread:
        gain = np.maximum(1 + config.gain_spread * child_rng(seed, "detector", "gain").standard_normal(shape), 0)
    gain[cold] *= config.cold_gain
    cxi = np.where(gaps, MISSING, 0) | np.where(shadow, SHADOWED, 0)
    if config.defects_masked:
        cxi = cxi | np.where(hot, HOT, 0) | np.where(dead, DEAD, 0) | np.where(cold, BAD, 0)
    recorded = ~(gaps | shadow | dead)
    if not (cxi == 0).any():
        raise InputError("detector: gaps, beam stop and defects leave no good pixel; make them smaller")
    return PixelMap(cxi.astype(np.uint32), recorded, gain.astype(np.float32), hot & recorded)
