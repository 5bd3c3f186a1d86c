"""Frames on a polar grid about the beam, as a sparse linear map that keeps photon counts whole."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sorter.core.errors import InputError
from sorter.core.frames import FrameStore
from sorter.core.geometry import Geometry, azimuth_rad, radius_px

_PIXELS_PER_SECTOR = 2.0
_COVERED_SHARE = 0.8


@dataclass(frozen=True)
class PolarGrid:
    """``n_radii`` rings of equal width between two radii, each cut into at most ``n_angles`` sectors.

    Inner rings have too few pixels for ``n_angles`` sectors, so a ring has the largest power-of-two share of ``n_angles``
    that leaves two pixels per sector. The sectors, ring after ring, are the S columns of what `PolarMap` returns;
    `expand` says which of them each cell of the full (n_radii, n_angles) picture shows.
    """

    n_radii: int
    n_angles: int
    inner_px: float
    outer_px: float

    def __post_init__(self) -> None:
        if self.n_radii < 1 or self.n_angles < 4 or self.n_angles & (self.n_angles - 1):
            raise InputError(
                f"polar grid {self.n_radii} x {self.n_angles}: need rings, and a power of two (4 or more) angles"
            )
        if not 0 <= self.inner_px < self.outer_px:
            raise InputError(
                f"polar grid from {self.inner_px} to {self.outer_px} pixels: holds nothing; check the beam centre"
            )

    @property
    def ring_width_px(self) -> float:
        """Width of a ring, pixels."""
        return (self.outer_px - self.inner_px) / self.n_radii

    @property
    def radii_px(self) -> NDArray[np.float64]:
        """(n_radii,) middle of each ring, pixels."""
        return self.inner_px + self.ring_width_px * (np.arange(self.n_radii) + 0.5)

    @property
    def sectors(self) -> NDArray[np.int64]:
        """(n_radii,) number of sectors of each ring, powers of two up to n_angles."""
        pixels = 2 * np.pi * self.radii_px * self.ring_width_px
        share = np.clip(pixels / _PIXELS_PER_SECTOR, 1, self.n_angles)
        return (2 ** np.floor(np.log2(share))).astype(np.int64)

    @property
    def n_sectors(self) -> int:
        """Number of sectors S of all rings together."""
        return int(self.sectors.sum())

    @property
    def expand(self) -> NDArray[np.int64]:
        """(n_radii, n_angles) sector that each cell of the full polar picture shows."""
        sectors = self.sectors
        first = np.concatenate([[0], np.cumsum(sectors)[:-1]])
        angle = np.arange(self.n_angles)
        return first[:, None] + angle[None, :] * sectors[:, None] // self.n_angles

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


def choose_grid(
    geometry: Geometry, bad_pixels: NDArray[np.bool_], n_radii: int, n_angles: int, from_beam: bool = False
) -> PolarGrid:
    """The grid from the innermost good pixel (or from the beam) out to the radius that holds 80 % of the good ones.

    On a square detector with the beam in its middle that is the inscribed circle. Raises InputError where every pixel
    is bad.
    """
    radius = radius_px(geometry)[~np.asarray(bad_pixels, bool)]
    if not len(radius):
        raise InputError("mask: every pixel is bad; give a mask that leaves some")
    inner = 0.0 if from_beam else max(float(radius.min()) - 0.5, 0.0)
    return PolarGrid(n_radii, n_angles, inner, float(np.quantile(radius, _COVERED_SHARE)) + 0.5)


def cell_of_pixel(geometry: Geometry, grid: PolarGrid) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Ring of each pixel, (ny, nx) int64, -1 outside the grid, and its azimuth as a share of the circle in [0, 1)."""
    ring = np.floor((radius_px(geometry) - grid.inner_px) / grid.ring_width_px).astype(np.int64)
    ring[(ring < 0) | (ring >= grid.n_radii)] = -1
    return ring, (azimuth_rad(geometry) / (2 * np.pi)) % 1.0


def pixel_weights(store: FrameStore) -> NDArray[np.float32]:
    """(ny, nx) float32: share of each pixel that counts, 0 for bad ones; below 1 where a binned pixel is partly bad."""
    share = np.asarray(getattr(store, "good_fraction", np.ones(store.shape_px)), np.float32)
    return np.where(store.bad_pixels, np.float32(0), share)


class PolarMap:
    """Sums of the good pixels of each sector.

    Each pixel belongs wholly to one sector, so photon counts stay whole numbers and binomial thinning of a sector is exact.
    ``area`` (S,) float32 is the number of good pixels of each sector; counts / area is a rate per pixel.
    """

    def __init__(self, geometry: Geometry, weights: NDArray[np.float32], grid: PolarGrid) -> None:
        """geometry with the beam centre; weights (ny, nx) as of `pixel_weights`."""
        ring, turn = cell_of_pixel(geometry, grid)
        first = np.concatenate([[0], np.cumsum(grid.sectors)[:-1]])
        sector = first[ring] + np.floor(turn * grid.sectors[ring]).astype(np.int64)
        sector[(ring < 0) | (weights <= 0)] = grid.n_sectors
        area = np.bincount(sector.ravel(), weights.ravel().astype(np.float64), minlength=grid.n_sectors + 1)
        self.grid = grid
        self.shape_px = geometry.shape_px
        self.sector = torch.from_numpy(sector.ravel())
        self.area = torch.from_numpy(area[:-1].astype(np.float32))

    @classmethod
    def of_store(cls, store: FrameStore, grid: PolarGrid) -> PolarMap:
        """The map of a store's frames onto ``grid``."""
        return cls(store.geometry, pixel_weights(store), grid)

    def __call__(self, frames: NDArray | Tensor) -> Tensor:
        """(B, ny, nx) frames to (B, S) float32 sums. Bad pixels, whatever they hold, reach no sum.

        Arrays are summed by a compiled loop in one thread, without holding Python's lock; tensors, on any device, by torch.
        """
        if isinstance(frames, np.ndarray):
            from sorter.preprocess.sector_sums import sector_sums  # compiles at import

            return torch.from_numpy(sector_sums(frames, self.sector.numpy(), self.grid.n_sectors))
        flat = frames.flatten(1).to(torch.float32)
        index = self.sector.to(flat.device)
        sums = torch.zeros(len(flat), self.grid.n_sectors + 1, device=flat.device)
        return sums.index_add_(1, index, flat)[:, :-1].contiguous()

    def expand(self, sectors: Tensor) -> Tensor:
        """(..., S) values of sectors to the full picture (..., n_radii, n_angles)."""
        return sectors[..., torch.from_numpy(self.grid.expand).to(sectors.device)]


def to_cartesian(polar: NDArray | Tensor, geometry: Geometry, grid: PolarGrid) -> NDArray[np.float32]:
    """Show polar pictures (..., n_radii, n_angles) on the detector: (..., ny, nx) float32, NaN outside the grid."""
    ring, turn = cell_of_pixel(geometry, grid)
    angle = np.floor(turn * grid.n_angles).astype(np.int64)
    values = np.asarray(polar, np.float32)[..., ring, angle]
    return np.where(ring < 0, np.float32(np.nan), values)
