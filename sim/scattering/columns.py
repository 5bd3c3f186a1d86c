"""How far the columns of a grid across the beam run inside a body, and the soft slices made of them.

All lengths here are in units of 1/k (the wavelength over 2 pi), so that single precision has no trouble with metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sim.particles.bodies import Bodies
from sim.scattering.grids import Box

FAR = 1e6
"""Beyond any body, in units of 1/k."""


@dataclass(frozen=True)
class Parts:
    """Convex parts in units of 1/k: normals (P, F, 3), offsets (P, F), quadrics (P, 4, 4) of unit curvature norm, grow (P, 3)."""

    normals: Tensor
    offsets: Tensor
    quadrics: Tensor
    grow: Tensor
    has_quadric: Tensor


def parts_of(bodies: Bodies, wavenumber_inv_m: float, dtype: torch.dtype) -> Parts:
    """The parts of ``bodies`` in units of 1/k."""
    unit = torch.ones(4, dtype=torch.float64, device=bodies.quadrics.device)
    unit[:3] = 1 / wavenumber_inv_m
    quadrics = bodies.quadrics * unit[:, None] * unit
    norm = quadrics[:, :3, :3].flatten(1).norm(dim=1)
    quadrics = quadrics / torch.where(bodies.has_quadric, norm, torch.ones_like(norm))[:, None, None]
    offsets = (bodies.offsets_m * wavenumber_inv_m).clamp(-FAR, FAR)
    return Parts(
        bodies.normals.to(dtype), offsets.to(dtype), quadrics.to(dtype), bodies.grow.to(dtype), bodies.has_quadric
    )


def intervals(parts: Parts, x: Tensor, y: Tensor, pitch: float, height: float) -> tuple[Tensor, Tensor, Tensor]:
    """Entry, exit and weight of the columns at ``x``, ``y`` (K,) in each part, three (P, K) tensors.

    A column of weight 0 misses the part. Surfaces within ``pitch / height`` of parallel to the beam would make chords jump
    from one column to the next; there the weight falls linearly over one ``pitch`` (distance of the columns) instead.
    """
    steep = pitch / height
    ones = torch.ones_like(x)
    columns = torch.stack([x, y, ones])
    nz = parts.normals[..., 2]
    low, high = _bounds(parts, columns, nz, steep)
    quadric = torch.nonzero(parts.has_quadric)[:, 0]
    if len(quadric):
        low, high = _cut_by_quadrics(parts, quadric, x, y, steep, low, high)
    weight = (high > low).to(low)
    middle = (low + high) / 2
    return low, high, _steep_weight(parts, columns, nz, steep, pitch, middle, quadric) * weight


def _bounds(parts: Parts, columns: Tensor, nz: Tensor, steep: float) -> tuple[Tensor, Tensor]:
    """Bounds (P, K) from the half-spaces: n . x <= d limits z from above where nz > 0, from below where nz < 0."""
    plane = torch.cat([-parts.normals[..., :2], parts.offsets[..., None]], -1)
    bounds = []
    for sign in (-1, 1):
        used = sign * nz > steep
        slope = plane / torch.where(used, nz, torch.ones_like(nz))[..., None]
        nothing = torch.tensor([0.0, 0.0, sign * FAR], dtype=nz.dtype, device=nz.device)
        slope = torch.where(used[..., None], slope, nothing)
        faces = used.long().argsort(dim=1, descending=True, stable=True)[:, : max(1, int(used.sum(1).max()))]
        limits = slope.gather(1, faces[..., None].expand(-1, -1, 3)) @ columns
        bounds.append(limits.amin(1) if sign > 0 else limits.amax(1))
    return bounds[0], bounds[1]


def _quadratic(quadrics: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """a (P, 1), b and c (P, K) of the surface a z^2 + 2 b z + c = 0 along each column."""
    q = quadrics[..., None]
    b = q[:, 0, 2] * x + q[:, 1, 2] * y + q[:, 2, 3]
    c = (q[:, 0, 0] * x + 2 * q[:, 0, 1] * y + 2 * q[:, 0, 3]) * x + (q[:, 1, 1] * y + 2 * q[:, 1, 3]) * y + q[:, 3, 3]
    return q[:, 2, 2], b, c


def _cut_by_quadrics(
    parts: Parts, quadric: Tensor, x: Tensor, y: Tensor, steep: float, low: Tensor, high: Tensor
) -> tuple[Tensor, Tensor]:
    a, b, c = _quadratic(parts.quadrics[quadric], x, y)
    used = a.abs() > steep**2
    a = torch.where(used, a, torch.ones_like(a))
    discriminant = b * b - a * c
    hit = discriminant > 0
    root = torch.where(hit, discriminant, torch.ones_like(discriminant)).sqrt()
    first, last = (-b - root) / a, (-b + root) / a
    missed = torch.full_like(first, FAR)
    # Convex along the beam: inside between the roots. A cone wider than the beam's tilt (a < 0): beyond the root of its nappe.
    grows = (parts.grow[quadric, 2] > 0)[:, None]
    q_low = torch.where(a > 0, torch.where(hit, first, missed), torch.where(grows, torch.maximum(first, last), -missed))
    q_high = torch.where(a > 0, torch.where(hit, last, -missed), torch.where(grows, missed, torch.minimum(first, last)))
    q_low, q_high = torch.where(used, q_low, -missed), torch.where(used, q_high, missed)
    return (
        low.index_copy(0, quadric, torch.maximum(low[quadric], q_low)),
        high.index_copy(0, quadric, torch.minimum(high[quadric], q_high)),
    )


def _steep_weight(
    parts: Parts, columns: Tensor, nz: Tensor, steep: float, pitch: float, middle: Tensor, quadric: Tensor
) -> Tensor:
    weight = torch.ones_like(middle)
    faces = (nz.abs() <= steep) & (parts.offsets < FAR)
    touched = torch.nonzero(faces.any(1))[:, 0]
    if len(touched):
        n, d, on = parts.normals[touched], parts.offsets[touched], faces[touched]
        n = torch.where(on[..., None], n, torch.zeros_like(n))
        distance = d[..., None] - n[..., :2] @ columns[:2] - n[..., 2:] * middle[touched][:, None]
        across = n[..., :2].norm(dim=-1).clamp_min(0.5)
        cover = (0.5 + distance / (across[..., None] * pitch)).clamp(0, 1)
        cover = torch.where(on[..., None], cover, torch.ones_like(cover)).prod(1)
        weight = weight.index_copy(0, touched, cover)
    if len(quadric):
        a, b, c = _quadratic(parts.quadrics[quadric], columns[0], columns[1])
        flat = torch.nonzero(a[:, 0].abs() <= steep**2)[:, 0]
        if len(flat):
            rows = quadric[flat]
            q, z = parts.quadrics[rows], middle[rows]
            value = (a[flat] * z + 2 * b[flat]) * z + c[flat]
            points = torch.stack([columns[0].expand_as(z), columns[1].expand_as(z), z, torch.ones_like(z)], 1)
            slope = 2 * (q[:, :2] @ points).norm(dim=1)
            cover = (0.5 - value / (slope * pitch).clamp_min(1e-6)).clamp(0, 1)
            weight = weight.index_copy(0, rows, weight[rows] * cover)
    return weight


def merge(low: Tensor, high: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Disjoint intervals of the union of S intervals of each column; all (M, S, ...)."""
    low = torch.where(weight > 0, low, torch.full_like(low, FAR))
    high = torch.where(weight > 0, high, torch.full_like(high, FAR))
    low, order = low.sort(dim=1)
    high, weight = high.gather(1, order), weight.gather(1, order)
    before = torch.cat([torch.full_like(high[:, :1], -FAR), high[:, :-1].cummax(1).values], 1)
    low, high = torch.maximum(low, before), torch.maximum(high, before)
    return low, high, weight * (high > low)


