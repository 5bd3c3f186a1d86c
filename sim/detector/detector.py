"""From an intensity per solid angle to the numbers that a detector records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sim.detector.background import shaped_background
from sim.detector.config import DetectorConfig
from sim.detector.fluence import Shot
from sim.detector.masks import PixelMap, pixel_map
from sim.detector.noise import Noise
from sim.detector.optics import blur_images, shift_images
from sim.scattering.pixels import polarisation, solid_angle_sr
from sorter.core.geometry import Geometry


@dataclass(frozen=True)
class Exposure:
    """What was recorded: frames (B, ny, nx) of the detector's dtype; photons (B,) int64, the particles' photons that were
    detected on good pixels; expected (B,) float64, the mean of the same; shift_px (B, 2) beam pointing (dy, dx)."""

    frames: NDArray
    photons: NDArray[np.int64]
    expected: NDArray[np.float64]
    shift_px: NDArray[np.float32]


class Detector:
    """A detector in its place; `expose` records a batch of shots.

    config: its stages. geometry: its place. seed: of what is fixed during a run (defects, spread of the gain).
    Raises InputError where no good pixel is left.
    """

    def __init__(
        self, config: DetectorConfig, geometry: Geometry, seed: int = 0, device: torch.device | str = "cpu"
    ) -> None:
        self.config, self.geometry, self.device = config, geometry, torch.device(device)
        self.pixels: PixelMap = pixel_map(config, geometry, seed)
        flat = solid_angle_sr(geometry)
        if not config.solid_angle:  # a sphere of pixels: the same solid angle everywhere
            flat = torch.full_like(flat, float(flat.max()))
        if config.polarisation != "off":
            flat = flat * polarisation(geometry, {"unpolarised": "none"}.get(config.polarisation, config.polarisation))
        self._flat = self._tensor(flat.numpy())
        self._recorded = self._tensor(self.pixels.recorded)
        self._good = self._tensor(self.pixels.good & self.pixels.recorded)
        self._gain = self._tensor(self.pixels.gain)
        shaped = shaped_background(config, geometry)
        self._shaped = None if shaped is None else self._tensor(shaped)
        self._hot = self._tensor(self.pixels.hot * config.hot_photons) if self.pixels.hot.any() else None

    def _tensor(self, image: NDArray) -> Tensor:
        return torch.as_tensor(np.asarray(image, np.float32), device=self.device)

    def expose(self, intensity: Tensor, shots: Sequence[Shot | None], noise: Noise) -> Exposure:
        """Record shots.

        intensity: (B, ny, nx) float32, differential cross-section in m^2 / sr; only its shape matters for shots of given
        expected_photons. shots: one per frame, None for a blank.
        """
        signal, expected, shift = self._signal(intensity, shots, noise)
        particle = noise.poisson(signal)
        photons = (particle * self._good).sum((1, 2), dtype=torch.float64)
        counts = self._respond(particle + self._background(len(intensity), noise), noise)
        return Exposure(
            self._digitise(counts), photons.cpu().numpy().astype(np.int64), expected.cpu().numpy(), shift.cpu().numpy()
        )

    def _signal(self, intensity: Tensor, shots: Sequence[Shot | None], noise: Noise) -> tuple[Tensor, Tensor, Tensor]:
        """Mean photons of the particles per pixel, their sum on good pixels, and the pointing of each shot."""
        config = self.config
        signal = intensity * self._flat
        shift = torch.zeros(len(signal), 2, device=self.device)
        if config.pointing_jitter_px:
            shift = config.pointing_jitter_px * noise.normal(2)
            signal = shift_images(signal, shift)
        signal = blur_images(signal, config.blur_px) * self._recorded
        on_good = (signal * self._good).sum((1, 2), dtype=torch.float64)
        fixed = [0.0 if s is None else s.expected_photons or 0.0 for s in shots]
        fluence = [0.0 if s is None or s.expected_photons is not None else s.fluence_photons_per_m2 for s in shots]
        wanted = torch.tensor(fixed, dtype=torch.float64, device=self.device)
        per_m2 = torch.tensor(fluence, dtype=torch.float64, device=self.device)
        scale = torch.where(wanted > 0, wanted / on_good.clamp_min(1e-300), per_m2)
        return signal * scale.float()[:, None, None], scale * on_good, shift

    def _background(self, batch: int, noise: Noise) -> Tensor:
        """Photons of the background, (B, ny, nx)."""
        config = self.config
        level = torch.ones(batch, device=self.device)
        if config.background_spread:  # log-normal with mean 1
            sigma = np.sqrt(np.log1p(config.background_spread**2))
            level = torch.exp(sigma * noise.normal() - sigma**2 / 2)
        total = torch.zeros(batch, *self.geometry.shape_px, device=self.device)
        if config.background_photons:
            total = total + noise.flat_poisson(config.background_photons * level, self.geometry.shape_px)
        if self._shaped is not None:
            total = total + noise.poisson(self._shaped * level[:, None, None])
        if self._hot is not None:
            total = total + noise.poisson(self._hot.expand(batch, -1, -1).contiguous())
        return total * self._recorded

    def _respond(self, photons: Tensor, noise: Noise) -> Tensor:
        """Photons to detector units: gain and its fluctuation, plate response, read noise, pedestal, clipping."""
        config, shape = self.config, self.geometry.shape_px
        signal = photons
        if config.excess_noise:  # n single-photon gains of relative spread s: relative spread s / sqrt(n)
            signal = (signal + config.excess_noise * photons.sqrt() * noise.normal(*shape)).clamp_min(0)
        if config.gain_adu != 1 or config.gain_spread or config.cold_fraction:
            signal = signal * (config.gain_adu * self._gain)
        if config.response_knee_adu:
            signal = config.response_knee_adu * -torch.expm1(-signal / config.response_knee_adu)
        if config.response_exponent != 1:
            signal = signal**config.response_exponent
        signal = signal.clamp_max(config.saturation_adu)
        if config.read_noise_adu:
            signal = signal + config.read_noise_adu * noise.normal(*shape)
        return (signal + config.pedestal_adu) * (self._tensor(self.pixels.cxi & 0x200 == 0))

    def _digitise(self, counts: Tensor) -> NDArray:
        dtype = self.config.dtype
        if dtype == np.float32:
            return counts.cpu().numpy()
        counts = counts.round()
        if dtype.kind == "u":
            counts = counts.clamp_min(0)
        limit = float(np.iinfo(dtype).max)
        return counts.clamp_max(limit if limit < 2**24 else 2.0**31 - 128).cpu().numpy().astype(dtype)
