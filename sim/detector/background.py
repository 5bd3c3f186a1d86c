"""Photons that did not come from a particle: mean number per pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.detector.config import DetectorConfig
from sorter.core.geometry import Geometry, q_inv_nm, radius_px

#: Distance from the beam at which streak_photons is reached, pixels.
STREAK_REFERENCE_PX = 10.0


def shaped_background(config: DetectorConfig, geometry: Geometry) -> NDArray[np.float32] | None:
    """Ring and streak, (ny, nx) mean photons per pixel; None where both are off (the isotropic part is drawn apart).

    The ring is a Gaussian in |q| (window, ice, liquid sheet); the streak falls off as 1/r^2 along its line, as light scattered
    by a straight edge does (jet, slits).
    """
    if not (config.ring_photons or config.streak_photons):
        return None
    out = np.zeros(geometry.shape_px)
    if config.ring_photons:
        distance = (q_inv_nm(geometry) - config.ring_q_inv_nm) / config.ring_width_inv_nm
        out += config.ring_photons * np.exp(-(distance**2) / 2)
    if config.streak_photons:
        cy, cx = geometry.center_px()
        y, x = np.ogrid[: geometry.shape_px[0], : geometry.shape_px[1]]
        angle = np.radians(config.streak_angle_deg)
        across = (y - cy) * np.cos(angle) - (x - cx) * np.sin(angle)
        falloff = (STREAK_REFERENCE_PX / np.maximum(radius_px(geometry), 1.0)) ** 2
        out += config.streak_photons * falloff * np.exp(-((across / config.streak_width_px) ** 2) / 2)
    return out.astype(np.float32)