def soft_steps(low: Tensor, high: Tensor, weight: Tensor, pixel: Tensor, pixels: int, box: Box) -> Tensor:
    """Change of the soft filling from plane to plane, (planes, pixels, M); its cumulative sum is the filling.

    low, high, weight (M, S, C, K): S disjoint intervals of C columns in each of the pixels ``pixel`` (K,).
    The filling of plane j is the overlap of the body with a triangle of half-width D about the plane, averaged over the
    columns: C((high - z_j)/D) - C((low - z_j)/D), C(u) = v (1 - |v|/2), v = u clamped to [-1, 1]. An end of an interval
    is felt by the planes beside it alone, so the change from plane to plane has three non-zero values, which are added
    where they belong. Within one addition no two values share a place: the sum does not depend on the order of execution.
    """
    bodies, segments, sub_columns, _ = low.shape
    steps = low.new_zeros((box.planes + 2) * pixels * bodies)
    place = pixel[:, None] * bodies + torch.arange(bodies, device=pixel.device)
    low, high, weight = (v.permute(1, 2, 3, 0).contiguous() for v in (low, high, weight))
    weight = weight / sub_columns
    for ends, sign in ((low, 1.0), (high, -1.0)):
        at = ((ends - box.first) / box.distance).clamp(0, box.planes - 1)
        index = at.floor()
        f = at - index
        index = index.long() * (pixels * bodies) + place
        amount = sign * weight
        square = f * f / 2
        values = (amount * (0.5 - f + square), amount * (0.5 + f - 2 * square), amount * square)
        for s in range(segments):
            for c in range(sub_columns):
                for shift, value in enumerate(values):
                    steps.scatter_add_(0, (index[s, c] + shift * pixels * bodies).view(-1), value[s, c].view(-1))
    return steps.view(box.planes + 2, pixels, bodies)[: box.planes]
