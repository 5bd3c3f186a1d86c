"""Helium nanodroplets in the extreme ultraviolet: the pattern classes of Langbehn et al. 2018 and Zimmermann et al. 2019.

Classes of patterns and what makes them here: round (sphere), elliptical (oblate droplet), prolate (pill-shaped spinning
droplet), streak (long droplet across the beam), bent (long droplet tilted towards the beam: wide-angle scattering bends the
streak), asymmetric (strongly oblate, tilted), double_rings (two droplets too far apart to interfere), newton_rings (two droplets
one behind the other along the beam), layered (doped core in the droplet), empty. A frame has one main class and further labels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from sim.detector import DetectorConfig, FluenceConfig, LayoutConfig, draw_shot
from sim.particles import Shape, library
from sim.recipes.draws import Quaternion, check_mixture, check_radii, choose, random_rotation, tilted_axis
from sim.recipes.particle_run import ParticleRun, ParticleRunOptions
from sim.recipes.scene import Particle, Scene
from sorter.core.config import require

EMPTY = "empty"
MIXTURE = {
    "round": 0.3,
    "elliptical": 0.2,
    "prolate": 0.1,
    "streak": 0.06,
    "bent": 0.06,
    "asymmetric": 0.06,
    "double_rings": 0.06,
    "newton_rings": 0.08,
    "layered": 0.08,
}
#: Further labels that a main class brings.
ALSO = {
    "streak": ("prolate",),
    "bent": ("prolate",),
    "asymmetric": ("elliptical",),
    "double_rings": ("round",),
    "newton_rings": ("round",),
    "layered": ("round",),
}


@dataclass(frozen=True)
class DropletsOptions(ParticleRunOptions):
    """empty_fraction of the frames; mixture of the others. min_radius_nm .. max_radius_nm: circumscribed radius, log-uniform.
    delta, beta: refractive index 1 - delta + i beta of helium (defaults: near 25 eV, absorption length about 60 nm);
    core_delta, core_beta: of the doped core. The default detector is a multichannel plate with a hole."""

    layout: LayoutConfig = field(default_factory=lambda: LayoutConfig(wavelength_nm=50.0))
    detector: DetectorConfig = field(
        default_factory=lambda: DetectorConfig(
            hole_radius_px=5.0,
            background_photons=0.03,
            background_spread=0.3,
            blur_px=0.6,
            gain_adu=20.0,
            excess_noise=0.5,
            gain_spread=0.03,
            response_knee_adu=50_000.0,
        )
    )
    fluence: FluenceConfig = field(default_factory=lambda: FluenceConfig("log_uniform", 1e3, 1e6))
    views_per_particle: int = 1
    empty_fraction: float = 0.2
    mixture: dict[str, float] = field(default_factory=lambda: dict(MIXTURE))
    min_radius_nm: float = 150.0
    max_radius_nm: float = 600.0
    delta: float = 0.02
    beta: float = 0.065
    core_delta: float = 0.06
    core_beta: float = 0.15

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.empty_fraction <= 1, f"empty_fraction = {self.empty_fraction}: must lie in 0..1")
        check_mixture(self.mixture, list(MIXTURE))
        check_radii(self.min_radius_nm, self.max_radius_nm, self.largest_radius_nm())
        require(min(self.beta, self.core_beta) >= 0, "beta, core_beta: must be 0 or more (matter absorbs)")


class Droplets(ParticleRun):
    """See the module."""

    NAME = "droplets"
    SUMMARY = (
        "helium nanodroplets: round, elliptical, prolate, streak, bent, rings, layered (Langbehn 2018, Zimmermann 2019)"
    )
    OPTIONS = DropletsOptions
    options: DropletsOptions

    def draw(self, what: np.random.Generator, shot: np.random.Generator) -> Scene:
        """See `ParticleRun`."""
        if what.random() < self.options.empty_fraction:
            return Scene(EMPTY)
        kind = choose(self.options.mixture, what)
        particles = (
            self._pair(kind, what) if kind in ("double_rings", "newton_rings") else (self._one(kind, what, shot),)
        )
        return Scene(kind, particles, (kind, *ALSO.get(kind, ())), shot=draw_shot(self.options.fluence, shot))

    def _droplet(self, shape: Shape, what: np.random.Generator, rotation: Quaternion, **parameters: float) -> Particle:
        low, high = np.log(self.options.min_radius_nm), np.log(self.options.max_radius_nm)
        index = (complex(1 - self.options.delta, self.options.beta),)
        if shape.n_layers > 1:
            index += (complex(1 - self.options.core_delta, self.options.core_beta),)
        radius_m = float(np.exp(what.uniform(low, high))) * 1e-9
        return Particle("droplet", shape, radius_m, index, rotation, parameters=parameters)

    def _one(self, kind: str, what: np.random.Generator, shot: np.random.Generator) -> Particle:
        """A droplet that gives a pattern of the class; the tilt of its axis from the beam is part of what makes the class."""
        if kind == "round":
            return self._droplet(library.make("sphere"), what, (1.0, 0.0, 0.0, 0.0))
        if kind == "layered":
            core = float(what.uniform(0.4, 0.8))
            return self._droplet(library.make("core_shell", core=core), what, random_rotation(shot), core=core)
        ranges = {  # stretch, tilt of the axis from the beam in degrees
            "elliptical": ((0.7, 0.9), (60, 90)),
            "asymmetric": ((0.4, 0.6), (30, 60)),
            "prolate": ((1.2, 1.6), (60, 90)),
            "streak": ((1.8, 2.6), (80, 90)),
            "bent": ((1.8, 2.6), (40, 65)),
        }
        stretch = float(what.uniform(*ranges[kind][0]))
        tilt = math.radians(shot.uniform(*ranges[kind][1]))
        return self._droplet(
            library.make("spinning_droplet", stretch=stretch), what, tilted_axis(tilt, shot), stretch=stretch
        )

    def _pair(self, kind: str, what: np.random.Generator) -> tuple[Particle, Particle]:
        """Two round droplets. Newton rings: one behind the other, their waves interfere, and the path difference
        z (1 - cos two_theta) makes rings. Double rings: apart, their intensities add."""
        upright = (1.0, 0.0, 0.0, 0.0)
        first, second = (self._droplet(library.make("sphere"), what, upright) for _ in range(2))
        if kind == "double_rings":
            return first, replace(second, coherent_group=1)
        depth_m = float(what.uniform(30, 70)) * self.options.layout.wavelength_nm * 1e-9
        offset_m = what.uniform(-1, 1, 2) * self.options.layout.wavelength_nm * 1e-9
        return first, replace(second, position_m=(float(offset_m[0]), float(offset_m[1]), depth_m))
