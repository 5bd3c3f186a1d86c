"""Icosahedral silver clusters: the data set of Stielow et al. 2020 (Appendix B).

Wavelength 13.5 nm, absorption length 12.5 nm, circumscribed radius 30-160 nm uniform, 128 x 128 pixels, orientations uniform in
the fundamental domain of the icosahedral group. The paper stores the logarithm of the intensity; here counts are written, the
logarithm is a model's own preprocessing. Where the paper says nothing: edge of the detector at two_theta 30 degrees, index
0.89 + 0.086i, shots of 10^4 to 10^6 photons, no beam stop. The paper computes the far field with an absorption-only multislice;
here waves propagate through the particle, which is nearer to Maxwell's equations.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from sim.detector import DetectorConfig, FluenceConfig, draw_shot
from sim.detector.stielow import FILTERS, filter_counts
from sim.particles import library
from sim.recipes.base import Block
from sim.recipes.draws import check_radii, random_rotation
from sim.recipes.particle_run import ParticleRun, ParticleRunOptions
from sim.recipes.scene import Particle, Scene
from sim.symmetry import to_fundamental
from sorter.core.config import require
from sorter.core.seeds import child_rng


@dataclass(frozen=True)
class IcosahedraOptions(ParticleRunOptions):
    """min_radius_nm .. max_radius_nm: circumscribed radius, uniform. delta, absorption_length_nm: see the recipe `clusters`.
    augment: "none", or one of the eleven filters of the paper's Appendix D (`sim.detector.stielow`), or "any": one of them, drawn
    for each frame."""

    detector: DetectorConfig = field(default_factory=lambda: DetectorConfig(background_photons=0.02))
    fluence: FluenceConfig = field(default_factory=lambda: FluenceConfig("log_uniform", 1e4, 1e6))
    views_per_particle: int = 1
    min_radius_nm: float = 30.0
    max_radius_nm: float = 160.0
    delta: float = 0.11
    absorption_length_nm: float = 12.5
    augment: str = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_radii(self.min_radius_nm, self.max_radius_nm, self.largest_radius_nm())
        require(self.absorption_length_nm > 0, f"absorption_length_nm = {self.absorption_length_nm}: must be positive")
        require(
            self.augment in ("none", "any", *FILTERS),
            f"augment = {self.augment!r}: must be none, any or one of {', '.join(FILTERS)}",
        )

    def index(self) -> complex:
        """Refractive index of the particles."""
        return complex(1 - self.delta, self.layout.wavelength_nm / (4 * np.pi * self.absorption_length_nm))


class Icosahedra(ParticleRun):
    """See the module."""

    NAME = "icosahedra"
    SUMMARY = "icosahedral silver clusters in random orientation (the set of Stielow et al. 2020)"
    OPTIONS = IcosahedraOptions
    options: IcosahedraOptions
    _shape = library.make("icosahedron")

    def draw(self, what: np.random.Generator, shot: np.random.Generator) -> Scene:
        """See `ParticleRun`."""
        options = self.options
        radius_m = float(what.uniform(options.min_radius_nm, options.max_radius_nm)) * 1e-9
        rotation = to_fundamental(torch.tensor(random_rotation(shot), dtype=torch.float64), "I").tolist()
        particle = Particle("icosahedron", self._shape, radius_m, (options.index(),), tuple(rotation))
        return Scene("icosahedron", (particle,), shot=draw_shot(options.fluence, shot))

    def compute_block(self, number: int) -> Block:
        """See `Recipe`."""
        block = super().compute_block(number)
        if self.options.augment == "none":
            return block
        used, frames = [], block.frames.copy()
        for row, frame in enumerate(block.frames):
            rng = child_rng(self.seed, self.NAME, "augment", block.start + row)
            name = str(rng.choice(list(FILTERS))) if self.options.augment == "any" else self.options.augment
            frames[row] = filter_counts(frame, name, rng)
            used.append(name)
        return Block(block.start, frames, {**block.truth, "augment": np.array(used, dtype=object)})
