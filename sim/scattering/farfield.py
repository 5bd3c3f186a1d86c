"""Far fields of bodies on a detector: choose the rung and the grid for each particle, sum the particles of a frame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import torch
from torch import Tensor

from sim.particles.bodies import Bodies
from sim.scattering import columns
from sim.scattering.grids import CUT_OFF, Box
from sim.scattering.multislice import Propagation, exit_spectrum, propagation, slice_response
from sim.scattering.pixels import pixel_q_inv_m, wavenumber_inv_m
from sim.scattering.sampling import sampler
from sorter.core.errors import InputError
from sorter.core.geometry import Geometry

LARGEST_HALF = 400
"""Most pixels from the middle of a body to its edge."""


@dataclass(frozen=True)
class FarFieldSettings:
    """Sampling of the multislice. width_radii: side of the box in particle radii; pixel_wavelengths and slice_wavelengths:
    pixel and slice distance in wavelengths; columns: sub-columns per pixel and axis; buckets_per_octave: grids per factor 2
    of the particles' size; chunk: particles computed at once."""

    width_radii: float = 3.6
    pixel_wavelengths: float = 1 / 2.4
    slice_wavelengths: float = 0.6
    columns: int = 2
    buckets_per_octave: int = 5
    chunk: int = 32

    def __post_init__(self) -> None:
        if not 0 < self.slice_wavelengths <= 1:
            raise InputError(f"slice distance {self.slice_wavelengths} wavelengths: must be within (0, 1], beyond it diverges")
        if not 0 < self.pixel_wavelengths <= 0.5:
            raise InputError(f"pixel {self.pixel_wavelengths} wavelengths: must be within (0, 0.5] or waves alias")
        if self.width_radii < 2.2 or min(self.columns, self.chunk, self.buckets_per_octave) < 1:
            raise InputError("far field: width_radii must be at least 2.2, columns, buckets and chunk at least 1")


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
    """Particles by grid, (box, indices of particles); the radius of a grid is rounded up to a step of its octave."""
    steps = torch.ceil(settings.buckets_per_octave * torch.log2(bodies.radius_m * k) - 1e-9).long()
    found = []
    for step in torch.unique(steps).tolist():
        members = torch.nonzero(steps == step)[:, 0]
        found.append((_box(2 ** (step / settings.buckets_per_octave), settings), members))
    return found


@lru_cache(maxsize=64)
def _box(radius: float, settings: FarFieldSettings) -> Box:
    """Box for bodies up to ``radius`` (1/k)."""
    wavelength = 2 * math.pi
    width = settings.width_radii * radius
    pixel = wavelength * settings.pixel_wavelengths
    planes = math.ceil(2 * radius / (wavelength * settings.slice_wavelengths)) + 1
    half, band = math.ceil(radius / pixel), math.ceil(CUT_OFF * width / wavelength)
    if half > LARGEST_HALF:
        raise InputError(
            f"far field: a particle of radius {radius / wavelength:.4g} wavelengths needs {2 * half} pixels across, the limit "
            f"is {2 * LARGEST_HALF}; make it smaller or take the small-angle projection"
        )
    return Box(width, pixel, half, band, planes, -radius, 2 * radius / (planes - 1), settings.columns)


@lru_cache(maxsize=64)
def _propagation(box: Box, outer: float, dtype: torch.dtype, device: torch.device) -> Propagation:
    return propagation(box, outer, dtype, device)


def _multislice_field(
    bodies: Bodies, box: Box, geometry: Geometry, k: float, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Far fields (M, ny, nx) in units of 1/k^2 of M bodies at the origin."""
    qx, qy, _ = pixel_q_inv_m(geometry)
    tables = _propagation(box, min(float(torch.hypot(qx, qy).max()) / k, CUT_OFF), dtype, device)
    response = _responses(bodies.index, box, tables, dtype)
    filling = fill(bodies, box, k, dtype.to_real())
    return sampler(box, geometry, dtype.to_real(), device)(exit_spectrum(filling, response, box, tables))


def _responses(index: Tensor, box: Box, tables: Propagation, dtype: torch.dtype) -> Tensor:
    """W (L, band + 1, band + 1, M or 1); particles of one material share it."""
    shared = not index.requires_grad and bool((index == index[:1]).all())
    index = index[:1] if shared else index
    w = slice_response(index.T.reshape(-1), box, tables)
    return w.unflatten(0, index.T.shape).movedim(1, -1).to(dtype)


def fill(bodies: Bodies, box: Box, k: float, dtype: torch.dtype) -> Tensor:
    """Soft filling of ``box`` by each layer of each of M bodies, as steps from plane to plane.

    (L, planes, 2, half, 2, half, M), see `columns.soft_steps`.
    """
    x, y = box.pixel_positions(bodies.frame.device)
    near = torch.nonzero(torch.hypot(x, y) < box.radius + box.pixel)[:, 0]
    shifts = ((torch.arange(box.columns, dtype=x.dtype, device=x.device) + 0.5) / box.columns - 0.5) * box.pixel
    sy, sx = torch.meshgrid(shifts, shifts, indexing="ij")
    x, y = ((v[near] + s.reshape(-1, 1)).reshape(-1).to(dtype) for v, s in ((x, sx), (y, sy)))
    parts = columns.parts_of(bodies, k, dtype)
    found = columns.intervals(parts, x, y, box.pixel / box.columns, 2 * box.radius)
    found = tuple(v.unflatten(-1, (box.columns**2, len(near))) for v in found)
    covers = [
        columns.soft_steps(*_union(bodies, level, *found), near, 4 * box.half**2, box)
        for level in range(bodies.index.shape[1])
    ]
    visible = [c - above for c, above in pairwise(covers)] + covers[-1:]
    return torch.stack(visible).unflatten(2, (2, box.half, 2, box.half))


def _union(bodies: Bodies, level: int, low: Tensor, high: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Disjoint intervals (M, S, ...) of the union of the parts of layer ``level`` and above, from those (P, ...) of the parts."""
    count = len(bodies)
    used = torch.nonzero(bodies.layer >= level)[:, 0]
    owner = bodies.owner[used]
    per_body = torch.bincount(owner, minlength=count)
    segments = int(per_body.max()) if len(used) else 1
    if segments == 1 and len(used) == count:
        return low[used][:, None], high[used][:, None], weight[used][:, None]
    start = per_body.cumsum(0) - per_body
    place = owner * segments + torch.arange(len(used), device=owner.device) - start[owner]
    padded = []
    for v in (low, high, weight):
        empty = v.new_zeros(count * segments, *v.shape[1:])
        padded.append(empty.index_copy(0, place, v[used]).unflatten(0, (count, segments)))
    return columns.merge(*padded)


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
