"""Training frames: noise-free frames of a bank under fresh noise, masks, beam offsets, turns and mirror images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recon.shape.bank import GEOMETRY, Bank
from recon.shape.harmonics import rotation
from recon.shape.polar import ANGLES, PolarMap, polar_map, turned
from sim.detector.masks import gap_pixels, stop_pixels
from sim.detector.stielow import FILTERS, filter_counts
from sim.orientation import multiply
from sorter.core.config import require
from sorter.core.seeds import child_rng

#: Roots of training streams begin here; the seeds of commands end below.
TRAINING_SEEDS = 2**40


@dataclass(frozen=True)
class ShapeDataConfig:
    """frames: noise-free frames in the bank; min_photons .. max_photons per frame and min_background .. max_background per
    pixel, log-uniform; masked: share of frames with beam stop, hole, gaps, a smaller detector or a missing panel; offset_px:
    standard deviation of the beam centre; augmented: share of frames under one of the paper's eleven filters (of which the
    network is not told: what they cut away counts as measured)."""

    frames: int = 20000
    min_photons: float = 1e3
    max_photons: float = 1e7
    min_background: float = 1e-3
    max_background: float = 0.1
    masked: float = 0.5
    offset_px: float = 0.4
    augmented: float = 0.0

    def __post_init__(self) -> None:
        require(self.frames >= 16, f"frames = {self.frames}: need at least 16")
        require(0 < self.min_photons <= self.max_photons, "photons: need 0 < min <= max")
        require(0 < self.min_background <= self.max_background, "background: need 0 < min <= max")
        require(0 <= self.masked <= 1, f"masked = {self.masked}: must lie in 0..1")
        require(0 <= self.augmented <= 1, f"augmented = {self.augmented}: must lie in 0..1")
        require(self.offset_px >= 0, f"offset_px = {self.offset_px}: must be 0 or more")


@dataclass(frozen=True)
class Batch:
    """maps (B, 2, RINGS, ANGLES); solid (B,) int64; radius_nm (B,); quaternion (B, 4) and mirrored (B,) bool: what the
    map shows is the particle so turned, then mirrored in the plane y = 0 of the laboratory where it says so, then turned by
    ``turn_rad`` (B,)."""

    maps: Tensor
    solid: Tensor
    radius_nm: Tensor
    quaternion: Tensor
    mirrored: Tensor
    turn_rad: Tensor

    def centrosymmetric_quaternion(self) -> Tensor:
        """(B, 4) orientation that is seen, for solids with a centre of inversion: a mirror plane is then a half turn about y."""
        half = torch.tensor([0.0, 0.0, 1.0, 0.0], dtype=torch.float64)
        q = torch.where(self.mirrored[:, None], multiply(half, self.quaternion), self.quaternion)
        about_beam = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64) * self.turn_rad[:, None]
        return multiply(rotation(about_beam), q)


class Batches:
    """Batches by number: the same number, the same batch. augmented_from: the first one with augmented frames; upright: without
    turns and mirror images."""

    def __init__(
        self, bank: Bank, config: ShapeDataConfig, seed: int, augmented_from: int = 0, upright: bool = False,
        masks: int = 64, centres: int = 16,
    ) -> None:  # fmt: skip
        self.bank, self.config, self.seed = bank, config, seed
        self.augmented_from, self.upright = augmented_from, upright
        rng = child_rng(seed, "shape", "masks")
        self.masks = torch.from_numpy(np.stack([_random_mask(rng) for _ in range(masks)]))
        offsets = rng.normal(0, config.offset_px, (centres, 2))
        self.centres: list[PolarMap] = [polar_map(GEOMETRY, (float(y), float(x))) for y, x in offsets]

    def batch(self, number: int, size: int) -> Batch:
        """The batch ``number`` of ``size`` frames."""
        rng = child_rng(self.seed, "shape", "batch", number)
        rows = np.sort(rng.integers(0, len(self.bank), size))
        counts = torch.from_numpy(self._filtered(self._counts(self.bank.shares(rows), rng), number))
        good = torch.ones(size, *GEOMETRY.shape_px, dtype=torch.bool)
        covered = torch.from_numpy(rng.random(size) < self.config.masked)
        good[covered] = self.masks[rng.integers(0, len(self.masks), int(covered.sum()))]
        maps = self.centres[number % len(self.centres)](counts, good)
        steps, mirrored = rng.integers(0, ANGLES, size), torch.from_numpy(rng.random(size) < 0.5)
        if self.upright:
            steps, mirrored = np.zeros_like(steps), torch.zeros_like(mirrored)
        return Batch(
            turned(maps, torch.from_numpy(steps), mirrored),
            torch.from_numpy(self.bank.solid[rows]),
            torch.from_numpy(self.bank.radius_nm[rows]),
            torch.from_numpy(self.bank.quaternion[rows]),
            mirrored,
            torch.from_numpy(steps * (2 * np.pi / ANGLES)),
        )

    def _counts(self, shares: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.int64]:
        config, size = self.config, (len(shares), 1, 1)
        photons = np.exp(rng.uniform(np.log(config.min_photons), np.log(config.max_photons), size))
        background = np.exp(rng.uniform(np.log(config.min_background), np.log(config.max_background), size))
        return rng.poisson(shares * photons + background)

    def _filtered(self, counts: NDArray[np.int64], number: int) -> NDArray[np.float32]:
        if number < self.augmented_from:
            return counts.astype(np.float32)
        rng = child_rng(self.seed, "shape", "filters", number)
        names = rng.choice(list(FILTERS), len(counts))
        for row in np.flatnonzero(rng.random(len(counts)) < self.config.augmented):
            counts[row] = filter_counts(counts[row], str(names[row]), rng)
        return counts.astype(np.float32)


def _random_mask(rng: np.random.Generator) -> NDArray[np.bool_]:
    """Good pixels of a detector with some of: hole or beam stop with stalk, gaps, an earlier edge, a missing quarter or strip."""
    ny, nx = GEOMETRY.shape_px
    stalk = rng.uniform(2, 6) if rng.random() < 0.3 else 0.0
    bad = stop_pixels(GEOMETRY, rng.uniform(0, 14), stalk, rng.uniform(0, 360))
    if rng.random() < 0.5:
        bad |= gap_pixels((ny, nx), ((2, 1), (1, 2), (2, 2))[rng.integers(3)], int(rng.integers(1, 9)))
    if rng.random() < 0.2:
        bad[int(rng.integers(ny // 2, ny)) :] = True
    y, x = np.ogrid[:ny, :nx]
    if rng.random() < 0.2:
        bad |= np.maximum(abs(y - (ny - 1) / 2), abs(x - (nx - 1) / 2)) > rng.uniform(0.6, 1) * nx / 2
    if rng.random() < 0.2:
        bad |= (y < ny // 2) & (x < nx // 2)
    return ~bad


def mirrored_coefficients(coefficients: Tensor, degrees: tuple[int, ...], mirrored: Tensor, turn_rad: Tensor) -> Tensor:
    """Coefficients (B, size) of the particle as a `Batch` shows it: sines change sign in the mirror, then all turn about
    the beam."""
    blocks = []
    for block, degree in zip(coefficients.split([2 * d + 1 for d in degrees], 1), degrees, strict=True):
        zero, cosine, sine = block.split([1, degree, degree], 1)
        sine = torch.where(mirrored[:, None], -sine, sine)
        phase = turn_rad[:, None] * torch.arange(1, degree + 1)
        c, s = torch.cos(phase), torch.sin(phase)
        blocks += [zero, cosine * c - sine * s, cosine * s + sine * c]
    return torch.cat(blocks, 1)
