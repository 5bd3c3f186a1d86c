"""Far fields of bodies on a detector: choose the rung and the grid for each particle, sum the particles of a frame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from sim.particles.bodies import Bodies
from sim.scattering import columns
from sim.scattering.grids import Box, good_size, sampler
from sim.scattering.multislice import Propagation, multislice, propagation, slice_response
from sim.scattering.pixels import pixel_q_inv_m, wavenumber_inv_m
from sorter.core.errors import InputError
from sorter.core.geometry import Geometry


@dataclass(frozen=True)
class FarFieldSettings:
    """Sampling of the multislice. width_radii: side of the box in particle radii; pixel_wavelengths and slice_wavelengths:
    pixel and slice distance in wavelengths; columns: sub-columns per pixel and axis; chunk: particles computed at once."""

    width_radii: float = 3.6
    pixel_wavelengths: float = 1 / 2.4
    slice_wavelengths: float = 0.6
    columns: int = 2
    chunk: int = 32

    def __post_init__(self) -> None:
        if not 0 < self.slice_wavelengths <= 1:
            raise InputError(f"slice distance {self.slice_wavelengths} wavelengths: must be within (0, 1], beyond it diverges")
        if not 0 < self.pixel_wavelengths <= 0.5:
            raise InputError(f"pixel {self.pixel_wavelengths} wavelengths: must be within (0, 0.5] or waves alias")
        if self.width_radii < 2.2 or self.columns < 1 or self.chunk < 1:
            raise InputError("far field: width_radii must be at least 2.2, columns and chunk at least 1")


def far_field(
    bodies: Bodies,
    geometry: Geometry,
    rung: str = "auto",
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.complex64,
    settings: FarFieldSettings | None = None,
) -> Tensor:
    """Far field F (B, ny, nx) complex, m^2, of the particles of each of B frames on the pixels of ``geometry``.

    F(q) = integral of (exit wave - plane wave) exp(-i q . x) over the plane z = 0, so that `intensity` is |F|^2 times
    (k cos(two_theta) / 2 pi)^2. Particles of one frame are summed coherently with the phase exp(-i q . position); a wave
    scattered by one particle does not meet another. Particles of like size are computed together, on a grid that depends on
    their size alone. Frames without particles are 0. Differentiable with respect to everything continuous in ``bodies``.
    """
    settings = settings or FarFieldSettings()
    device = torch.device(device)
    bodies = bodies.to(device)
    k = wavenumber_inv_m(geometry)
    field = torch.zeros(bodies.n_frames, *geometry.shape_px, dtype=dtype, device=device)
    for box, members in _buckets(bodies, k, settings):
        for chosen in members.split(settings.chunk):
            part = bodies.select(chosen)
            values = _multislice_field(part, box, geometry, k, dtype, device) / k**2
            field = _add(field, part.frame, _shifted(values, part.position_m, geometry))
    return field


def _buckets(bodies: Bodies, k: float, settings: FarFieldSettings) -> list[tuple[Box, Tensor]]:
    """Particles by grid: (box, indices of particles)."""
    pixel = 2 * math.pi * settings.pixel_wavelengths
    sizes = [good_size(settings.width_radii * float(r) * k / pixel) for r in bodies.radius_m]
    found = []
    for size in sorted(set(sizes)):
        members = torch.tensor([i for i, s in enumerate(sizes) if s == size], device=bodies.frame.device)
        found.append((_box(size, settings), members))
    return found


@lru_cache(maxsize=64)
def _box(points: int, settings: FarFieldSettings) -> Box:
    pixel = 2 * math.pi * settings.pixel_wavelengths
    radius = points * pixel / settings.width_radii
    planes = math.ceil(2 * radius / (2 * math.pi * settings.slice_wavelengths)) + 1
    distance = 2 * radius / (planes - 1)
    crop = min(2 * math.ceil(radius / pixel), points)
    return Box(points, pixel, planes, -radius, distance, crop, settings.columns)


@lru_cache(maxsize=64)
def _propagation(box: Box, outer: float, dtype: torch.dtype, device: torch.device) -> Propagation:
    return propagation(box, outer, dtype, device)


def _multislice_field(
    bodies: Bodies, box: Box, geometry: Geometry, k: float, dtype: torch.dtype, device: torch.device
) -> Tensor:
    qx, qy, _ = pixel_q_inv_m(geometry)
    tables = _propagation(box, min(float(torch.hypot(qx, qy).max()) / k, 0.95), dtype, device)
    response = _responses(bodies.index, box, tables, dtype)
    filling = fill(bodies, box, k, dtype.to_real())
    return multislice(filling, response, box, tables, sampler(box.points, box.pixel, geometry, dtype, str(device)))


def _responses(index: Tensor, box: Box, tables: Propagation, dtype: torch.dtype) -> Tensor:
    """W (L, M or 1, N, N); particles of one material share it."""
    shared = not index.requires_grad and bool((index == index[:1]).all())
    index = index[:1] if shared else index
    w = slice_response(index.T.reshape(-1), box, tables)
    return w.unflatten(0, index.T.shape).to(dtype)


def fill(bodies: Bodies, box: Box, k: float, dtype: torch.dtype) -> Tensor:
    """Soft filling (M, L, planes, crop, crop) of ``box`` by each layer of each of M bodies."""
    parts = columns.parts_of(bodies, k, dtype)
    x, y = box.column_positions(dtype, bodies.frame.device)
    low, high, weight = columns.intervals(parts, x, y, box.pixel / box.columns, -2 * box.first)
    layers = bodies.index.shape[1]
    covers = [_union_planes(bodies, level, low, high, weight, box) for level in range(layers)]
    visible = [c - above for c, above in zip(covers, [*covers[1:], torch.zeros_like(covers[0])], strict=True)]
    return torch.stack(visible, 1).unflatten(-1, (box.crop, box.crop))


def _union_planes(bodies: Bodies, level: int, low: Tensor, high: Tensor, weight: Tensor, box: Box) -> Tensor:
    """Soft filling (M, planes, crop^2) of the union of the parts of layer ``level`` and above."""
    count = len(bodies)
    used = torch.nonzero(bodies.layer >= level)[:, 0]
    owner = bodies.owner[used]
    per_body = torch.bincount(owner, minlength=count)
    segments = int(per_body.max())
    if segments == 1 and len(used) == count:
        low, high, weight = (v[used][:, None] for v in (low, high, weight))
    else:
        start = per_body.cumsum(0) - per_body
        place = owner * segments + torch.arange(len(used), device=owner.device) - start[owner]
        padded = []
        for v in (low, high, weight):
            empty = v.new_zeros(count * segments, v.shape[1])
            padded.append(empty.index_copy(0, place, v[used]).unflatten(0, (count, segments)))
        low, high, weight = columns.merge(*padded)
    shape = (box.columns**2, box.crop**2)
    return columns.soft_planes(
        *(v.unflatten(-1, shape) for v in (low, high, weight)), box.planes, box.first, box.distance
    )


def _shifted(values: Tensor, position_m: Tensor, geometry: Geometry) -> Tensor:
    """Far fields (M, ny, nx) of particles moved from the origin to ``position_m`` (M, 3)."""
    if not position_m.requires_grad and not bool((position_m != 0).any()):
        return values
    phase = sum(p[:, None, None] * q.to(p) for p, q in zip(position_m.T, pixel_q_inv_m(geometry), strict=True))
    return values * torch.exp(-1j * phase).to(values)


def _add(field: Tensor, frame: Tensor, values: Tensor) -> Tensor:
    """``field`` with ``values`` added at ``frame``; one frame at a time gets one particle, so that the order is fixed."""
    if len(torch.unique(frame)) == len(frame):
        return field.index_add(0, frame, values)
    for i in range(len(frame)):
        field = field.index_add(0, frame[i : i + 1], values[i : i + 1])
    return field


__all__ = ["FarFieldSettings", "far_field", "fill"]
