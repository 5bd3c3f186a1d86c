"""The solids that the networks know: how each is made, and what is regressed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from recon.shape.harmonics import Harmonics, harmonics_of
from sim.particles import Shape
from sim.recipes.clusters import SINGLE, single_shape
from sim.recipes.draws import log_uniform
from sorter.core.errors import InputError

#: Circumscribed radius that networks are trained for, nm; a little wider than that of the recipes.
MIN_RADIUS_NM, MAX_RADIUS_NM = 28.0, 163.0
#: Optical constants of the recipes: silver at 13.5 nm.
DELTA, ABSORPTION_LENGTH_NM, WAVELENGTH_M = 0.11, 12.5, 13.5e-9
INDEX = complex(1 - DELTA, WAVELENGTH_M * 1e9 / (4 * math.pi * ABSORPTION_LENGTH_NM))
#: Solids that one network tells apart: all single particles of the recipe `clusters` but the dimer.
ALL_SOLIDS = tuple(name for name in SINGLE if name != "dimer")


@dataclass(frozen=True)
class Solid:
    """name: as in the recipe `clusters`; symmetry: of its shape; aspects: smallest and largest (equal: the shape is rigid)."""

    name: str
    symmetry: str
    aspects: tuple[float, float]

    @property
    def rigid(self) -> bool:
        """Whether size and orientation are all there is to know."""
        return self.aspects[0] == self.aspects[1]

    @property
    def harmonics(self) -> Harmonics:
        """Its orientation without seams."""
        return harmonics_of(self.symmetry)

    def shape(self, aspect: float | None = None) -> Shape:
        """The shape, circumscribed radius 1; ``aspect``: default the geometric middle of its range."""
        return single_shape(self.name, math.sqrt(math.prod(self.aspects)) if aspect is None else aspect)

    def draw(self, rng: np.random.Generator) -> Shape:
        """A shape of random aspect."""
        return self.shape(log_uniform(rng, *self.aspects))


def solid(name: str) -> Solid:
    """The solid ``name``. Raises InputError that lists the known ones."""
    if name not in ALL_SOLIDS:
        raise InputError(f"solid {name!r}: unknown; known are {', '.join(ALL_SOLIDS)}")
    low, high = SINGLE[name]
    return Solid(name, single_shape(name, math.sqrt(low * high)).symmetry, (low, high))
