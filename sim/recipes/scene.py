"""What is in the beam during one shot."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.detector import Shot
from sim.particles import Shape
from sim.recipes.base import NO_PAIR, object_array


@dataclass(frozen=True)
class Particle:
    """One particle: its shape in units of radius_m (the circumscribed radius), refractive indices of its layers, orientation
    (w, x, y, z) and position (x, y, z) in the laboratory. stretch: factors along the body axes. parameters: further numbers
    that belong to the truth (aspect, shell thickness ...), JSON-ready. Particles of one frame interfere where they share a
    ``coherent_group``; the intensities of different groups add up (too far apart for the detector to resolve the fringes)."""

    kind: str
    shape: Shape
    radius_m: float
    index: tuple[complex, ...]
    quaternion_wxyz: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    position_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    parameters: dict[str, Any] = field(default_factory=dict)
    coherent_group: int = 0


@dataclass(frozen=True)
class Scene:
    """One shot: name, the class of the frame; particles (none: blank); labels, all classes that describe the frame;
    pair_id, the same for frames that show the same particles; shot, the brightness (None for a blank)."""

    name: str
    particles: tuple[Particle, ...] = ()
    labels: tuple[str, ...] = ()
    pair_id: int = NO_PAIR
    shot: Shot | None = None


def truth_of(scenes: list[Scene], photons: NDArray[np.int64], expected: NDArray[np.float64]) -> dict[str, NDArray]:
    """Truth columns of scenes.

    class; labels (joined by ;); hit; photons; expected_photons; impact_um (NaN where the shot has none); radius_m of the largest
    particle (NaN for a blank) and quaternion_wxyz of the same; pair_id; n_particles; parameters (JSON, one object per particle).
    """
    largest = [max(s.particles, key=lambda p: p.radius_m, default=None) for s in scenes]
    unknown = (float("nan"),) * 4
    return {
        "class": object_array([s.name for s in scenes]),
        "labels": object_array([";".join(s.labels or (s.name,)) for s in scenes]),
        "hit": np.array([bool(s.particles) for s in scenes]),
        "photons": photons,
        "expected_photons": expected,
        "impact_um": np.array(
            [np.nan if s.shot is None or s.shot.expected_photons is not None else s.shot.impact_um for s in scenes]
        ),
        "radius_m": np.array([np.nan if p is None else p.radius_m for p in largest]),
        "quaternion_wxyz": np.array([unknown if p is None else p.quaternion_wxyz for p in largest]),
        "pair_id": np.array([s.pair_id for s in scenes], np.int64),
        "n_particles": np.array([len(s.particles) for s in scenes], np.int64),
        "parameters": object_array([json.dumps([_plain(p) for p in s.particles]) for s in scenes]),
    }


def _plain(particle: Particle) -> dict[str, Any]:
    return {
        "kind": particle.kind,
        "radius_m": particle.radius_m,
        "index": [[value.real, value.imag] for value in particle.index],
        "quaternion_wxyz": list(particle.quaternion_wxyz),
        "position_m": list(particle.position_m),
        "coherent_group": particle.coherent_group,
        **particle.parameters,
    }
