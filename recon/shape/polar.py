"""What the networks see of a frame: a map over scattering angle and azimuth about the beam, whatever the detector.

Rings are equally spaced in tan(two_theta), so that they are circles on any flat detector; pixel size, distance and beam centre
are used up here. The map holds the mean of the good pixels in each cell, without the solid angle and polarisation of the
pixels, as a logarithm relative to the mean of the outer rings; beside it the share of each cell that is measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sim.scattering import polarisation, solid_angle_sr
from sim.scattering.sampling import csr_matrix
from sorter.core.errors import InputError
from sorter.core.geometry import Geometry

RINGS, ANGLES = 56, 128
#: tan(two_theta) of the outer edge of the map: the edge of the recipes' detector.
TAN_EDGE = math.tan(math.radians(30))
_FROM_RING = 14
_CONTRAST = 10.0
_SUB = 4


@dataclass(frozen=True)
class PolarMap:
    """weights (cells, pixels): sparse, which pixels a cell is the mean of; flat (pixels,): relative solid angle times
    polarisation; coverage: share of the map that lies on the detector."""

    weights: Tensor
    flat: Tensor
    coverage: float

    def __call__(self, frames: Tensor, good: Tensor) -> Tensor:
        """Maps (B, 2, RINGS, ANGLES) float32 of frames (B, ny, nx) and good pixels (ny, nx) or (B, ny, nx)."""
        good = good.to(torch.float32).expand_as(frames).flatten(1).T.contiguous()
        corrected = torch.where(good > 0, frames.flatten(1).T / self.flat[:, None], 0.0)
        share = self.weights @ good
        mean = (self.weights @ corrected.contiguous()) / share.clamp_min(1e-6)
        mean, share = (v.T.unflatten(1, (RINGS, ANGLES)) for v in (mean, share))
        outer, weight = mean[:, _FROM_RING:], share[:, _FROM_RING:]
        level = (outer * weight).sum((1, 2)) / weight.sum((1, 2)).clamp_min(1e-6)
        contrast = torch.log1p(_CONTRAST * mean.clamp_min(0) / level.clamp_min(1e-12)[:, None, None])
        return torch.stack([torch.where(share > 0.05, contrast, 0.0), share], 1)


def polar_map(geometry: Geometry, offset_px: tuple[float, float] = (0.0, 0.0)) -> PolarMap:
    """The map of frames of ``geometry``, the beam moved by ``offset_px`` (y, x).

    Raises InputError where pixel size, distance or centre are unknown.
    """
    if geometry.pixel_size_m is None or geometry.distance_m is None or geometry.beam_center_px is None:
        raise InputError(
            "geometry: pixel size, distance and beam centre are needed; give --pixel-size, --distance and --center on ingest"
        )
    cy, cx = geometry.beam_center_px
    moved = replace(geometry, beam_center_px=(cy + offset_px[0], cx + offset_px[1]))
    rows, columns = _places(moved)
    ny, nx = geometry.shape_px
    inside = (rows >= 0) & (rows < ny) & (columns >= 0) & (columns < nx)
    cell = np.broadcast_to(np.arange(RINGS * ANGLES)[:, None], rows.shape)[inside]
    pixel = (rows * nx + columns)[inside]
    weight = torch.full((len(cell),), 1 / _SUB**2)
    place = torch.from_numpy(np.stack([cell, pixel]))
    size = (RINGS * ANGLES, ny * nx)
    weights = csr_matrix(place, weight, size)
    flat = (solid_angle_sr(moved) * polarisation(replace(moved, wavelength_m=moved.wavelength_m or 1e-9))).flatten()
    return PolarMap(weights, (flat / flat.max()).float(), float(inside.mean()))


def _places(geometry: Geometry) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pixels (row, column) of the _SUB x _SUB points in each cell, two (cells, points) arrays."""
    edge = TAN_EDGE * geometry.distance_m / geometry.pixel_size_m
    inner = (np.arange(_SUB) + 0.5) / _SUB
    radius = (np.arange(RINGS)[:, None] + inner) * edge / RINGS
    angle = 2 * np.pi * (np.arange(ANGLES)[:, None] + inner - 0.5) / ANGLES
    radius, angle = radius[:, None, :, None], angle[None, :, None, :]
    cy, cx = geometry.beam_center_px
    y, x = cy + radius * np.sin(angle), cx + radius * np.cos(angle)
    shape = (RINGS * ANGLES, _SUB**2)
    return np.rint(y).astype(np.int64).reshape(shape), np.rint(x).astype(np.int64).reshape(shape)


def turned(maps: Tensor, steps: Tensor, mirrored: Tensor) -> Tensor:
    """Maps (B, 2, RINGS, ANGLES) as of particles turned by ``steps`` (B,) cells from +x towards +y; before that mirrored in the
    plane y = 0 where ``mirrored`` (B,)."""
    cell = torch.arange(ANGLES) - steps[:, None]
    cell = torch.where(mirrored[:, None], -cell, cell) % ANGLES
    return maps.gather(3, cell[:, None, None, :].expand_as(maps))
