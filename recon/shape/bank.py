"""Noise-free frames of solids of random size and orientation, computed once and seen again under fresh noise.

A turn about the beam and a mirror image cost nothing in polar maps, so that a bank needs to hold size and the direction of the
beam in the body's frame alone: with the icosahedron's symmetry 20,000 frames are 1 nm and a degree apart.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from recon.shape.solids import INDEX, MAX_RADIUS_NM, MIN_RADIUS_NM, Solid
from sim.detector import LayoutConfig
from sim.orientation import random_quaternions
from sim.particles import Shape, place
from sim.recipes.base import single_thread
from sim.scattering import FarFieldSettings, far_field, intensity, polarisation, solid_angle_sr
from sorter.core.errors import InputError
from sorter.core.geometry import Geometry
from sorter.core.seeds import child_rng

_log = logging.getLogger(__name__)
BLOCK = 256
_SCALE = 4096.0

#: The detector that the networks are trained for: that of the recipes.
GEOMETRY: Geometry = LayoutConfig().geometry()


def signals(
    shapes: Shape | Sequence[Shape],
    radius_nm: Tensor,
    q: Tensor,
    geometry: Geometry = GEOMETRY,
    rung: str = "auto",
    settings: FarFieldSettings | None = None,
) -> Tensor:
    """Shares (B, ny, nx) float32 of the photons on the detector, by pixel, scattered by particles of radius_nm (B,), turned by
    q (B, 4), with the optical constants of `recon.shape.solids`. rung, settings: see `sim.scattering.far_field`."""
    bodies = place(shapes, radius_nm.double() * 1e-9, INDEX, q)
    flat = (solid_angle_sr(geometry) * polarisation(geometry)).float()
    seen = intensity(far_field(bodies, geometry, rung=rung, settings=settings), geometry) * flat
    return seen / seen.sum((1, 2), keepdim=True)


@dataclass(frozen=True)
class Bank:
    """amplitude (F, ny, nx) float16, the root of each pixel's share of the photons times a constant; radius_nm (F,);
    quaternion (F, 4); solid (F,) int64, numbers in the list that the bank was made from."""

    amplitude: NDArray[np.float16]
    radius_nm: NDArray[np.float64]
    quaternion: NDArray[np.float64]
    solid: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.radius_nm)

    def shares(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """(B, ny, nx) share of the photons by pixel."""
        return (self.amplitude[rows].astype(np.float32) / _SCALE) ** 2


def make_bank(folder: Path, solids: Sequence[Solid], count: int, seed: int) -> Bank:
    """``count`` frames of ``solids`` in turn, kept in ``folder``; what is there already is not computed again.

    Radii uniform, orientations uniform. Frame i depends on solids, seed and i alone, so a smaller bank is the beginning
    of a larger one. Raises InputError where the folder holds frames of other solids or another seed.
    """
    about = {"solids": [s.name for s in solids], "seed": seed}
    folder.mkdir(parents=True, exist_ok=True)
    path, done_path, about_path = folder / "amplitude.npy", folder / "blocks.npy", folder / "bank.json"
    if about_path.exists() and json.loads(about_path.read_text()) != about:
        raise InputError(f"{folder}: holds frames of other solids or another seed; give another folder")
    about_path.write_text(json.dumps(about))
    if not path.exists() or len(np.load(path, mmap_mode="r")) < count:
        np.lib.format.open_memmap(path, "w+", np.float16, (count, *GEOMETRY.shape_px)).flush()
        done_path.unlink(missing_ok=True)
    store = np.lib.format.open_memmap(path, "r+")
    done = np.load(done_path) if done_path.exists() else np.zeros(-(-len(store) // BLOCK), bool)
    drawn = [_draw(solids, number, seed) for number in range(-(-count // BLOCK))]
    for number in tqdm(range(len(drawn)), desc="frames", unit="block", disable=not sys.stderr.isatty()):
        if done[number]:
            continue
        radius, q, which = drawn[number]
        first = number * BLOCK
        shapes = [solids[w].draw(child_rng(seed, "shape", "aspect", first + i)) for i, w in enumerate(which)]
        with single_thread():
            shares = signals(shapes, torch.from_numpy(radius), torch.from_numpy(q))
        amplitude = (shares.sqrt() * _SCALE).numpy().astype(np.float16)
        store[first : first + BLOCK] = amplitude[: len(store) - first]
        done[number] = True
        np.save(done_path, done)
        if number % 16 == 15:
            _log.info("noise-free frames: %d of %d", first + BLOCK, count)
    return Bank(store[:count], *(np.concatenate(parts)[:count] for parts in zip(*drawn, strict=True)))


def _draw(solids: Sequence[Solid], number: int, seed: int) -> tuple[NDArray, NDArray, NDArray]:
    """Radius, quaternion and solid of the frames of block ``number``."""
    rng = child_rng(seed, "shape", "bank", number)
    radius = rng.uniform(MIN_RADIUS_NM, MAX_RADIUS_NM, BLOCK)
    return radius, random_quaternions(BLOCK, rng).numpy(), (number * BLOCK + np.arange(BLOCK)) % len(solids)
