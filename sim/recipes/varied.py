"""Many frames from few far fields, at thousands of frames a second: fresh brightness, rotation about the beam, noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from sim.detector import FluenceConfig, draw_shot
from sim.detector.optics import rotate_images
from sim.recipes.scene import Particle, Scene
from sorter.core.errors import InputError
from sorter.core.geometry import Geometry


@dataclass(frozen=True)
class FieldBank:
    """Scenes with their cross-sections (F, m, m) on a detector large enough to be turned."""

    scenes: tuple[Scene, ...]
    cross_section: Tensor
    shape_px: tuple[int, int]
    fluence: FluenceConfig

    def draw(self, rngs: Sequence[np.random.Generator]) -> tuple[list[Scene], Tensor]:
        """One scene per generator with its cross-section, (B, ny, nx); pair_id is the number of the far field."""
        chosen = [int(rng.integers(len(self.scenes))) for rng in rngs]
        angles = np.array([rng.uniform(0, 2 * math.pi) for rng in rngs])
        scenes = [
            _turned(self.scenes[number], number, float(angle), self.fluence, rng)
            for number, angle, rng in zip(chosen, angles, rngs, strict=True)
        ]
        device = self.cross_section.device
        images = torch.zeros(len(scenes), *self.shape_px, device=device)
        hits = [i for i, s in enumerate(scenes) if s.particles]
        if hits:
            picked = self.cross_section[torch.tensor([chosen[i] for i in hits], device=device)]
            turn = torch.tensor(angles[hits], dtype=torch.float32, device=device)
            images[hits] = rotate_images(picked, turn, self.shape_px)
        return scenes, images


def field_bank(
    scenes: Sequence[Scene],
    intensities: Callable[[Sequence[Scene], Geometry], Tensor],
    geometry: Geometry,
    fluence: FluenceConfig,
) -> FieldBank:
    """Far fields of ``scenes`` on a detector whose inscribed circle holds all of ``geometry``.

    Raises InputError where the beam does not meet the middle of the detector: frames are turned about that.
    """
    ny, nx = geometry.shape_px
    if geometry.center_px() != ((ny - 1) / 2, (nx - 1) / 2):
        raise InputError(
            "vary: frames are turned about the beam; it must meet the detector's middle, drop layout.beam_center_px"
        )
    side = math.ceil(math.hypot(ny, nx)) + 2
    side += (side - nx) % 2
    wide = replace(geometry, shape_px=(side, side), beam_center_px=((side - 1) / 2, (side - 1) / 2))
    fields = [intensities(scenes[i : i + 64], wide) for i in range(0, len(scenes), 64)]
    return FieldBank(tuple(scenes), torch.cat(fields), (ny, nx), fluence)


def _turned(scene: Scene, number: int, angle: float, fluence: FluenceConfig, rng: np.random.Generator) -> Scene:
    if not scene.particles:
        return scene
    particles = tuple(_turned_particle(p, angle) for p in scene.particles)
    return replace(scene, particles=particles, pair_id=number, shot=draw_shot(fluence, rng))


def _turned_particle(particle: Particle, angle: float) -> Particle:
    """The particle turned by ``angle`` about the beam: quaternion (cos, 0, 0, sin)(angle / 2) times its own."""
    a, b = math.cos(angle / 2), math.sin(angle / 2)
    w, x, y, z = particle.quaternion_wxyz
    px, py, pz = particle.position_m
    c, s = math.cos(angle), math.sin(angle)
    return replace(
        particle,
        quaternion_wxyz=(a * w - b * z, a * x - b * y, a * y + b * x, a * z + b * w),
        position_m=(c * px - s * py, s * px + c * py, pz),
    )
