"""The views of the contrastive encoder, in the order in which nature would make them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sorter.core.config import require
from sorter.preprocess.canonical import roll_angles
from sorter.preprocess.polar import PolarGrid
from sorter.preprocess.scaling import log_scaled, polar_picture
from sorter.views.gaps import drop_rings, drop_wedge
from sorter.views.geometric import mirror_angles, radial_positions, resample_radially
from sorter.views.thinning import thin_photons


@dataclass(frozen=True)
class ViewConfig:
    """How far views may differ from the frame. Cropping and centro-symmetrising are left out on purpose: the first
    erases size, the second the three-dimensional shape that wide-angle frames carry.

    rotate: any angle about the beam, and mirroring. log_zoom: largest |ln| of the radial zoom, 0 keeps size.
    log_thinning: largest -ln of the share of photons kept. shift_px: largest move of the beam centre.
    wedge, rings: largest share of angles and of rings that a gap takes.
    """

    rotate: bool = True
    log_zoom: float = 0.3
    log_thinning: float = 2.3
    shift_px: float = 0.7
    wedge: float = 0.15
    rings: float = 0.1

    def __post_init__(self) -> None:
        require(self.log_zoom >= 0 and self.log_thinning >= 0, "views: log_zoom and log_thinning must not be negative")
        require(0 <= self.wedge < 0.5 and 0 <= self.rings < 0.5, "views: wedge and rings must lie in [0, 0.5)")


class PolarViews:
    """Makes views of sector counts: thinning (photon data only), zoom and centre shift, turn, gaps, scaling.

    Called with counts (B, S) and a generator; returns the scaled picture and its weight, both (B, R, T).
    """

    def __init__(self, grid: PolarGrid, area: Tensor, softening: float, photons: bool, config: ViewConfig) -> None:
        self.grid, self.softening, self.photons, self.config = grid, softening, photons, config
        self.index = torch.from_numpy(grid.expand)
        self.area = area

    def __call__(self, counts: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        config, n, device = self.config, len(counts), counts.device

        def uniform(*shape: int) -> Tensor:
            return torch.rand(shape, generator=generator, device=device)

        if self.photons and config.log_thinning > 0:
            counts = thin_photons(counts, torch.exp(-config.log_thinning * uniform(n)), generator)
        rate, weight = polar_picture(counts, self.area.to(device), self.index.to(device))
        zoom = torch.exp(config.log_zoom * (2 * uniform(n) - 1))
        shift = (2 * uniform(n, 2) - 1) * config.shift_px / self.grid.ring_width_px
        angles = (torch.arange(self.grid.n_angles, device=device) + 0.5) * (2 * math.pi / self.grid.n_angles)
        inner = self.grid.inner_px / self.grid.ring_width_px
        rate, weight = resample_radially(rate, weight, radial_positions(self.grid.n_radii, inner, zoom, shift, angles))
        weight = self._gaps(weight, uniform)
        if config.rotate:
            turn, mirrored = (uniform(n) * self.grid.n_angles).long(), uniform(n) < 0.5
            rate, weight = (mirror_angles(roll_angles(x, turn), mirrored) for x in (rate, weight))
        return log_scaled(rate, weight, self.softening), weight

    def _gaps(self, weight: Tensor, uniform) -> Tensor:
        n, (_, n_radii, n_angles) = len(weight), weight.shape
        if self.config.wedge > 0:
            width = (uniform(n) * self.config.wedge * n_angles).long()
            weight = drop_wedge(weight, (uniform(n) * n_angles).long(), width)
        if self.config.rings > 0:
            width = (uniform(n) * self.config.rings * n_radii).round().long()
            weight = drop_rings(weight, (uniform(n) * n_radii).long(), width)
        return weight
