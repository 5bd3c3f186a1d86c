"""Shapes in their own frame: unions of convex parts, each the intersection of half-spaces and at most one quadric.

A part is ``{x : n_f . x <= d_f for all faces f, and [x, 1] Q [x, 1] <= 0}``. Half-spaces alone give polyhedra, the quadric
alone an ellipsoid, both together cylinders, cones and lenses. Every ray meets a part in at most one interval, which is all
that the far fields need to know.

Layers are painted in order: where parts of two layers overlap, the higher layer holds the material (core in shell).
Lengths are in units of the shape's size; shapes are made so that the size is the radius of the circumscribed sphere unless
their builder says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.optimize import linprog
from scipy.spatial import HalfspaceIntersection
from torch import Tensor

from sim import orientation
from sorter.core.errors import InputError

NEVER_MET = 1e30
"""Offset of a padding face, which excludes nothing."""


@dataclass(frozen=True)
class Shape:
    """P parts in the body frame, float64.

    normals (P, F, 3) unit, offsets (P, F): half-spaces ``n . x <= d``; padding has ``n = 0``.
    quadrics (P, 4, 4): symmetric, homogeneous; grow (P, 3): for a cone, the direction along the axis in which it widens
    (which of its two nappes is meant). has_quadric (P,) bool. layers (P,): 0, 1, ... painted in this order.
    extent: radius of a sphere about the origin that holds the shape. symmetry: proper point group ("I", "O", "T", "D5",
    "C2", ...), "Dinf"/"Cinf" for bodies of revolution, "SO3" for spheres.
    """

    name: str
    normals: Tensor
    offsets: Tensor
    quadrics: Tensor
    grow: Tensor
    has_quadric: Tensor
    layers: Tensor
    extent: float = 1.0
    symmetry: str = "C1"

    @property
    def n_layers(self) -> int:
        """Number of layers."""
        return int(self.layers.max()) + 1

    def contains(self, points: Tensor) -> Tensor:
        """The highest layer at ``points`` (K, 3) in the body frame, (K,) int64; -1 outside."""
        points = points.to(self.normals)
        inside = (torch.einsum("pfi,ki->pkf", self.normals, points) <= self.offsets[:, None]).all(-1)
        ones = torch.ones_like(points[:, :1])
        homogeneous = torch.cat([points, ones], 1)
        value = torch.einsum("ki,pij,kj->pk", homogeneous, self.quadrics, homogeneous)
        inside &= (value <= 0) | ~self.has_quadric[:, None]
        return torch.where(inside, self.layers[:, None], -1).amax(0)


def part(
    name: str,
    normals: ArrayLike | Tensor | None = None,
    offsets: ArrayLike | Tensor | None = None,
    quadric: ArrayLike | Tensor | None = None,
    grow: Sequence[float] = (0, 0, 0),
    extent: float = 1.0,
    symmetry: str = "C1",
) -> Shape:
    """A shape of one convex part: half-spaces ``normals`` (F, 3), ``offsets`` (F,) and/or one ``quadric`` (4, 4)."""
    n = torch.zeros(1, 3) if normals is None else torch.as_tensor(normals)
    d = torch.full((1,), NEVER_MET) if offsets is None else torch.as_tensor(offsets)
    n, d = n.double(), d.double()
    length = n.norm(dim=-1)
    if n.shape[:-1] != d.shape or not bool(torch.isfinite(n).all()):
        raise InputError(
            f"shape {name}: needs finite normals (F, 3) and offsets (F,), not {tuple(n.shape)}, {tuple(d.shape)}"
        )
    length = torch.where(length > 0, length, torch.ones_like(length))
    return Shape(
        name,
        (n / length[:, None])[None],
        (d / length)[None],
        (torch.zeros(4, 4) if quadric is None else torch.as_tensor(quadric)).double()[None],
        torch.tensor([grow], dtype=torch.float64),
        torch.tensor([quadric is not None]),
        torch.zeros(1, dtype=torch.int64),
        extent,
        symmetry,
    )


def transformed(
    shape: Shape, quaternion: Tensor | None = None, shift: Sequence[float] = (0, 0, 0), scale: float = 1.0
) -> Shape:
    """``shape`` scaled, then turned by ``quaternion`` (4,), then moved by ``shift`` (3,)."""
    q = torch.tensor([1.0, 0, 0, 0]).double() if quaternion is None else quaternion.double()
    matrix = orientation.rotation_matrix(q)
    move = torch.tensor(shift, dtype=torch.float64)
    normals = shape.normals @ matrix.T
    return replace(
        shape,
        normals=normals,
        offsets=shape.offsets * scale + normals @ move,
        quadrics=transform_quadrics(shape.quadrics, matrix * scale, move),
        grow=shape.grow @ matrix.T,
        extent=float(shape.extent * scale + move.norm()),
        symmetry="C1",
    )


def transform_quadrics(quadrics: Tensor, matrix: Tensor, shift: Tensor) -> Tensor:
    """Quadrics (..., 4, 4) of the points ``matrix x + shift``; matrix (..., 3, 3), shift (..., 3)."""
    inverse = torch.linalg.inv(matrix)
    moved = -(inverse @ shift[..., None])
    bottom = torch.cat([torch.zeros_like(inverse[..., :1, :]), torch.ones_like(moved[..., :1, :])], -1)
    to_body = torch.cat([torch.cat([inverse, moved], -1), bottom], -2)
    return to_body.mT @ quadrics @ to_body


def _joined(shapes: Sequence[Shape], layers: Sequence[Tensor], name: str, symmetry: str) -> Shape:
    faces = max(s.normals.shape[1] for s in shapes)
    padded = [pad_faces(s.normals, s.offsets, faces) for s in shapes]
    return Shape(
        name,
        torch.cat([n for n, _ in padded]),
        torch.cat([d for _, d in padded]),
        torch.cat([s.quadrics for s in shapes]),
        torch.cat([s.grow for s in shapes]),
        torch.cat([s.has_quadric for s in shapes]),
        torch.cat(list(layers)),
        max(s.extent for s in shapes),
        symmetry,
    )


def pad_faces(normals: Tensor, offsets: Tensor, faces: int) -> tuple[Tensor, Tensor]:
    """``normals`` (P, F, 3) and ``offsets`` (P, F) with padding faces up to ``faces``."""
    missing = faces - normals.shape[1]
    n = torch.nn.functional.pad(normals, (0, 0, 0, missing))
    return n, torch.nn.functional.pad(offsets, (0, missing), value=NEVER_MET)


def union(*shapes: Shape, name: str = "union", symmetry: str = "C1") -> Shape:
    """One body of one material (per layer) that fills whatever any of ``shapes`` fills."""
    return _joined(shapes, [s.layers for s in shapes], name, symmetry)


def layered(*shapes: Shape, name: str = "layered", symmetry: str = "C1") -> Shape:
    """``shapes`` painted one over the other, each with a material of its own: shell first, core last."""
    start, layers = 0, []
    for s in shapes:
        layers.append(s.layers + start)
        start += s.n_layers
    return _joined(shapes, layers, name, symmetry)


def polyhedron(name: str, normals: ArrayLike, offsets: ArrayLike, symmetry: str = "C1") -> Shape:
    """The polyhedron ``n . x <= d``, scaled to circumscribed radius 1 about the origin.

    Raises InputError where the half-spaces enclose nothing or are unbounded.
    """
    n, d = np.asarray(normals, float), np.asarray(offsets, float)
    radius = np.linalg.norm(vertices_of(n, d, name), axis=1).max()
    return part(name, n, d / radius, symmetry=symmetry)


def vertices_of(normals: ArrayLike, offsets: ArrayLike, name: str = "polyhedron") -> np.ndarray:
    """Corners (V, 3) of ``n . x <= d``. Raises InputError for impossible half-spaces and where the body is empty or unbounded."""
    n, d = np.asarray(normals, float), np.asarray(offsets, float)
    if n.ndim != 2 or n.shape[1] != 3 or d.shape != n.shape[:1]:
        raise InputError(f"shape {name}: needs normals (F, 3) and offsets (F,), not {n.shape}, {d.shape}")
    length = np.linalg.norm(n, axis=1)
    if not (np.isfinite(n).all() and np.isfinite(d).all() and (length > 0).all()):
        raise InputError(f"shape {name}: normals must be finite and not 0, offsets finite")
    # Largest inscribed sphere: maximise r subject to n.x + |n| r <= d.
    best = linprog([0, 0, 0, -1], np.column_stack([n, length]), d, bounds=[(None, None)] * 3 + [(0, None)])
    if best.status == 3:
        raise InputError(f"shape {name}: the half-spaces leave it unbounded; add faces")
    if best.status != 0 or best.x[3] <= 1e-12:
        raise InputError(f"shape {name}: the half-spaces enclose nothing; check the signs of normals and offsets")
    with np.errstate(divide="ignore", invalid="ignore"):  # corners at infinity are refused below
        corners = HalfspaceIntersection(np.column_stack([n, -d]), best.x[:3]).intersections
    if not np.isfinite(corners).all() or np.abs(corners).max() > 1e6 * best.x[3]:
        raise InputError(f"shape {name}: the half-spaces leave it unbounded; add faces")
    return np.unique(np.round(corners, 12), axis=0)
