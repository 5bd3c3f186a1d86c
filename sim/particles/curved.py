"""Bodies with curved surfaces: spheres, ellipsoids, rods, cylinders, bodies of revolution, bent rods, tori, droplets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch

from sim import orientation
from sim.particles.shape import Shape, part, transformed, union
from sorter.core.errors import InputError


def sphere() -> Shape:
    """Ball of radius 1."""
    return part("sphere", quadric=np.diag([1.0, 1, 1, -1]), symmetry="SO3")


def ellipsoid(x: float = 1.0, y: float = 0.8, z: float = 0.6) -> Shape:
    """Ellipsoid with semi-axes ``x``, ``y``, ``z`` along the body axes, not rescaled; so is a sphere placed with sizes (M, 3)."""
    axes = np.array([x, y, z], float)
    if not (axes > 0).all():
        raise InputError(f"ellipsoid: semi-axes {x}, {y}, {z} must be positive")
    equal = [bool(np.isclose(*pair)) for pair in ((x, y), (y, z), (x, z))]
    symmetry = "SO3" if all(equal) else "Dinf" if equal[0] else "D2"
    return part("ellipsoid", quadric=np.diag([*axes**-2, -1]), extent=axes.max(), symmetry=symmetry)


def frustum(z1: float, r1: float, z2: float, r2: float) -> Shape:
    """Truncated cone about z from height ``z1``, radius ``r1``, to ``z2`` > ``z1``, ``r2``; a cylinder where r1 = r2."""
    if not (z1 < z2 and min(r1, r2) >= 0 < max(r1, r2)):
        raise InputError(f"frustum: heights {z1} < {z2} and radii {r1}, {r2} >= 0 are needed")
    m = (r2 - r1) / (z2 - z1)
    c = r1 - m * z1
    # x^2 + y^2 - (c + m z)^2 <= 0
    quadric = np.diag([1, 1, -m * m, -c * c])
    quadric[2, 3] = quadric[3, 2] = -m * c
    extent = float(np.hypot([z1, z2], [r1, r2]).max())
    return part("frustum", [[0, 0, 1], [0, 0, -1]], [z2, -z1], quadric, (0, 0, np.sign(m)), extent, "Cinf")


def cylinder(aspect: float = 2.0) -> Shape:
    """Flat-ended cylinder along z; ``aspect`` is length over diameter."""
    if aspect <= 0:
        raise InputError(f"cylinder: aspect {aspect} must be positive")
    radius = 1 / np.hypot(1, aspect)
    shape = frustum(-aspect * radius, radius, aspect * radius, radius)
    return replace(shape, name="cylinder", symmetry="Dinf", extent=1.0)


def disk(aspect: float = 0.2) -> Shape:
    """Flat cylinder."""
    return replace(cylinder(aspect), name="disk")


def rod(aspect: float = 2.5) -> Shape:
    """Capsule along z, half a sphere at each end; ``aspect`` is its whole length over its diameter (>= 1)."""
    if aspect < 1:
        raise InputError(f"rod: aspect {aspect} must be at least 1, which is a sphere")
    radius = 1 / aspect
    return tube([(0, 0, radius - 1), (0, 0, 1 - radius)], radius, "rod", "Dinf") if aspect > 1 else sphere()


def tube(
    points: list[tuple[float, float, float]] | np.ndarray, radius: float, name: str, symmetry: str = "C1"
) -> Shape:
    """Round tube of ``radius`` about the line through ``points`` (K, 3), K >= 2: cylinders with balls at the joints and ends."""
    points = np.asarray(points, float)
    ball = transformed(sphere(), scale=radius)
    pieces = [transformed(ball, shift=tuple(p)) for p in points]
    for start, end in pairwise(points):
        length = float(np.linalg.norm(end - start))
        if length > 1e-9:
            straight = frustum(-length / 2, radius, length / 2, radius)
            pieces.append(transformed(straight, turn_z_to(end - start), tuple((start + end) / 2)))
    whole = union(*pieces, name=name, symmetry=symmetry)
    return replace(whole, extent=float(np.linalg.norm(points, axis=1).max() + radius))


def turn_z_to(direction: np.ndarray) -> torch.Tensor:
    """A rotation (4,) that turns z into ``direction`` (3,)."""
    d = np.asarray(direction, float) / np.linalg.norm(direction)
    axis = np.cross([0, 0, 1], d)
    if np.linalg.norm(axis) < 1e-12:
        axis = np.array([1.0, 0, 0])
    return orientation.from_axis_angle(torch.from_numpy(axis), float(np.arccos(np.clip(d[2], -1, 1))))


def bent_rod(aspect: float = 4.0, bend_rad: float = 1.2, pieces: int = 6) -> Shape:
    """Rod along x bent by ``bend_rad`` into an arc in the xz plane, two-fold about z; ``aspect`` is arc length over diameter."""
    if aspect <= 1 or not 0 < bend_rad <= 2 * np.pi * 0.9:
        raise InputError(
            f"bent rod: aspect {aspect} must exceed 1, bend {bend_rad} lie within (0, {1.8 * np.pi:.2f}) rad"
        )
    arc = (2 * aspect - 2) / bend_rad  # radius of the arc, tube radius 1
    if arc < 1:
        raise InputError(
            f"bent rod: aspect {aspect} is too short for a bend of {bend_rad} rad, it would close on itself"
        )
    angle = np.linspace(-bend_rad / 2, bend_rad / 2, pieces + 1)
    points = arc * np.column_stack([np.sin(angle), np.zeros(len(angle)), np.cos(angle) - np.cos(bend_rad / 4)])
    scale = np.linalg.norm(points, axis=1).max() + 1
    return tube(points / scale, 1 / scale, "bent_rod", "C2")


def torus(thickness: float = 0.4, pieces: int = 16) -> Shape:
    """Ring about z of ``pieces`` straight tubes, round in cross-section; ``thickness`` (< 1): tube over ring radius."""
    if not 0 < thickness < 1:
        raise InputError(f"torus: thickness {thickness} must be within (0, 1)")
    angle = 2 * np.pi * np.arange(pieces + 1) / pieces
    ring = 1 / (1 + thickness)
    points = ring * np.column_stack([np.cos(angle), np.sin(angle), np.zeros(len(angle))])
    return tube(points, thickness * ring, "torus", f"D{pieces}")


def revolution(profile: Callable[[np.ndarray], np.ndarray], half_length: float, name: str, pieces: int = 24) -> Shape:
    """Body of revolution about z, |z| <= ``half_length``, of radius ``profile(z)``, made of ``pieces`` truncated cones."""
    z = -half_length * np.cos(np.pi * np.arange(pieces + 1) / pieces)
    r = profile(z)
    scale = np.hypot(z, r).max()
    frusta = [frustum(*(np.array([z[i], r[i], z[i + 1], r[i + 1]]) / scale)) for i in range(pieces)]
    return union(*frusta, name=name, symmetry="Dinf")


def spinning_droplet(stretch: float = 0.6) -> Shape:
    """Shape of a spinning droplet: ``stretch`` < 1 an oblate spheroid with that axis ratio about its axis of rotation z;
    1 to 1.73 a prolate, pill-like and beyond a two-lobed body, elongated along z.

    Prolate and two-lobed bodies follow a Cassini-like profile r^2 = sqrt(a^4 + 4 c^2 z^2) - z^2 - c^2 that fits the
    equilibrium shapes of spinning liquid drops (Brown & Scriven 1980; Langbehn 2018) in aspect ratio and neck.
    """
    if not 0.3 <= stretch <= 2.8:
        raise InputError(f"spinning droplet: stretch {stretch} must be within 0.3 (oblate) to 2.8 (two-lobed)")
    if stretch <= 1:
        return replace(ellipsoid(1, 1, stretch), name="spinning_droplet")
    c2 = _cassini(stretch)
    half = np.sqrt(1 + c2)
    return revolution(
        lambda z: np.sqrt((np.sqrt(1 + 4 * c2 * z * z) - z * z - c2).clip(0)), half, "spinning_droplet", pieces=24
    )


def _cassini(stretch: float) -> float:
    """c^2 (a = 1) of the Cassini oval of which length over greatest width is ``stretch``."""
    low, high = 0.0, 0.999
    for _ in range(60):
        c2 = (low + high) / 2
        width = np.sqrt(1 - c2) if c2 < 0.5 else 1 / (2 * np.sqrt(c2))
        low, high = (c2, high) if np.sqrt(1 + c2) / width < stretch else (low, c2)
    return (low + high) / 2
