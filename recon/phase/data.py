"""Crystals with their patterns for training and tests, drawn fresh: crystal i of a stream depends on (seed, stream, i) only."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sim.particles.atomistic import MinimiseConfig, draw_atomistic_crystal
from sim.particles.crystals import Crystal, CrystalConfig, draw_crystal
from sorter.core.config import require
from sorter.core.seeds import child_rng

_AXES = (-3, -2, -1)
FIELD = 32
"""Voxels along a side of the objects that networks give (Chan et al. 2020)."""


def crystal_law(atomistic: bool = False, edge_nm: int = 20) -> CrystalConfig:
    """The crystals of training and tests: faceted, half of ``edge_nm`` to ``edge_nm`` wide, turned at random. Atomistic ones are
    of 20 nm and not turned.

    Voxels grow with the crystals and the strain is the same, so displacement and phase grow as edge_nm does. Raises InputError
    for an edge that is no multiple of 10 nm.
    """
    if atomistic:
        require(edge_nm == 20, f"edge of {edge_nm} nm: atomistic crystals are of 20 nm")
        return CrystalConfig()
    require(edge_nm >= 10 and edge_nm % 10 == 0, f"edge of {edge_nm} nm: must be a multiple of 10 nm")
    return CrystalConfig(edge_nm=edge_nm, min_edge_nm=edge_nm / 2, voxel_cells=edge_nm // 10, rotated=True)


@dataclass(frozen=True)
class CrystalData:
    """crystal: the law of the crystals (see `sim.particles.crystals`). oversampling: side of the pattern over that of the object.
    fewest_photons .. most_photons in a pattern, log-uniform (null: no noise). atomistic: relaxed by LAMMPS where it is installed
    (see `crystal_law`)."""

    crystal: CrystalConfig = field(default_factory=crystal_law)
    oversampling: int = 2
    fewest_photons: float | None = None
    most_photons: float | None = None
    atomistic: bool = False

    def __post_init__(self) -> None:
        require(
            self.crystal.voxels == FIELD, f"crystal.voxels = {self.crystal.voxels}: networks give {FIELD} along a side"
        )
        require(1 <= self.oversampling <= 4, f"oversampling = {self.oversampling}: must lie in 1..4")
        fewest, most = self.fewest_photons, self.most_photons
        require(
            (fewest is None) == (most is None) and (fewest is None or most >= fewest > 0),
            f"photons {fewest} to {most}: need 0 < fewest_photons <= most_photons, or neither",
        )

    @property
    def side(self) -> int:
        """Voxels along a side of the pattern."""
        return FIELD * self.oversampling

    def object(self, seed: int, stream: str, index: int, strained: bool = True) -> NDArray[np.complex64]:
        """Crystal ``index`` of a stream, (32, 32, 32), its centre of mass within a voxel of the middle; largest modulus 1."""
        return centred_object(self.drawn(seed, stream, index), strained)

    def drawn(self, seed: int, stream: str, index: int) -> Crystal:
        """Crystal ``index`` of a stream as the simulator gives it."""

        def rng(attempt: int) -> np.random.Generator:
            return child_rng(seed, "phase", stream, index, *([attempt] if attempt else []))

        if self.atomistic:
            return draw_atomistic_crystal(self.crystal, MinimiseConfig(), rng)[0]
        return draw_crystal(self.crystal, rng(0))

    def photons(self, rng: np.random.Generator) -> float | None:
        """Expected photons of a pattern."""
        if self.fewest_photons is None or self.most_photons is None:
            return None
        return float(self.fewest_photons * (self.most_photons / self.fewest_photons) ** rng.random())


def centred_object(crystal: Crystal, strained: bool = True) -> NDArray[np.complex64]:
    """See `CrystalData.object`."""
    return centred(crystal.object() if strained else crystal.density.astype(complex)).astype(np.complex64)


def phase_rms_rad(crystal: Crystal) -> float:
    """Root mean square of the phase inside, not wrapped, about the plane that fits it best (a ramp only moves the peak)."""
    inside = crystal.density > 0.5
    place = np.stack([*np.nonzero(inside), np.ones(inside.sum())], 1)
    phase = crystal.phase_rad()[inside]
    return float(np.std(phase - place @ np.linalg.lstsq(place, phase)[0]))


def centred(obj: NDArray) -> NDArray:
    """``obj`` moved by whole voxels so that the centre of mass of |obj| lies in the middle (index n // 2)."""
    weight = np.abs(obj)
    total = weight.sum()
    shifts = []
    for axis, n in enumerate(obj.shape):
        profile = weight.sum(tuple(a for a in range(obj.ndim) if a != axis))
        shifts.append(round(n // 2 - float(profile @ np.arange(n)) / total))
    return np.roll(obj, shifts, tuple(range(obj.ndim)))


def measured(objects: Tensor, oversampling: int) -> tuple[Tensor, Tensor]:
    """Intensities (B, m, m, m), m = oversampling n, of objects (B, n, n, n) complex, their brightest voxel in the middle.

    A linear phase moves the peak; as measured scans are centred on their peak, so are these. Returns the objects with the phase
    that this takes off them, too: the FFT of the padded second has the intensity of the first.
    """
    n = objects.shape[-1]
    m = n * oversampling
    field = torch.fft.fftn(objects, (m, m, m), dim=_AXES)
    intensity = torch.view_as_real(field).square().sum(-1)
    peak = torch.stack(torch.unravel_index(intensity.flatten(1).argmax(1), (m, m, m)), 1)
    along = (torch.arange(n, device=objects.device) - n // 2).to(torch.float32)
    turned = objects.clone()
    centred_intensity = torch.empty_like(intensity)
    for b, at in enumerate(peak.tolist()):
        for axis, k in enumerate(at):
            wave = torch.polar(torch.ones_like(along), -2 * torch.pi * k / m * along)
            turned[b] *= wave.view([-1 if a == axis else 1 for a in range(3)])
        centred_intensity[b] = torch.roll(intensity[b], [m // 2 - k for k in at], (0, 1, 2))
    return centred_intensity, turned


def padded(objects: Tensor, side: int) -> Tensor:
    """``objects`` (..., n, n, n) with zeros around them, middle on middle, ``side`` along each axis."""
    before = side // 2 - objects.shape[-1] // 2
    return torch.nn.functional.pad(objects, [before, side - objects.shape[-1] - before] * 3)


def noisy(intensity: Tensor, photons: float | None, generator: torch.Generator) -> Tensor:
    """Poisson counts of ``intensity`` scaled to ``photons`` in all; itself where photons is None."""
    if photons is None:
        return intensity
    return torch.poisson(intensity * (photons / intensity.sum()), generator=generator)


def magnitudes(intensity: Tensor) -> Tensor:
    """Square roots of patterns (B, n, n, n), each of unit power, as the networks read them."""
    positive = intensity.clamp(min=0)
    return (positive / positive.sum(_AXES, keepdim=True).clamp(min=1e-20)).sqrt()


class CrystalPool:
    """Objects 0, 1, 2, ... of the stream "train", kept on disk and seen in many ways: turned, mirrored, more or less strained.

    folder: where (found again by a run that goes on); capacity: most crystals to hold.
    """

    def __init__(self, folder: Path, data: CrystalData, seed: int, capacity: int) -> None:
        self.data, self.seed, self.capacity = data, seed, capacity
        folder.mkdir(parents=True, exist_ok=True)
        shape = (capacity, 2, FIELD, FIELD, FIELD)
        self._held = _memmap(folder / "crystals.npy", shape, np.float16)
        self._count = _memmap(folder / "count.npy", (1,), np.int64)

    def __len__(self) -> int:
        return int(self._count[0])

    def grow(self, count: int) -> None:
        """Hold crystals 0 .. count - 1 (no more than the capacity)."""
        for i in range(len(self), min(count, self.capacity)):
            crystal = self.data.drawn(self.seed, "train", i)
            self._held[i] = crystal.density, np.where(crystal.density > 0, crystal.phase_rad(), 0)
            self._count[0] = i + 1

    def batch(self, rng: np.random.Generator, size: int, unstrained: float, count: int) -> Tensor:
        """Objects (size, 32, 32, 32) complex64: of crystals 0 .. count - 1, each turned or mirrored by one of the 48
        symmetries of the cube, its strain times 0 (the share ``unstrained`` of them) or 0.5 .. 1.25."""
        objects = []
        for row in rng.integers(0, count, size):
            density, phase = self._held[row].astype(np.float32)
            strength = 0.0 if rng.random() < unstrained else rng.uniform(0.5, 1.25)
            obj = np.transpose(density * np.exp(1j * strength * phase), rng.permutation(3))
            objects.append(centred(np.flip(obj, np.flatnonzero(rng.random(3) < 0.5))))
        return torch.from_numpy(np.stack(objects).astype(np.complex64))


def _memmap(path: Path, shape: tuple[int, ...], dtype: type) -> np.memmap:
    return np.lib.format.open_memmap(path, "r+" if path.exists() else "w+", dtype, None if path.exists() else shape)
