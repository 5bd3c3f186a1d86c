"""Random draws that several recipes share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sim.recipes.scene import Particle
from sorter.core.config import require
from sorter.core.errors import InputError

Quaternion = tuple[float, float, float, float]


def check_mixture(mixture: dict[str, float], known: Sequence[str], name: str = "mixture") -> None:
    """Raise InputError unless ``mixture`` gives shares (not negative, not all 0) of known classes."""
    for kind, share in mixture.items():
        if kind not in known:
            raise InputError(f"{name}: unknown class {kind!r}; known are {', '.join(known)}")
        require(np.isfinite(share) and share >= 0, f"{name}: share of {kind} = {share}: must be 0 or more")
    require(sum(mixture.values()) > 0, f"{name}: all shares are 0; give at least one class a share")


def check_radii(low_nm: float, high_nm: float, limit_nm: float) -> None:
    """Raise InputError unless 0 < low <= high <= limit; the limit is what the detector samples."""
    require(
        0 < low_nm <= high_nm <= limit_nm,
        f"radii {low_nm:g}..{high_nm:g} nm: need 0 < min <= max <= {limit_nm:.4g} nm, the "
        "largest particle whose fringes this detector resolves (two pixels per fringe)",
    )


def choose(mixture: dict[str, float], rng: np.random.Generator) -> str:
    """One class of the mixture, drawn by its shares."""
    shares = np.array(list(mixture.values()), float)
    return list(mixture)[int(rng.choice(len(shares), p=shares / shares.sum()))]


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """One number between ``low`` and ``high``, uniform in its logarithm."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def choose_several(mixture: dict[str, float], multi: str, rng: np.random.Generator) -> list[str]:
    """Two or three classes of one particle for a multiple hit, drawn by the shares of the classes other than ``multi``."""
    singles = {kind: share for kind, share in mixture.items() if kind != multi} or {"sphere": 1.0}
    return [choose(singles, rng) for _ in range(int(rng.integers(2, 4)))]


def random_rotation(rng: np.random.Generator) -> Quaternion:
    """A rotation, uniform in SO(3): a normalised 4-D Gaussian, w >= 0."""
    q = rng.standard_normal(4)
    w, x, y, z = (q / np.linalg.norm(q) * (1 if q[0] >= 0 else -1)).tolist()
    return w, x, y, z


def tilted_axis(tilt_rad: float, rng: np.random.Generator) -> Quaternion:
    """A rotation that puts the body's z axis at ``tilt_rad`` from the beam, at a random azimuth and turn about itself.

    q = q_z(azimuth) q_y(tilt) q_z(turn).
    """
    azimuth, turn = rng.uniform(0, 2 * math.pi, 2)
    ct, st = math.cos(tilt_rad / 2), math.sin(tilt_rad / 2)
    plus, minus = (azimuth + turn) / 2, (azimuth - turn) / 2
    return ct * math.cos(plus), -st * math.sin(minus), st * math.cos(minus), ct * math.sin(plus)


def place_apart(
    particles: Sequence[Particle], reach_m: float, depth_m: float, rng: np.random.Generator
) -> tuple[Particle, ...]:
    """Particles at random places within ``reach_m`` across the beam and ``depth_m`` along it, none in another's shadow; the reach
    grows by itself where there is no room."""
    placed: list[Particle] = []
    half = reach_m / 2
    for particle in particles:
        while True:
            x, y = rng.uniform(-half, half, 2)
            if all(
                np.hypot(x - p.position_m[0], y - p.position_m[1]) > 1.05 * (p.radius_m + particle.radius_m)
                for p in placed
            ):
                break
            half = 1.02 * half + 1e-12
        z = float(rng.uniform(-0.5, 0.5)) * depth_m
        placed.append(replace(particle, position_m=(float(x), float(y), z)))
    return tuple(placed)
