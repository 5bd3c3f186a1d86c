"""Shots of a noise-free pattern: another detector, beam centre, turn, brightness, background and noise each time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from sorter.core.config import require
from sorter.preprocess.canonical import roll_angles
from sorter.preprocess.polar import PolarMap
from sorter.preprocess.scaling import log_scaled
from sorter.views.geometric import mirror_angles

#: Rates are per pixel of a detector whose grid ends at this radius (about 128 x 128 pixels), whatever its own pixels are: binning
#: a frame changes neither picture nor scale.
USUAL_OUTER_PX = 65.0


@dataclass(frozen=True)
class ShotConfig:
    """What may differ from shot to shot; ranges are drawn log-uniformly.

    reach: outer radius of the detector's grid as a share of the patterns' own. photons on the detector's good pixels;
    ``dim_share`` of the shots come from the range ``dim_photons`` below. background: photons per usual pixel (see
    `USUAL_OUTER_PX`). shift: largest move of the beam centre, share of the outer radius. excess: largest relative spread of
    what one photon gives. softening: see `log_scaled`, photons per usual pixel; softening_spread: largest factor on it, for
    frames that are not in photons are scaled by guess.
    """

    reach: tuple[float, float] = (0.55, 1.0)
    photons: tuple[float, float] = (2e3, 1e6)
    dim_photons: tuple[float, float] = (1e2, 2e3)
    dim_share: float = 0.3
    background: tuple[float, float] = (2e-3, 8e-2)
    shift: float = 0.015
    excess: float = 0.6
    softening: float = 0.1
    softening_spread: float = 2.0

    def __post_init__(self) -> None:
        for name in ("reach", "photons", "dim_photons", "background"):
            low, high = getattr(self, name)
            require(0 < low <= high, f"shots: {name} = {low}..{high}: need 0 < low <= high")
        require(self.reach[1] <= 1 and 0 <= self.dim_share <= 1, "shots: reach and dim_share must not exceed 1")


class Detectors:
    """Polar maps of D detectors side by side: sector (D, R, T) int64 of each cell, area (D, S) its good pixels, outer_px (D,).

    Their grids must begin at the beam and have the same rings and angles.
    """

    def __init__(self, maps: Sequence[PolarMap]) -> None:
        require(all(polar.grid.inner_px == 0 for polar in maps), "detectors: their grids must begin at the beam")
        most = max(polar.grid.n_sectors for polar in maps)
        self.sector = torch.stack([torch.from_numpy(polar.grid.expand) for polar in maps])
        self.area = torch.stack([functional.pad(polar.area, (0, most - polar.grid.n_sectors)) for polar in maps])
        self.outer_px = torch.tensor([polar.grid.outer_px for polar in maps])

    def __len__(self) -> int:
        return len(self.sector)


class Shots:
    """Called with log rates (B, R0, T) of a pattern bank and a generator; returns scaled pictures and weights (B, R, T)."""

    def __init__(self, detectors: Detectors, config: ShotConfig) -> None:
        self.detectors, self.config = detectors, config

    def __call__(self, log_rate: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        config, n = self.config, len(log_rate)

        def uniform(*shape: int) -> Tensor:
            return torch.rand(shape, generator=generator)

        def log_uniform(low: float, high: float) -> Tensor:
            return low * (high / low) ** uniform(n)

        chosen = (uniform(n) * len(self.detectors)).long()
        sector, area, outer_px = (
            values[chosen] for values in (self.detectors.sector, self.detectors.area, self.detectors.outer_px)
        )
        reach = config.reach[0] + (config.reach[1] - config.reach[0]) * uniform(n)
        shift = (2 * uniform(n, 2) - 1) * config.shift / math.sqrt(2)
        per_cell = ring_means(torch.exp(log_rate.float()), reach, shift, sector.shape[1])
        turn, mirrored = (uniform(n) * per_cell.shape[-1]).long(), uniform(n) < 0.5
        per_sector = sector_means(mirror_angles(roll_angles(per_cell, turn), mirrored), sector, area.shape[1])
        dim, bright = log_uniform(*config.dim_photons), log_uniform(*config.photons)
        photons = torch.where(uniform(n) < config.dim_share, dim, bright)
        signal = per_sector * area
        signal = signal * (photons / signal.sum(1).clamp_min(1e-12))[:, None]
        pixel = pixel_scale(outer_px)[:, None]  # good pixels count in those of a detector of the usual size
        mean = signal + log_uniform(*config.background)[:, None] * area * pixel
        counts = torch.poisson(mean, generator=generator)
        noise = torch.empty_like(counts).normal_(generator=generator)
        counts = counts + config.excess * uniform(n, 1) * counts.sqrt() * noise
        rate = counts / (area * pixel).clamp_min(1e-6)
        softening = config.softening * config.softening_spread ** (2 * uniform(n, 1) - 1)
        cell = sector.flatten(1)
        picture, weight = (x.gather(1, cell).view(sector.shape) for x in (rate / softening, (area > 0).float()))
        return log_scaled(picture, weight, 1.0), weight


def pixel_scale(outer_px: Tensor) -> Tensor:
    """Area of a pixel where `USUAL_OUTER_PX` pixels reach as far as ``outer_px`` do here."""
    return (USUAL_OUTER_PX / outer_px) ** 2


def ring_means(rate: Tensor, reach: Tensor, shift: Tensor, n_radii: int) -> Tensor:
    """Mean of ``rate`` (B, R0, T) over the cells (B, n_radii, T) of coarser rings, from 0 to ``reach`` (B,) of its outer radius.

    shift (B, 2): (y, x) displacement of the beam centre as a share of the new outer radius; its effect on the azimuth, of
    order shift / radius, is left out. Exact for a rate that is constant in each cell.
    """
    n_fine, n_angles = rate.shape[1:]
    edge = torch.arange(n_fine + 1).square().float()  # area within, in units of the innermost ring's
    within = functional.pad((rate * edge.diff()[:, None]).cumsum(1), (0, 0, 1, 0))
    azimuth = (torch.arange(n_angles) + 0.5) * (2 * math.pi / n_angles)
    along = shift[:, :1] * torch.sin(azimuth) + shift[:, 1:] * torch.cos(azimuth)
    rings = torch.arange(n_radii + 1) / n_radii
    at = (rings[None, :, None] + along[:, None]) * (reach * n_fine)[:, None, None]
    at = at.clamp(0, n_fine)
    low = at.floor().clamp_max(n_fine - 1).long()
    total = within.gather(1, low) + rate.gather(1, low) * (at.square() - low.square())
    return total.diff(dim=1) / at.square().diff(dim=1).clamp_min(1e-6)


def sector_means(cells: Tensor, sector: Tensor, n_sectors: int) -> Tensor:
    """Mean of ``cells`` (B, R, T) over the cells of each ``sector`` (B, R, T): (B, n_sectors), 0 for a sector without cells."""
    index = sector.flatten(1)
    sums = torch.zeros(len(cells), n_sectors).scatter_add_(1, index, cells.flatten(1))
    counts = torch.zeros(len(cells), n_sectors).scatter_add_(1, index, torch.ones_like(cells).flatten(1))
    return sums / counts.clamp_min(1)
