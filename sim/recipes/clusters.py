"""Metal clusters in the extreme ultraviolet: the yardstick of the sorter.

Wide-angle frames of single silver particles of many shapes, dimers and multiple hits among blanks, as recorded at free-electron
lasers (Barke et al., Nat. Commun. 6, 6187 (2015)). The defaults of this file are the default mixture; figures quoted for the
sorter are for these.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from sim.detector import DetectorConfig, FluenceConfig, draw_shot
from sim.particles import Shape, library
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
#: Share of each class among the hits.
MIXTURE = {
    "sphere": 0.1,
    "oblate": 0.1,
    "prolate": 0.1,
    "rod": 0.1,
    "icosahedron": 0.1,
    "cube": 0.1,
    "octahedron": 0.1,
    "plate": 0.1,
    "dimer": 0.1,
    MULTI: 0.1,
}
#: Classes of one particle: name -> (smallest, largest aspect), drawn log-uniformly: axis ratio, length over diameter,
#: height over diameter, or radius of the second sphere over that of the first.
SINGLE = {
    "sphere": (1.0, 1.0),
    "oblate": (0.4, 0.75),
    "prolate": (1.4, 2.5),
    "rod": (2.5, 5.0),
    "icosahedron": (1.0, 1.0),
    "cube": (1.0, 1.0),
    "octahedron": (1.0, 1.0),
    "plate": (0.12, 0.3),
    "dimer": (0.6, 1.0),
    "truncated_octahedron": (1.0, 1.0),
    "marks_decahedron": (1.0, 1.0),
    "dodecahedron": (1.0, 1.0),
    "tetrahedron": (1.0, 1.0),
}
_DETECTOR = DetectorConfig(panels=(2, 1), gap_px=3, beam_stop_radius_px=5.0, background_photons=0.02)


@dataclass(frozen=True)
class ClustersOptions(ParticleRunOptions):
    """blank_fraction of the frames show background only. mixture: shares of the classes among the hits. min_radius_nm ..
    max_radius_nm: circumscribed radius, uniform. refractive index 1 - delta + i beta; absorption_length_nm = lambda / (4 pi beta)
    of the intensity (silver at 13.5 nm: Stielow et al. 2020, Appendix B). Multiple hits: two or three single
    particles within multi_distance_nm across the beam and multi_depth_nm along it."""

    detector: DetectorConfig = _DETECTOR
    fluence: FluenceConfig = field(default_factory=lambda: FluenceConfig("log_uniform", 1e2, 1e6))
    blank_fraction: float = 0.4
    mixture: dict[str, float] = field(default_factory=lambda: dict(MIXTURE))
    min_radius_nm: float = 30.0
    max_radius_nm: float = 160.0
    delta: float = 0.11
    absorption_length_nm: float = 12.5
    multi_distance_nm: float = 550.0
    multi_depth_nm: float = 400.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.blank_fraction <= 1, f"blank_fraction = {self.blank_fraction}: must lie in 0..1")
        check_mixture(self.mixture, [*SINGLE, MULTI])
        check_radii(self.min_radius_nm, self.max_radius_nm, self.largest_radius_nm())
        require(self.absorption_length_nm > 0, f"absorption_length_nm = {self.absorption_length_nm}: must be positive")
        require(-1 < self.delta < 1, f"delta = {self.delta}: must lie in -1..1")
        require(
            min(self.multi_distance_nm, self.multi_depth_nm) >= 0,
            "multi_distance_nm, multi_depth_nm: must be 0 or more",
        )

    def index(self) -> complex:
        """Refractive index of the particles."""
        return complex(1 - self.delta, self.layout.wavelength_nm / (4 * np.pi * self.absorption_length_nm))


@lru_cache(maxsize=64)
def _fixed_shape(kind: str) -> Shape:
    return library.make(kind)


def single_shape(kind: str, aspect: float) -> Shape:
    """The shape of a class of one particle, circumscribed radius 1; aspect: see SINGLE."""
    if kind in ("oblate", "prolate"):
        x, z = (1.0, aspect) if aspect < 1 else (1 / aspect, 1.0)
        return library.make("ellipsoid", x=x, y=x, z=z)
    if kind == "rod":
        return library.make("rod", aspect=aspect)
    if kind == "plate":
        return library.make("plate", sides=6, aspect=aspect)
    if kind == "dimer":
        return library.make("dimer", ratio=aspect)
    return _fixed_shape(kind)


class Clusters(ParticleRun):
    """See the module."""

    NAME = "clusters"
    SUMMARY = "metal clusters of mixed shapes in the extreme ultraviolet, wide angle; the yardstick"
    OPTIONS = ClustersOptions
    options: ClustersOptions

    def draw(self, what: np.random.Generator, shot: np.random.Generator) -> Scene:
        """See `ParticleRun`."""
        options = self.options
        if what.random() < options.blank_fraction:
            return Scene(BLANK)
        kind = choose(options.mixture, what)
        if kind != MULTI:
            particles = (self._particle(kind, what, shot),)
            return Scene(kind, particles, (kind,), shot=draw_shot(options.fluence, shot))
        kinds = choose_several(options.mixture, MULTI, what)
        singles_there = [self._particle(k, what, shot) for k in kinds]
        particles = place_apart(singles_there, options.multi_distance_nm * 1e-9, options.multi_depth_nm * 1e-9, shot)
        return Scene(MULTI, particles, (MULTI, *dict.fromkeys(kinds)), shot=draw_shot(options.fluence, shot))

    def _particle(self, kind: str, what: np.random.Generator, shot: np.random.Generator) -> Particle:
        low, high = SINGLE[kind]
        aspect = log_uniform(what, low, high)
        radius_m = float(what.uniform(self.options.min_radius_nm, self.options.max_radius_nm)) * 1e-9
        parameters = {} if low == high else {"aspect": aspect}
        index = (self.options.index(),)
        return Particle(kind, single_shape(kind, aspect), radius_m, index, random_rotation(shot), parameters=parameters)
