"""3-D Bragg coherent diffraction of strained gold nanocrystals: the training set of Chan et al. 2020.

Each "frame" is a volume (nz, ny, nx) of intensities about the (111) reflection, |FFT(density exp(i Q.u))|^2, with the zero
frequency in the middle: not a run of detector frames. Density and phase go into the truth.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sim.particles.atomistic import MinimiseConfig, draw_atomistic_crystal, load_lammps
from sim.particles.crystals import Crystal, CrystalConfig, draw_crystal
from sim.recipes.base import Block, Recipe, Recording, object_array
from sorter.core.config import require
from sorter.core.seeds import child_rng

Source = Literal["continuum", "atomistic"]


@dataclass(frozen=True)
class CrystalsOptions:
    """source: "continuum" (fast) or "atomistic" (LAMMPS). oversampling: 1 gives patterns on the object's own grid, as the paper
    does; 2 or more pads it. photons: expected total per pattern, Poisson counts (null: no noise, float). unstrained_pairs: every
    second crystal is the one before it without its strain (the paper's second data set); they share a pair_id."""

    crystal: CrystalConfig = field(default_factory=CrystalConfig)
    minimise: MinimiseConfig = field(default_factory=MinimiseConfig)
    source: Source = "continuum"
    oversampling: int = 1
    photons: float | None = None
    unstrained_pairs: bool = False

    def __post_init__(self) -> None:
        require(
            self.source in get_args(Source), f"source = {self.source!r}: must be one of {', '.join(get_args(Source))}"
        )
        require(
            self.source == "continuum" or (self.crystal.min_edge_nm is None and not self.crystal.rotated),
            "source = 'atomistic': crystal.min_edge_nm and crystal.rotated are for the continuum source",
        )
        require(1 <= self.oversampling <= 8, f"oversampling = {self.oversampling}: must lie in 1..8")
        require(self.photons is None or self.photons > 0, f"photons = {self.photons}: must be positive, or null")


class Crystals(Recipe):
    """See the module."""

    NAME = "crystals"
    SUMMARY = "3-D Bragg patterns of strained gold nanocrystals (Chan et al. 2020); volumes, not frames"
    OPTIONS = CrystalsOptions
    BLOCK_FRAMES = 8
    options: CrystalsOptions

    def __init__(self, options: CrystalsOptions, seed: int, device: str = "cpu") -> None:
        super().__init__(options, seed, device)
        if options.source == "atomistic":
            load_lammps()

    @property
    def recording(self) -> Recording:
        """See `Recipe`."""
        side = self.options.crystal.voxels * self.options.oversampling
        counted = self.options.photons is not None
        attrs = {
            "voxel_nm": self.options.crystal.voxel_nm,
            "reflection": "111",
            "oversampling": self.options.oversampling,
        }
        dtype = np.dtype(np.uint32 if counted else np.float32)
        return Recording((side,) * 3, dtype, "photon" if counted else "arbitrary", "crystals", attrs=attrs)

    def crystal(self, index: int) -> tuple[Crystal, int]:
        """Crystal ``index`` of the set and the number of failed attempts at it."""
        options = self.options
        if options.source == "atomistic":
            return draw_atomistic_crystal(
                options.crystal, options.minimise, lambda attempt: child_rng(self.seed, self.NAME, index, attempt)
            )
        return draw_crystal(options.crystal, child_rng(self.seed, self.NAME, index)), 0

    def compute_block(self, number: int) -> Block:
        """See `Recipe`."""
        first = number * self.BLOCK_FRAMES
        indices = range(first, first + self.BLOCK_FRAMES)
        pairs = [index // 2 if self.options.unstrained_pairs else index for index in indices]
        strained = [not (self.options.unstrained_pairs and index % 2) for index in indices]
        made = {pair: self.crystal(pair) for pair in sorted(set(pairs))}
        crystals = [made[pair][0] for pair in pairs]
        objects = [c.object() if s else c.density for c, s in zip(crystals, strained, strict=True)]
        frames = np.stack([self._pattern(o, i) for o, i in zip(objects, indices, strict=True)])
        phases = [c.phase_rad() * s for c, s in zip(crystals, strained, strict=True)]
        truth = {
            "class": object_array(["strained" if s else "unstrained" for s in strained]),
            "hit": np.ones(len(crystals), bool),
            "pair_id": np.array(pairs, np.int64),
            "failed_attempts": np.array([made[p][1] for p in pairs], np.int64),
            "density": np.stack([c.density for c in crystals]).astype(np.float32),
            "phase_rad": np.stack(phases).astype(np.float32),
            "parameters": object_array([json.dumps({"strain": c.strain.tolist()}) for c in crystals]),
        }
        return Block(first, frames, truth)

    def _pattern(self, obj: NDArray, index: int) -> NDArray:
        pattern = bragg_intensity(obj, self.options.oversampling)
        if self.options.photons is None:
            return pattern.astype(np.float32)
        rng = child_rng(self.seed, self.NAME, "noise", index)
        return rng.poisson(pattern * (self.options.photons / pattern.sum())).astype(np.uint32)


def bragg_intensity(obj: NDArray, oversampling: int = 1) -> NDArray[np.float64]:
    """|F|^2 of an object (n, n, n) on a grid ``oversampling`` times as large, zero frequency in the middle."""
    side = obj.shape[0] * oversampling
    return np.abs(np.fft.fftshift(np.fft.fftn(obj, (side,) * 3))) ** 2
