"""Orientations as unit quaternions ``(w, x, y, z)``, scalar first.

A quaternion ``q`` turns body coordinates into laboratory coordinates: ``v_lab = R(q) v_body``. ``multiply(q, s)`` applies
``s`` first, so ``q s`` is the body turned by a rotation of its own frame and ``s q`` the body turned in the laboratory.
All functions take and return torch tensors of shape (..., 4), are differentiable, and keep the dtype.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def normalize(q: Tensor) -> Tensor:
    """Unit quaternions in the direction of ``q`` (..., 4)."""
    return q / q.norm(dim=-1, keepdim=True)


def multiply(q: Tensor, p: Tensor) -> Tensor:
    """Hamilton product ``q p`` (..., 4): the rotation ``p`` followed by the rotation ``q``."""
    a, u = q[..., :1], q[..., 1:]
    b, v = p[..., :1], p[..., 1:]
    u, v = torch.broadcast_tensors(u, v)
    scalar = a * b - (u * v).sum(-1, keepdim=True)
    return torch.cat([scalar, a * v + b * u + torch.linalg.cross(u, v)], -1)


def conjugate(q: Tensor) -> Tensor:
    """The inverse rotation of a unit quaternion (..., 4)."""
    return torch.cat([q[..., :1], -q[..., 1:]], -1)


def rotation_matrix(q: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) in (x, y, z) order; ``q`` is normalised first."""
    w, x, y, z = normalize(q).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def from_axis_angle(axis: Tensor, angle_rad: Tensor | float) -> Tensor:
    """Quaternion of the rotation by ``angle_rad`` (...) about ``axis`` (..., 3), right-handed."""
    axis = axis / axis.norm(dim=-1, keepdim=True)
    half = torch.as_tensor(angle_rad, dtype=axis.dtype, device=axis.device)[..., None] / 2
    vector = torch.sin(half) * axis
    return torch.cat([torch.cos(half).expand(*vector.shape[:-1], 1), vector], -1)


def rotate(q: Tensor, v: Tensor) -> Tensor:
    """Vectors ``v`` (..., 3) turned by ``q`` (..., 4)."""
    return (rotation_matrix(q) @ v[..., None])[..., 0]


def angle_between_rad(q: Tensor, p: Tensor) -> Tensor:
    """Angle (...) in [0, pi] of the rotation that leads from ``p`` to ``q``."""
    d = multiply(conjugate(p), q)
    return 2 * torch.atan2(d[..., 1:].norm(dim=-1), d[..., 0].abs())


def random_quaternions(count: int, rng: np.random.Generator) -> Tensor:
    """``count`` rotations, uniform in SO(3) (normalised 4-D Gaussians), (count, 4) float64, w >= 0."""
    q = normalize(torch.from_numpy(rng.standard_normal((count, 4))))
    return torch.where(q[:, :1] < 0, -q, q)
