"""Closed forms: the Fourier transform of simple bodies, integral of exp(-i q.r) over the body, float64 or as given.

With small contrast the far field on the Ewald sphere is i k (n^2 - 1) / 2 / cos(two_theta) times it (Rayleigh, Gans, Debye);
it is the rung "born" of `far_field` and the truth that the numeric rungs are tested against. q (..., 3) in 1/m in the body's
frame, lengths in m, results (...) complex or real in m^3 (disk: m^2).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sim.particles.shape import Shape, vertices_of
from sorter.core.errors import InputError

SMALL = 1e-4
"""Phase below which a limit takes the place of a quotient that would lose its digits."""


def sphere(q_inv_m: Tensor, radius_m: float) -> Tensor:
    """4 pi R^3 (sin x - x cos x) / x^3, x = |q| R; real, about the centre."""
    x = q_inv_m.norm(dim=-1) * radius_m
    safe = torch.where(x < 1e-2, torch.ones_like(x), x)
    exact = (torch.sin(safe) - safe * torch.cos(safe)) / safe**3
    series = (1 - x**2 / 10 + x**4 / 280) / 3
    return 4 * torch.pi * radius_m**3 * torch.where(x < 1e-2, series, exact)


def ellipsoid(q_inv_m: Tensor, semi_axes_m: tuple[float, float, float]) -> Tensor:
    """A sphere seen at the stretched q; real."""
    axes = torch.tensor(semi_axes_m, dtype=q_inv_m.dtype)
    return sphere(q_inv_m * axes, 1.0) * axes.prod()


def disk(q_inv_m: Tensor, radius_m: float) -> Tensor:
    """Thin disk across z: 2 pi R^2 J1(x) / x, x = |(qx, qy)| R; real, m^2."""
    x = q_inv_m[..., :2].norm(dim=-1) * radius_m
    safe = torch.where(x < SMALL, torch.ones_like(x), x)
    return 2 * torch.pi * radius_m**2 * torch.where(x < SMALL, 0.5 - x**2 / 16, torch.special.bessel_j1(safe) / safe)


def cylinder(q_inv_m: Tensor, radius_m: float, length_m: float) -> Tensor:
    """Flat-ended cylinder along z: a disk times length sinc(qz length / 2); real."""
    return disk(q_inv_m, radius_m) * length_m * torch.sinc(q_inv_m[..., 2] * length_m / (2 * torch.pi))


def polyhedron(q_inv_m: Tensor, shape: Shape, size_m: float = 1.0) -> Tensor:
    """A polyhedral ``shape`` of one part: the volume integral as sums over faces and edges (Gauss' theorem, twice); complex.

    Raises InputError for a shape of several parts or with curved faces.
    """
    if len(shape.layers) != 1 or bool(shape.has_quadric.any()):
        raise InputError(f"shape {shape.name}: the closed form is for polyhedra of one part")
    q = q_inv_m.double() * size_m
    square = (q * q).sum(-1)
    forward = square < SMALL**2
    total = torch.zeros(q.shape[:-1], dtype=torch.complex128)
    volume = 0.0
    for normal, corners in faces_of(shape):
        area, integral = _face_integral(q, normal, corners)
        volume += area * float(corners[0] @ normal) / 3
        total += (q @ normal) * integral
    total = 1j * total / torch.where(forward, torch.ones_like(square), square)
    return torch.where(forward, torch.full_like(total, volume), total) * size_m**3


def faces_of(shape: Shape) -> list[tuple[Tensor, Tensor]]:
    """Outward normal (3,) and corners (V, 3), anticlockwise from outside, of each face of a polyhedron of one part."""
    normals, offsets = shape.normals[0].numpy(), shape.offsets[0].numpy()
    corners = vertices_of(normals, offsets, shape.name)
    faces = []
    for n, d in zip(normals, offsets, strict=True):
        on = corners[np.abs(corners @ n - d) < 1e-7]
        if len(on) < 3:
            continue
        middle = on.mean(0)
        first = on[0] - middle
        second = np.cross(n, first)
        on = on[np.argsort(np.arctan2((on - middle) @ second, (on - middle) @ first))]
        faces.append((torch.from_numpy(n), torch.from_numpy(on)))
    return faces


def _face_integral(q: Tensor, normal: Tensor, corners: Tensor) -> tuple[float, Tensor]:
    """Area of a face and the integral of exp(-i q.r) over it."""
    following = corners.roll(-1, 0)
    edges, middles = following - corners, (following + corners) / 2
    area = float(torch.linalg.cross(corners, following).sum(0) @ normal) / 2
    along = q - (q @ normal)[..., None] * normal
    square = (along * along).sum(-1)
    flat = square < SMALL**2
    total = torch.zeros(q.shape[:-1], dtype=torch.complex128)
    for edge, middle in zip(edges, middles, strict=True):
        outward = torch.linalg.cross(edge, normal)  # length of the edge times its outward normal
        total += (along @ outward) * torch.sinc(q @ edge / (2 * torch.pi)) * torch.exp(-1j * (q @ middle))
    total = 1j * total / torch.where(flat, torch.ones_like(square), square)
    centre = torch.exp(-1j * (q @ corners.mean(0)))
    return area, torch.where(flat, area * centre, total)
