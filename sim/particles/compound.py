"""Bodies of several parts or materials: dimers and aggregates, core-shell, bubbles, doped droplets, virus-like capsids.

The order of materials (refractive indices) of a layered body is that of its layers, outermost first.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from sim import orientation
from sim.particles.curved import sphere
from sim.particles.polyhedra import icosahedron
from sim.particles.shape import Shape, layered, transformed, union
from sorter.core.errors import InputError


def dimer(ratio: float = 1.0, gap: float = 0.0, unit: Shape | None = None) -> Shape:
    """Two bodies in contact along z, the second ``ratio`` (<= 1) times the first.

    ``gap`` is the distance between them in radii of the first; where it is negative they overlap.
    """
    if not 0 < ratio <= 1 or gap <= -1:
        raise InputError(f"dimer: ratio {ratio} must be within (0, 1], gap {gap} above -1")
    unit = unit or sphere()
    length = 2 + 2 * ratio + gap
    first = transformed(unit, scale=2 / length, shift=(0, 0, 1 - 2 / length))
    second = transformed(unit, scale=2 * ratio / length, shift=(0, 0, 2 * ratio / length - 1))
    whole = union(first, second, name="dimer", symmetry="Dinf" if ratio == 1 else "Cinf")
    return replace(whole, extent=1.0) if unit.symmetry == "SO3" else replace(whole, symmetry="C1")


def aggregate(rng: np.random.Generator, count: int = 5, spread: float = 0.2) -> Shape:
    """``count`` spheres, radii within 1 +- ``spread`` of one another, stuck together one by one from random directions."""
    if count < 2 or not 0 <= spread < 1:
        raise InputError(f"aggregate: {count} spheres, spread {spread}: needs at least 2 and a spread within [0, 1)")
    radii = 1 + spread * rng.uniform(-1, 1, count)
    centres = [np.zeros(3)]
    for i in range(1, count):
        direction = rng.standard_normal(3)
        direction /= np.linalg.norm(direction)
        # Comes from infinity towards a random member and stops at the first contact.
        aim = centres[rng.integers(i)]
        stops = [0.0]
        for c, r in zip(centres, radii, strict=False):
            offset = aim - c
            along = offset @ direction
            inner = along**2 - offset @ offset + (r + radii[i]) ** 2
            if inner > 0:
                stops.append(-along + np.sqrt(inner))
        centres.append(aim + direction * max(stops))
    points = np.array(centres)
    points -= (points * radii[:, None] ** 3).sum(0) / (radii**3).sum()
    scale = (np.linalg.norm(points, axis=1) + radii).max()
    spheres = [
        transformed(sphere(), scale=r / scale, shift=tuple(p / scale)) for p, r in zip(points, radii, strict=True)
    ]
    return replace(union(*spheres, name="aggregate"), extent=1.0)


def core_shell(core: float = 0.7, outer: Shape | None = None) -> Shape:
    """A body with a core of the same form, ``core`` times as large; materials: shell, core."""
    if not 0 < core < 1:
        raise InputError(f"core-shell: core {core} must be within (0, 1)")
    outer = outer or sphere()
    return layered(outer, transformed(outer, scale=core), name="core_shell", symmetry=outer.symmetry)


def bubble(size: float = 0.4, shift: float = 0.3) -> Shape:
    """A droplet with a spherical bubble of ``size`` at ``shift`` along z; materials: liquid, 1 (or the vapour)."""
    _check_inside("bubble", size, shift)
    inner = transformed(sphere(), scale=size, shift=(0, 0, shift))
    return layered(sphere(), inner, name="bubble", symmetry="SO3" if shift == 0 else "Cinf")


def doped_droplet(rng: np.random.Generator, dopants: int = 6, size: float = 0.15) -> Shape:
    """A droplet with ``dopants`` small clusters inside, near its surface or middle; materials: droplet, dopants."""
    _check_inside("doped droplet", size, 0)
    if dopants < 1:
        raise InputError(f"doped droplet: {dopants} dopants; at least one is needed")
    points = rng.standard_normal((dopants, 3))
    points *= ((1 - size) * rng.random(dopants) ** (1 / 3) / np.linalg.norm(points, axis=1))[:, None]
    inside = [transformed(sphere(), scale=size, shift=tuple(p)) for p in points]
    return layered(sphere(), union(*inside), name="doped_droplet")


def virus(shell: float = 0.1, core: float = 0.5, lumps: int = 0, rng: np.random.Generator | None = None) -> Shape:
    """Icosahedral capsid of relative thickness ``shell``, filled, with a denser inside of radius ``core``.

    With ``lumps`` > 0 the inside is that many random balls, else one ball. Materials: capsid, filling, inside.
    """
    if not 0 < shell < 0.5 or not 0 < core < 0.75 * (1 - shell):
        raise InputError(
            f"virus: shell {shell} must be within (0, 0.5), core {core} within (0, {0.75 * (1 - shell):.3g})"
        )
    capsid = icosahedron()
    filling = transformed(capsid, scale=1 - shell)
    if not lumps:
        return layered(capsid, filling, transformed(sphere(), scale=core), name="virus", symmetry="I")
    rng = rng if rng is not None else np.random.default_rng(0)
    points = rng.standard_normal((lumps, 3))
    points *= (0.6 * core * rng.random(lumps) ** (1 / 3) / np.linalg.norm(points, axis=1))[:, None]
    balls = [transformed(sphere(), scale=0.4 * core, shift=tuple(p)) for p in points]
    return layered(capsid, filling, union(*balls), name="virus")


def turned(shape: Shape, rng: np.random.Generator) -> Shape:
    """``shape`` in a random orientation, as a member of an aggregate."""
    q: torch.Tensor = orientation.random_quaternions(1, rng)[0]
    return transformed(shape, q)


def _check_inside(what: str, size: float, shift: float) -> None:
    if not 0 < size < 1 or abs(shift) + size > 1:
        raise InputError(f"{what}: an inside of size {size} at {shift} does not fit into the body of radius 1")
