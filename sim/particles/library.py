"""Shapes by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from sim.particles import compound, curved, polyhedra
from sim.particles.shape import Shape
from sorter.core.errors import InputError

BUILDERS: dict[str, Callable[..., Shape]] = {
    builder.__name__: builder
    for builder in (
        curved.sphere, curved.ellipsoid, curved.rod, curved.cylinder, curved.disk, curved.bent_rod, curved.torus,
        curved.spinning_droplet,
        polyhedra.tetrahedron, polyhedra.cube, polyhedra.octahedron, polyhedra.dodecahedron, polyhedra.icosahedron,
        polyhedra.truncated_octahedron, polyhedra.cuboctahedron, polyhedra.rhombic_dodecahedron,
        polyhedra.marks_decahedron, polyhedra.prism, polyhedra.plate, polyhedra.random_facets, polyhedra.cubic_facets,
        compound.dimer, compound.aggregate, compound.core_shell, compound.bubble, compound.doped_droplet, compound.virus,
    )
}  # fmt: skip
NAMES = tuple(sorted(BUILDERS))


def make(name: str, rng: np.random.Generator | None = None, **options: object) -> Shape:
    """The shape ``name`` with ``options`` of its builder; ``rng`` is needed by random shapes.

    Raises InputError for an unknown name or option, or a random shape without ``rng``.
    """
    if name not in BUILDERS:
        raise InputError(f"shape {name!r} is not known; there are: {', '.join(NAMES)}")
    builder = BUILDERS[name]
    known = inspect.signature(builder).parameters
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise InputError(f"shape {name}: option {unknown[0]!r} is not known; there are: {', '.join(known) or 'none'}")
    if "rng" in known and rng is not None:
        options = {"rng": rng, **options}
    if "rng" in known and known["rng"].default is inspect.Parameter.empty and "rng" not in options:
        raise InputError(f"shape {name} is random: give it a random generator")
    return builder(**options) if "rng" in options else _cached(name, tuple(sorted(options.items())))


@lru_cache(maxsize=256)
def _cached(name: str, options: tuple[tuple[str, object], ...]) -> Shape:
    return BUILDERS[name](**dict(options))
