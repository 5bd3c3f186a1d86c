"""Continuous families of bodies, for teaching an encoder what makes two frames the same kind of thing.

A body (family, shape parameters, material) is drawn once and seen several times: in another size and orientation, at
another place, in shots of another brightness. Frames of one body share a pair_id; the class is its family. Families run into
one another on purpose (a prism with many sides is nearly a cylinder, a random faceting may be nearly a cube), so that few
bodies that a run can hold are far from all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from sim.detector import DetectorConfig, FluenceConfig, draw_shot
from sim.particles import Shape, library
from sim.particles.polyhedra import rounded, stretched
from sim.recipes.base import BLANK
from sim.recipes.draws import (
    check_mixture,
    check_radii,
    choose,
    choose_several,
    log_uniform,
    place_apart,
    random_rotation,
)
from sim.recipes.particle_run import ParticleRun, ParticleRunOptions
from sim.recipes.scene import Particle, Scene
from sorter.core.config import require

MULTI = "multi"


def _fixed(name: str) -> Callable[[np.random.Generator], Shape]:
    return lambda rng: library.make(name)


def _ellipsoid(x: float, y: float, z: float) -> Shape:
    longest = max(x, y, z)
    return library.make("ellipsoid", x=x / longest, y=y / longest, z=z / longest)


def _oblate(rng: np.random.Generator) -> Shape:
    return _ellipsoid(1, 1, log_uniform(rng, 0.3, 0.8))


def _prolate(rng: np.random.Generator) -> Shape:
    return _ellipsoid(1, 1, log_uniform(rng, 1.25, 3.0))


def _triaxial(rng: np.random.Generator) -> Shape:
    middle = log_uniform(rng, 1.2, 1.8)
    return _ellipsoid(1, middle, middle * log_uniform(rng, 1.2, 1.8))


def _random_facets(rng: np.random.Generator) -> Shape:
    return library.make("random_facets", rng, faces=int(rng.integers(8, 24)), spread=float(rng.uniform(0, 0.4)))


def _cubic_facets(rng: np.random.Generator) -> Shape:
    """Between cube, octahedron and rhombic dodecahedron; never a whole cube or octahedron."""
    cube, octahedron, dodecahedron = rng.uniform(0.65, 1.1, 3)
    return library.make("cubic_facets", cube=cube, octahedron=octahedron, dodecahedron=dodecahedron)


def _stretched_facets(rng: np.random.Generator) -> Shape:
    return stretched(_random_facets(rng), np.exp(rng.uniform(-0.7, 0.7, 3)))


def _rounded_facets(rng: np.random.Generator) -> Shape:
    return rounded(_stretched_facets(rng) if rng.random() < 0.5 else _cubic_facets(rng), float(rng.uniform(0.7, 0.95)))


#: Family -> how a body of it is drawn.
FAMILIES: dict[str, Callable[[np.random.Generator], Shape]] = {
    "sphere": _fixed("sphere"),
    "oblate": _oblate,
    "prolate": _prolate,
    "triaxial": _triaxial,
    "rod": lambda rng: library.make("rod", aspect=log_uniform(rng, 2.0, 6.0)),
    "cylinder": lambda rng: library.make("cylinder", aspect=log_uniform(rng, 0.6, 4.0)),
    "disk": lambda rng: library.make("disk", aspect=log_uniform(rng, 0.1, 0.4)),
    "bent_rod": lambda rng: library.make(
        "bent_rod", aspect=log_uniform(rng, 3, 6), bend_rad=float(rng.uniform(0.6, 2.5))
    ),
    "torus": lambda rng: library.make("torus", thickness=float(rng.uniform(0.2, 0.6))),
    "two_lobed": lambda rng: library.make("spinning_droplet", stretch=float(rng.uniform(1.8, 2.4))),
    "tetrahedron": _fixed("tetrahedron"),
    "cube": _fixed("cube"),
    "octahedron": _fixed("octahedron"),
    "dodecahedron": _fixed("dodecahedron"),
    "icosahedron": _fixed("icosahedron"),
    "truncated_octahedron": lambda rng: library.make("truncated_octahedron", truncation=float(rng.uniform(0.2, 0.4))),
    "cuboctahedron": _fixed("cuboctahedron"),
    "rhombic_dodecahedron": _fixed("rhombic_dodecahedron"),
    "marks_decahedron": _fixed("marks_decahedron"),
    "prism": lambda rng: library.make("prism", sides=int(rng.integers(3, 7)), aspect=log_uniform(rng, 0.6, 3.0)),
    "plate": lambda rng: library.make("plate", sides=int(rng.integers(3, 7)), aspect=log_uniform(rng, 0.1, 0.35)),
    "random_facets": _random_facets,
    "cubic_facets": _cubic_facets,
    "stretched_facets": _stretched_facets,
    "rounded_facets": _rounded_facets,
    "dimer": lambda rng: library.make("dimer", ratio=float(rng.uniform(0.5, 1)), gap=float(rng.uniform(-0.3, 0.5))),
    "aggregate": lambda rng: library.make("aggregate", rng, count=int(rng.integers(3, 8))),
    "core_shell": lambda rng: library.make("core_shell", core=float(rng.uniform(0.4, 0.8))),
    "bubble": lambda rng: library.make("bubble", size=float(rng.uniform(0.3, 0.6)), shift=float(rng.uniform(0, 0.35))),
}
_DETECTOR = DetectorConfig(panels=(2, 1), gap_px=3, beam_stop_radius_px=5.0, background_photons=0.02)


@dataclass(frozen=True)
class FamiliesOptions(ParticleRunOptions):
    """blank_fraction of the frames show background only. families: shares among the hits; `MULTI` is two or three bodies within
    multi_distance_nm across the beam and multi_depth_nm along it. min_radius_nm .. max_radius_nm: circumscribed radius,
    uniform, drawn for each frame. Material, drawn for each body: refractive index 1 - delta + i beta with delta in
    0..max_delta, and absorption length lambda / (4 pi beta) log-uniform in min_ .. max_absorption_length_nm."""

    detector: DetectorConfig = _DETECTOR
    fluence: FluenceConfig = field(default_factory=lambda: FluenceConfig("log_uniform", 1e2, 1e6))
    views_per_particle: int = 8
    blank_fraction: float = 0.0
    families: dict[str, float] = field(default_factory=lambda: dict.fromkeys([*FAMILIES, MULTI], 1.0))
    min_radius_nm: float = 30.0
    max_radius_nm: float = 160.0
    max_delta: float = 0.2
    min_absorption_length_nm: float = 8.0
    max_absorption_length_nm: float = 60.0
    multi_distance_nm: float = 550.0
    multi_depth_nm: float = 400.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.blank_fraction <= 1, f"blank_fraction = {self.blank_fraction}: must lie in 0..1")
        check_mixture(self.families, [*FAMILIES, MULTI], "families")
        check_radii(self.min_radius_nm, self.max_radius_nm, self.largest_radius_nm())
        low, high = self.min_absorption_length_nm, self.max_absorption_length_nm
        require(0 < low <= high, f"absorption lengths {low}..{high} nm: need 0 < min <= max")
        require(0 <= self.max_delta < 1, f"max_delta = {self.max_delta}: must lie in 0..1")
        require(
            min(self.multi_distance_nm, self.multi_depth_nm) >= 0,
            "multi_distance_nm, multi_depth_nm: must be 0 or more",
        )


class Families(ParticleRun):
    """See the module."""

    NAME = "families"
    SUMMARY = "continuous families of bodies, each body seen several times; for pre-training"
    OPTIONS = FamiliesOptions
    options: FamiliesOptions

    def draw(self, what: np.random.Generator, shot: np.random.Generator) -> Scene:
        """See `ParticleRun`."""
        options = self.options
        if what.random() < options.blank_fraction:
            return Scene(BLANK)
        family = choose(options.families, what)
        brightness = draw_shot(options.fluence, shot)
        if family != MULTI:
            return Scene(family, (self._particle(family, what, shot),), (family,), shot=brightness)
        families = choose_several(options.families, MULTI, what)
        bodies = [self._particle(f, what, shot) for f in families]
        particles = place_apart(bodies, options.multi_distance_nm * 1e-9, options.multi_depth_nm * 1e-9, shot)
        return Scene(MULTI, particles, (MULTI, *dict.fromkeys(families)), shot=brightness)

    def _particle(self, family: str, what: np.random.Generator, shot: np.random.Generator) -> Particle:
        options = self.options
        shape = FAMILIES[family](what)
        radius_m = float(shot.uniform(options.min_radius_nm, options.max_radius_nm)) * 1e-9
        index = tuple(self._index(what) for _ in range(shape.n_layers))
        if family == "bubble":
            index = (index[0], 1.0 + 0j)
        return Particle(family, shape, radius_m, index, random_rotation(shot))

    def _index(self, what: np.random.Generator) -> complex:
        options = self.options
        length_nm = log_uniform(what, options.min_absorption_length_nm, options.max_absorption_length_nm)
        beta = options.layout.wavelength_nm / (4 * np.pi * length_nm)
        return complex(1 - what.uniform(0, options.max_delta), beta)
