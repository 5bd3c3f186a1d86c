"""Recipes of frames of particles: draw scenes, compute their far fields, record them."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from sim.detector import Detector, DetectorConfig, DeviceNoise, FluenceConfig, FrameNoise, LayoutConfig, Noise
from sim.particles import place
from sim.recipes.base import Block, Recipe, Recording
from sim.recipes.scene import Particle, Scene, truth_of
from sim.recipes.varied import FieldBank, field_bank
from sim.scattering import FarFieldSettings, far_field, intensity
from sim.scattering.farfield import RUNGS
from sorter.core.config import require
from sorter.core.geometry import Geometry
from sorter.core.seeds import child_rng, child_seed

#: Views of one particle lie within so many frames.
PAIR_FRAMES = 64


@dataclass(frozen=True)
class ParticleRunOptions:
    """What all recipes of particles have: where the detector stands, what it does, how bright the shots are, how the far field is
    computed (rung and far_field, see `sim.scattering`), how often the same particle is seen again (views_per_particle frames, not
    neighbours, share a pair_id; they differ in orientation, brightness and noise). vary: all frames come from so many scenes, see
    `sim.recipes.varied` (0: each frame has its own)."""

    layout: LayoutConfig = field(default_factory=LayoutConfig)
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    fluence: FluenceConfig = field(default_factory=FluenceConfig)
    rung: str = "auto"
    far_field: FarFieldSettings = field(default_factory=FarFieldSettings)
    vary: int = 0
    views_per_particle: int = 2

    def __post_init__(self) -> None:
        require(
            1 <= self.views_per_particle <= PAIR_FRAMES and PAIR_FRAMES % self.views_per_particle == 0,
            f"views_per_particle = {self.views_per_particle}: must divide {PAIR_FRAMES}",
        )
        require(self.rung in ("auto", *RUNGS), f"rung = {self.rung!r}: must be auto or one of {', '.join(RUNGS)}")
        require(0 <= self.vary <= 100_000, f"vary = {self.vary}: must lie in 0..100000 far fields")

    def largest_radius_nm(self) -> float:
        """Largest radius of which two pixels sample a fringe: wavelength * distance / (4 pixel sizes)."""
        distance_px = self.layout.n_px / 2 / math.tan(math.radians(self.layout.two_theta_edge_deg))
        return self.layout.wavelength_nm * distance_px / 4


class ParticleRun(Recipe):
    """Base of the recipes of particles; a subclass draws scenes."""

    OPTIONS = ParticleRunOptions
    BLOCK_FRAMES = 256  # the far fields of like particles are computed together: larger blocks are faster
    options: ParticleRunOptions

    def __init__(self, options: ParticleRunOptions, seed: int, device: str = "cpu") -> None:
        super().__init__(options, seed, device)
        self.geometry: Geometry = options.layout.geometry()
        self.detector = Detector(options.detector, self.geometry, self.seed, device)

    @abstractmethod
    def draw(self, what: np.random.Generator, shot: np.random.Generator) -> Scene:
        """One scene: ``what`` decides the particles (shared by all views of them), ``shot`` orientation, place and brightness."""

    @property
    def recording(self) -> Recording:
        """See `Recipe`."""
        config = self.options.detector
        return Recording(
            self.geometry.shape_px, config.dtype, config.unit, "run", self.geometry, self.detector.pixels.cxi
        )

    def scenes(self, number: int) -> list[Scene]:
        """The scenes of a block. Which frames of it show the same particles is drawn, so that views are not neighbours."""
        views = self.options.views_per_particle
        scenes = []
        for index in range(number * self.BLOCK_FRAMES, (number + 1) * self.BLOCK_FRAMES):
            group, place = divmod(index, PAIR_FRAMES)
            if place == 0:
                order = child_rng(self.seed, self.NAME, "pairs", group).permutation(PAIR_FRAMES)
            pair = (group * PAIR_FRAMES + int(order[place])) // views
            what = child_rng(self.seed, self.NAME, "particle", pair)
            scene = self.draw(what, child_rng(self.seed, self.NAME, "shot", index))
            scenes.append(replace(scene, pair_id=pair) if scene.particles else scene)
        return scenes

    def intensities(self, scenes: Sequence[Scene], geometry: Geometry | None = None) -> Tensor:
        """Differential cross-sections of scenes, (B, ny, nx) float32, m^2 / sr."""
        geometry = geometry or self.geometry
        particles = [(frame, p) for frame, s in enumerate(scenes) for p in s.particles]
        total = torch.zeros(len(scenes), *geometry.shape_px, device=self.device)
        if not particles:
            return total
        waves = sorted({(p.coherent_group, frame) for frame, p in particles})
        layers = max(len(p.index) for _, p in particles)
        bodies = place(
            [p.shape for _, p in particles],
            torch.tensor([p.radius_m for _, p in particles], dtype=torch.float64),
            torch.tensor([_padded(p, layers) for _, p in particles], dtype=torch.complex128),
            torch.tensor([p.quaternion_wxyz for _, p in particles], dtype=torch.float64),
            torch.tensor([p.position_m for _, p in particles], dtype=torch.float64),
            [waves.index((p.coherent_group, frame)) for frame, p in particles],
            len(waves),
        )
        field = far_field(bodies, geometry, rung=self.options.rung, device=self.device, settings=self.options.far_field)
        cross_section = intensity(field, geometry)
        for group in sorted({group for group, _ in waves}):
            rows = [row for row, (wave_group, _) in enumerate(waves) if wave_group == group]
            total[[waves[row][1] for row in rows]] += cross_section[rows]
        return total

    @cached_property
    def bank(self) -> FieldBank:
        """The far fields of the first ``vary`` scenes."""
        blocks = range(-(-self.options.vary // self.BLOCK_FRAMES))
        scenes = [scene for number in blocks for scene in self.scenes(number)][: self.options.vary]
        return field_bank(scenes, self.intensities, self.geometry, self.options.fluence)

    def noise(self, first: int, n_frames: int) -> Noise:
        """The random numbers of the detector for frames from ``first`` on."""
        if self.device.type == "cpu":
            return FrameNoise([child_rng(self.seed, self.NAME, "noise", first + i) for i in range(n_frames)])
        return DeviceNoise(child_seed(self.seed, self.NAME, "noise", first), n_frames, self.device)

    def compute_block(self, number: int) -> Block:
        """See `Recipe`."""
        first = number * self.BLOCK_FRAMES
        if self.options.vary:
            rngs = [child_rng(self.seed, self.NAME, "vary", first + i) for i in range(self.BLOCK_FRAMES)]
            scenes, cross_section = self.bank.draw(rngs)
        else:
            scenes = self.scenes(number)
            cross_section = self.intensities(scenes)
        exposure = self.detector.expose(cross_section, [s.shot for s in scenes], self.noise(first, len(scenes)))
        truth = truth_of(scenes, exposure.photons, exposure.expected)
        if self.options.detector.pointing_jitter_px:
            truth["pointing_px"] = exposure.shift_px
        return Block(first, exposure.frames, truth)


def _padded(particle: Particle, layers: int) -> list[complex]:
    return [*particle.index, *[1.0 + 0j] * (layers - len(particle.index))]
