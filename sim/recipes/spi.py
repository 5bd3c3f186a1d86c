"""Single particle imaging with hard X-rays: virus-like particles among multiple hits, contaminants, droplets and blanks.

At 1.7 keV, small angles and weak scatterers: the far field is that of the density on the Ewald sphere (first Born
approximation). The background is what an injector makes: a streak from the jet, stray light that changes from shot to shot
(Hu et al. 2025, section 3.1).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from sim.detector import DetectorConfig, FluenceConfig, LayoutConfig, draw_shot
from sim.particles import Shape, library
from sim.recipes.base import BLANK
from sim.recipes.draws import check_mixture, check_radii, choose, log_uniform, place_apart, random_rotation
from sim.recipes.particle_run import ParticleRun, ParticleRunOptions
from sim.recipes.scene import Particle, Scene
from sorter.core.config import require

MIXTURE = {"single": 0.5, "multi": 0.2, "contaminant": 0.15, "droplet": 0.15}
CONTAMINANTS = ("random_facets", "aggregate", "rod")


@dataclass(frozen=True)
class SpiOptions(ParticleRunOptions):
    """blank_fraction of the frames; mixture of the hits. virus_radius_nm with its relative spread: the particles of interest are
    alike; contaminants and droplets lie between min_radius_nm and max_radius_nm, log-uniform. delta, beta: refractive index
    1 - delta + i beta of protein; contrast: of the inside of the virus, relative to protein; water_delta: of droplets.
    multi_distance_nm: two or three viruses within that distance."""

    layout: LayoutConfig = field(
        default_factory=lambda: LayoutConfig(wavelength_nm=0.73, two_theta_edge_deg=4.0, pixel_size_um=300.0)
    )
    detector: DetectorConfig = field(
        default_factory=lambda: DetectorConfig(
            panels=(2, 2),
            gap_px=2,
            hole_radius_px=3.0,
            background_photons=0.01,
            background_spread=0.5,
            streak_photons=0.4,
            streak_angle_deg=62.0,
            pointing_jitter_px=0.4,
            dead_fraction=1e-3,
            hot_fraction=3e-4,
        )
    )
    fluence: FluenceConfig = field(default_factory=lambda: FluenceConfig("log_uniform", 1e2, 1e6))
    rung: str = "born"
    views_per_particle: int = 1
    blank_fraction: float = 0.3
    mixture: dict[str, float] = field(default_factory=lambda: dict(MIXTURE))
    virus_radius_nm: float = 35.0
    virus_spread: float = 0.03
    min_radius_nm: float = 20.0
    max_radius_nm: float = 120.0
    delta: float = 1.5e-4
    beta: float = 2e-5
    contrast: float = 1.25
    water_delta: float = 1.1e-4
    multi_distance_nm: float = 220.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.blank_fraction <= 1, f"blank_fraction = {self.blank_fraction}: must lie in 0..1")
        check_mixture(self.mixture, list(MIXTURE))
        check_radii(self.min_radius_nm, self.max_radius_nm, self.largest_radius_nm())
        check_radii(self.virus_radius_nm, self.virus_radius_nm, self.largest_radius_nm())
        require(0 <= self.virus_spread < 0.3, f"virus_spread = {self.virus_spread}: must lie in 0..0.3")
        require(self.beta >= 0, f"beta = {self.beta}: must be 0 or more (matter absorbs)")
        require(self.multi_distance_nm >= 0, f"multi_distance_nm = {self.multi_distance_nm}: must be 0 or more")


@lru_cache(maxsize=1)
def _virus_shape() -> Shape:
    return library.make("virus", np.random.default_rng(7), shell=0.12, core=0.6, lumps=3)


class Spi(ParticleRun):
    """See the module."""

    NAME = "spi"
    SUMMARY = "hard X-ray single particles: virus-like hits, multiple hits, contaminants, droplets, blanks"
    OPTIONS = SpiOptions
    options: SpiOptions

    def draw(self, what: np.random.Generator, shot: np.random.Generator) -> Scene:
        """See `ParticleRun`."""
        options = self.options
        if what.random() < options.blank_fraction:
            return Scene(BLANK)
        kind = choose(options.mixture, what)
        if kind == "multi":
            viruses = [self._virus(what, shot) for _ in range(int(what.integers(2, 4)))]
            particles = place_apart(viruses, options.multi_distance_nm * 1e-9, 5e-6, shot)
        else:
            make = {"single": self._virus, "contaminant": self._contaminant, "droplet": self._drop}[kind]
            particles = (make(what, shot),)
        labels = (kind, "virus") if kind in ("single", "multi") else (kind,)
        return Scene(kind, particles, labels, shot=draw_shot(options.fluence, shot))

    def _index(self, factor: float) -> complex:
        return complex(1 - self.options.delta * factor, self.options.beta * factor)

    def _virus(self, what: np.random.Generator, shot: np.random.Generator) -> Particle:
        """Icosahedral capsid, filling, denser lumps inside: the lumps, as the genome, are the same in all viruses of a run."""
        options = self.options
        radius_m = (
            options.virus_radius_nm * 1e-9 * float(1 + options.virus_spread * np.clip(what.standard_normal(), -3, 3))
        )
        index = (self._index(1.0), self._index(0.7), self._index(options.contrast))
        return Particle("virus", _virus_shape(), radius_m, index, random_rotation(shot))

    def _radius_m(self, what: np.random.Generator) -> float:
        return log_uniform(what, self.options.min_radius_nm, self.options.max_radius_nm) * 1e-9

    def _contaminant(self, what: np.random.Generator, shot: np.random.Generator) -> Particle:
        kind = str(what.choice(CONTAMINANTS))
        shape = library.make(kind, what) if kind != "rod" else library.make(kind, aspect=float(what.uniform(2, 5)))
        return Particle(
            kind, shape, self._radius_m(what), (self._index(float(what.uniform(0.8, 2.5))),), random_rotation(shot)
        )

    def _drop(self, what: np.random.Generator, shot: np.random.Generator) -> Particle:
        index = (complex(1 - self.options.water_delta, self.options.beta),)
        return Particle("droplet", library.make("sphere"), self._radius_m(what), index)
