"""Settings of the simulated detector: one frozen, validated dataclass; every stage can be switched."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from sim.scattering.pixels import detector_geometry
from sorter.core.config import require
from sorter.core.geometry import Geometry

Polarisation = Literal["off", "x", "y", "unpolarised"]
Unit = Literal["photon", "adu"]


@dataclass(frozen=True)
class LayoutConfig:
    """Where the detector stands: a flat square of n_px x n_px pixels whose edge (middle of a side) is seen under
    two_theta_edge_deg; the beam meets its middle unless beam_center_px (y, x) says otherwise."""

    n_px: int = 128
    wavelength_nm: float = 13.5
    two_theta_edge_deg: float = 30.0
    pixel_size_um: float = 600.0
    beam_center_px: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        require(8 <= self.n_px <= 4096, f"layout.n_px = {self.n_px}: must lie in 8..4096 pixels")
        for name in ("wavelength_nm", "pixel_size_um"):
            value = getattr(self, name)
            require(math.isfinite(value) and value > 0, f"layout.{name} = {value}: must be a positive number")
        require(
            0 < self.two_theta_edge_deg <= 60,
            f"layout.two_theta_edge_deg = {self.two_theta_edge_deg}: must lie in (0, 60] degrees; a flat detector's corners "
            "would leave the Ewald sphere's forward half beyond that",
        )

    def geometry(self) -> Geometry:
        """The geometry: the distance puts the outer side of the last pixel at two_theta_edge_deg."""
        return detector_geometry(
            (self.n_px, self.n_px),
            self.wavelength_nm * 1e-9,
            math.radians(self.two_theta_edge_deg),
            self.pixel_size_um * 1e-6,
            self.beam_center_px,
        )


@dataclass(frozen=True)
class DetectorConfig:
    """Everything between the far field and the recorded numbers. A stage whose value is 0 (or "off", False) is off.

    Flat detector
        solid_angle: factor cos^3(two_theta). polarisation: of the beam.
    Layout
        panels (rows, columns) with gap_px between them; beam_stop_radius_px (shadow, with a stalk of stalk_width_px towards
        stalk_angle_deg) and hole_radius_px (no pixels there); hot, dead and cold pixels as fractions of all pixels, flagged in
        the mask where defects_masked.
    Background, mean photons per pixel
        background_photons isotropic; ring_photons at the top of a ring at ring_q_inv_nm of width ring_width_inv_nm;
        streak_photons ten pixels from the beam along streak_angle_deg (jet, slits), streak_width_px wide;
        background_spread: relative standard deviation from shot to shot (log-normal).
    Beam and optics
        pointing_jitter_px: standard deviation of the beam position, per axis; blur_px: Gaussian standard deviation.
    Response
        gain_adu per photon (1 = photon units), gain_spread from pixel to pixel, excess_noise of the gain of one photon,
        read_noise_adu, pedestal_adu; response_exponent and response_knee_adu of a multichannel plate
        (y = knee (1 - exp(-x / knee)), then y^exponent); saturation_adu clips; integer rounds.
    """

    solid_angle: bool = True
    polarisation: Polarisation = "x"
    panels: tuple[int, int] = (1, 1)
    gap_px: int = 0
    beam_stop_radius_px: float = 0.0
    stalk_width_px: float = 0.0
    stalk_angle_deg: float = 90.0
    hole_radius_px: float = 0.0
    hot_fraction: float = 0.0
    hot_photons: float = 30.0
    dead_fraction: float = 0.0
    cold_fraction: float = 0.0
    cold_gain: float = 0.3
    defects_masked: bool = True
    background_photons: float = 0.0
    background_spread: float = 0.0
    ring_photons: float = 0.0
    ring_q_inv_nm: float = 0.15
    ring_width_inv_nm: float = 0.02
    streak_photons: float = 0.0
    streak_angle_deg: float = 0.0
    streak_width_px: float = 1.5
    pointing_jitter_px: float = 0.0
    blur_px: float = 0.0
    gain_adu: float = 1.0
    gain_spread: float = 0.0
    excess_noise: float = 0.0
    read_noise_adu: float = 0.0
    pedestal_adu: float = 0.0
    response_exponent: float = 1.0
    response_knee_adu: float = 0.0
    saturation_adu: float = 65535.0
    integer: bool = True

    def __post_init__(self) -> None:
        require(
            self.polarisation in get_args(Polarisation),
            f"detector.polarisation = {self.polarisation!r}: must be one of {', '.join(get_args(Polarisation))}",
        )
        rows, columns = self.panels
        require(rows >= 1 and columns >= 1, f"detector.panels = {self.panels}: at least one row and one column")
        positive = ("ring_width_inv_nm", "streak_width_px", "gain_adu", "response_exponent", "saturation_adu")
        free = ("panels", "stalk_angle_deg", "streak_angle_deg", "pedestal_adu")
        for name, value in vars(self).items():
            if isinstance(value, (str, bool)) or name in free:
                continue
            require(math.isfinite(value), f"detector.{name} = {value}: must be a finite number")
            low = "above 0" if name in positive else "0 or more"
            require(value > 0 if name in positive else value >= 0, f"detector.{name} = {value}: must be {low}")
        share = self.hot_fraction + self.dead_fraction + self.cold_fraction
        require(share <= 1, f"detector: hot, dead and cold fractions add up to {share}: at most 1")

    @property
    def unit(self) -> Unit:
        """ "photon" where a recorded number is a number of photons, else "adu"."""
        plain = self.gain_adu == 1 and not (self.excess_noise or self.gain_spread or self.read_noise_adu)
        linear = self.response_exponent == 1 and not self.response_knee_adu and not self.pedestal_adu
        return "photon" if plain and linear and not (self.cold_fraction and not self.defects_masked) else "adu"

    @property
    def dtype(self) -> np.dtype:
        """uint16 or uint32 where numbers cannot be negative, int32 with read noise, float32 where not integer."""
        if not self.integer:
            return np.dtype(np.float32)
        if self.read_noise_adu or self.excess_noise or self.pedestal_adu < 0:
            return np.dtype(np.int32)
        return np.dtype(np.uint16 if self.saturation_adu <= 65535 else np.uint32)
