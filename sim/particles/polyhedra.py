"""Convex polyhedra in their own frame, circumscribed radius 1: the Platonic solids, common crystal habits, random facetings.

Axes: cubic bodies have their four-fold axes along x, y and z; the icosahedron and dodecahedron have two-fold axes there;
prisms and the Marks decahedron have their main axis along z and a two-fold axis along x.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from sim.particles.shape import Shape, part, polyhedron, union, vertices_of
from sorter.core.errors import InputError

GOLDEN = (1 + 5**0.5) / 2


def _signed(*vectors: tuple[float, float, float]) -> np.ndarray:
    """``vectors`` with all signs of their components, unique."""
    found = {
        tuple(s * c for s, c in zip(signs, v, strict=True)) for v in vectors for signs in product((1, -1), repeat=3)
    }
    return np.array(sorted({tuple(c + 0.0 for c in v) for v in found}))


def _cyclic(v: tuple[float, float, float]) -> list[tuple[float, float, float]]:
    return [v, (v[1], v[2], v[0]), (v[2], v[0], v[1])]


CUBE = _signed(*_cyclic((1, 0, 0)))
OCTAHEDRON = _signed((1, 1, 1)) / 3**0.5
DODECAHEDRON = _signed(*_cyclic((0, 1, GOLDEN))) / (1 + GOLDEN**2) ** 0.5
ICOSAHEDRON = _signed((1, 1, 1), *_cyclic((0, GOLDEN, 1 / GOLDEN))) / 3**0.5
RHOMBIC = _signed(*_cyclic((1, 1, 0))) / 2**0.5


def tetrahedron() -> Shape:
    """Four faces; three-fold axes along (1, 1, 1) and its like."""
    return polyhedron(
        "tetrahedron", np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / 3**0.5, np.ones(4), "T"
    )


def cube() -> Shape:
    """Six faces."""
    return polyhedron("cube", CUBE, np.ones(6), "O")


def octahedron() -> Shape:
    """Eight faces."""
    return polyhedron("octahedron", OCTAHEDRON, np.ones(8), "O")


def dodecahedron() -> Shape:
    """Twelve pentagons."""
    return polyhedron("dodecahedron", DODECAHEDRON, np.ones(12), "I")


def icosahedron() -> Shape:
    """Twenty triangles, the multiply twinned form of small metal clusters."""
    return polyhedron("icosahedron", ICOSAHEDRON, np.ones(20), "I")


def truncated_octahedron(truncation: float = 1 / 3) -> Shape:
    """Octahedron whose corners are cut off at ``truncation`` (0 to 1/2) of the edges; 1/3 gives regular hexagons."""
    if not 0 < truncation < 0.5:
        raise InputError(f"truncated octahedron: truncation {truncation} must be within (0, 0.5); 0 is the octahedron")
    offsets = np.concatenate([np.full(8, 1 / 3**0.5), np.full(6, 1 - truncation)])
    return polyhedron("truncated_octahedron", np.concatenate([OCTAHEDRON, CUBE]), offsets, "O")


def cuboctahedron() -> Shape:
    """Eight triangles and six squares."""
    offsets = np.concatenate([np.full(8, 2 / 3**0.5), np.ones(6)])
    return polyhedron("cuboctahedron", np.concatenate([OCTAHEDRON, CUBE]), offsets, "O")


def rhombic_dodecahedron() -> Shape:
    """Twelve rhombi."""
    return polyhedron("rhombic_dodecahedron", RHOMBIC, np.ones(12), "O")


def marks_decahedron(height: float = 1.15, notch: float = 0.95) -> Shape:
    """Five-fold twinned particle with re-entrant notches along the twin planes (Marks 1983), five-fold axis along z.

    In units of the distance of the five (100) side faces from the axis: half-length ``height`` of the axis (its ends are
    where the ten (111) caps meet) and distance ``notch`` of the re-entrant (111) faces from the axis. Five overlapping
    pieces stand around a pentagonal core, so that no seam shows.
    """
    slope = 0.5257 / 0.6882  # fcc tetrahedra around a common edge: height over apothem of the pentagonal bipyramid
    if not slope < height < 4 or not 0.6 < notch < 1.17:
        raise InputError(
            f"Marks decahedron: height {height} must be within ({slope:.2f}, 4), notch {notch} within (0.6, 1.17)"
        )
    middle = 2 * np.pi * np.arange(5) / 5
    caps = np.array([[slope * np.cos(a), slope * np.sin(a), s] for a in middle for s in (1, -1)])
    inner = notch / np.cos(np.pi / 10) * np.cos(np.pi / 5)

    def walls(angles: np.ndarray) -> np.ndarray:
        return np.column_stack([np.cos(angles), np.sin(angles), np.zeros(len(angles))])

    pieces = [(walls(middle), np.full(5, inner))]
    for a in middle:
        around = walls(np.array([a, a + 0.3 * np.pi, a - 0.3 * np.pi, a + np.pi]))
        pieces.append((around, np.array([1, notch, notch, -inner / 2])))
    faces = [(np.concatenate([n, caps]), np.concatenate([d, np.full(10, height)])) for n, d in pieces]
    radius = max(np.linalg.norm(vertices_of(n, d), axis=1).max() for n, d in faces)
    return union(*(part("piece", n, d / radius) for n, d in faces), name="marks_decahedron", symmetry="D5")


def prism(sides: int = 6, aspect: float = 1.0) -> Shape:
    """Regular prism along z; ``aspect`` is height over the diameter of the circle about its base."""
    if sides < 3 or aspect <= 0:
        raise InputError(f"prism: {sides} sides, aspect {aspect}: needs at least 3 sides and a positive aspect")
    angle = 2 * np.pi * (np.arange(sides) + 0.5) / sides
    normals = np.column_stack([np.cos(angle), np.sin(angle), np.zeros(sides)])
    normals = np.concatenate([normals, [[0, 0, 1], [0, 0, -1]]])
    offsets = np.concatenate([np.full(sides, np.cos(np.pi / sides)), np.full(2, aspect)])
    return polyhedron("prism", normals, offsets, "O" if sides == 4 and np.isclose(aspect, 0.5**0.5) else f"D{sides}")


def plate(sides: int = 6, aspect: float = 0.15) -> Shape:
    """Flat prism along z."""
    return replace(prism(sides, aspect), name="plate")


def random_facets(rng: np.random.Generator, faces: int = 14, spread: float = 0.25) -> Shape:
    """Irregular convex body of at most ``faces`` random faces, their distances from the middle within 1 +- ``spread``.

    The normals repel one another, so that the body is bounded and not a splinter.
    """
    if faces < 5 or not 0 <= spread < 1:
        raise InputError(
            f"random facets: {faces} faces, spread {spread}: needs at least 5 faces and a spread within [0, 1)"
        )
    normals = rng.standard_normal((faces, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    for _ in range(30):
        between = normals[:, None] - normals
        distance = np.linalg.norm(between, axis=2) + np.eye(faces)
        normals += 0.3 / faces * (between / distance[..., None] ** 3).sum(1)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return polyhedron("random_facets", normals, 1 + spread * rng.uniform(-1, 1, faces))


def cubic_facets(cube: float = 0.9, octahedron: float = 0.85, dodecahedron: float = 0.9) -> Shape:
    """Crystal of cubic symmetry: the faces {100}, {111} and {110} at these distances from the middle (Wulff construction).

    Only ratios count; a face that lies beyond the others is not there, so cube, octahedron and rhombic dodecahedron are the
    corners of this family.
    """
    if min(cube, octahedron, dodecahedron) <= 0:
        raise InputError(f"cubic facets: distances {cube}, {octahedron}, {dodecahedron} must be positive")
    signs = np.array(np.meshgrid([-1, 0, 1], [-1, 0, 1], [-1, 0, 1])).reshape(3, -1).T
    order = np.abs(signs).sum(1)  # 1: {100}, 2: {110}, 3: {111}
    distances = np.array([np.nan, cube, dodecahedron, octahedron])[order]
    return polyhedron("cubic_facets", signs[order > 0], (distances * np.sqrt(order))[order > 0], "O")


def stretched(shape: Shape, axes: Sequence[float]) -> Shape:
    """The polyhedron ``shape`` stretched by ``axes`` (3,) along the body axes, scaled to circumscribed radius 1."""
    return polyhedron(f"stretched_{shape.name}", shape.normals[0].numpy() / np.asarray(axes), shape.offsets[0].numpy())


def rounded(shape: Shape, radius: float) -> Shape:
    """What the polyhedron ``shape`` of circumscribed radius 1 has in common with a sphere of ``radius`` < 1 about the origin,
    scaled to radius 1: its corners are round."""
    if not 0 < radius < 1:
        raise InputError(f"rounded: radius {radius} must be within (0, 1)")
    return part(
        f"rounded_{shape.name}", shape.normals[0], shape.offsets[0] / radius, np.diag([1.0, 1, 1, -1]), extent=1.0
    )
