"""Patterns with their numbers of disks, drawn fresh: pattern i of a stream depends on (seed, stream, i) only."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recon.speckle.pattern import STATISTICS, FormAndStructure, transposed_structure
from sim.particles.disks import Disks, draw_disks
from sim.scattering.disks import BLOCKED, detect, intensity, standardise
from sorter.core.config import config_from_dict, require
from sorter.core.errors import InputError
from sorter.core.seeds import child_rng

PAPER_POLYDISPERSITY = 1 / 3


@dataclass(frozen=True)
class PatternConfig:
    """fewest .. most disks, in turn; side_px of the quadrant; polydispersity: sigma over mean of the radii, or null for the
    training mixture (1 of 4 patterns equal disks, 2 of 4 the paper's 1/3, 1 of 4 uniform in 0..0.6); photons outside the blocked
    corner (null: no noise), most_photons: then log-uniform from photons to this; coherence_length in units of the
    box (null: full); missing: share of the columns that a dark module takes, anywhere, most_missing: then uniform from missing
    to this."""

    fewest: int = 2
    most: int = 20
    side_px: int = 257
    polydispersity: float | None = 0.0
    photons: float | None = None
    most_photons: float | None = None
    coherence_length: float | None = None
    blocked_px: int = BLOCKED
    missing: float = 0.0
    most_missing: float | None = None

    def __post_init__(self) -> None:
        require(
            1 <= self.fewest < self.most <= 200, f"disks {self.fewest}..{self.most}: need 1 <= fewest < most <= 200"
        )
        require(
            self.most_photons is None or (self.photons is not None and self.most_photons >= self.photons > 0),
            f"photons {self.photons} to {self.most_photons}: need 0 < photons <= most_photons",
        )
        most_missing = self.missing if self.most_missing is None else self.most_missing
        require(
            0 <= self.missing <= most_missing <= 0.9,
            f"missing {self.missing} to {most_missing}: need 0 <= missing <= most_missing <= 0.9",
        )
        require(self.side_px >= 32, f"side_px = {self.side_px}: need at least 32")

    @property
    def counts(self) -> list[int]:
        """The numbers of disks that are told apart, class by class."""
        return list(range(self.fewest, self.most + 1))

    def disks(self, seed: int, stream: str, index: int) -> tuple[Disks, np.random.Generator]:
        """The disks of pattern ``index`` and the generator that goes on to its noise."""
        rng = child_rng(seed, "speckle", stream, index)
        number, turn = index % len(self.counts), index // len(self.counts)
        polydispersity = self.polydispersity
        if polydispersity is None:
            polydispersity = (0.0, PAPER_POLYDISPERSITY, PAPER_POLYDISPERSITY, float(rng.uniform(0, 0.6)))[turn % 4]
        return draw_disks(self.counts[number], polydispersity, rng), rng

    def raw_pattern(self, seed: int, stream: str, index: int, device: torch.device | str = "cpu") -> tuple[Tensor, int]:
        """Pattern ``index`` of a stream (side, side) float32 as intensity, nothing blocked, and its class (0: ``fewest``)."""
        disks, rng = self.disks(seed, stream, index)
        image = intensity(disks, self.side_px - 1, self.coherence_length, device)
        if self.photons is not None:
            most = self.photons if self.most_photons is None else self.most_photons
            image = detect(image, float(self.photons * (most / self.photons) ** rng.random()), rng, self.blocked_px)
        if self.missing or self.most_missing:
            image = self._without_a_module(image, rng)
        return image, disks.count - self.fewest

    def _without_a_module(self, image: Tensor, rng: np.random.Generator) -> Tensor:
        most = self.missing if self.most_missing is None else self.most_missing
        columns = round(float(rng.uniform(self.missing, most)) * self.side_px)
        first = int(rng.integers(0, self.side_px - columns + 1))
        image = image.clone()
        image[:, first : first + columns] = 0
        return image

    def pattern(self, seed: int, stream: str, index: int, device: torch.device | str = "cpu") -> tuple[Tensor, int]:
        """Pattern ``index`` of a stream, (side, side) float32, blocked and standardised, and its class."""
        image, label = self.raw_pattern(seed, stream, index, device)
        return standardise(image, self.blocked_px), label

    def patterns(self, seed: int, stream: str, indices: NDArray | range) -> tuple[Tensor, Tensor]:
        """Patterns (B, side, side) float32 and classes (B,) int64."""
        made = [self.pattern(seed, stream, int(i)) for i in indices]
        return torch.stack([p for p, _ in made]), torch.tensor([c for _, c in made])


class SplitPool:
    """Patterns 0, 1, 2, ... of a stream, taken apart once (`FormAndStructure`) and kept on disk, to be seen several times.

    The files grow with `grow` and are found again by a run that goes on. Raises InputError where the folder holds patterns of
    other settings. folder: where; capacity: most patterns to hold;
    with_structure: whether the maps are kept as well (66 kB each at 256 pixels).
    """

    def __init__(
        self,
        folder: Path,
        split: FormAndStructure,
        config: PatternConfig,
        seed: int,
        capacity: int,
        with_structure: bool = True,
    ) -> None:
        self.split, self.config, self.seed, self.capacity = split, config, seed, capacity
        folder.mkdir(parents=True, exist_ok=True)
        _same_settings(folder / "settings.json", {**asdict(config), "seed": seed, "maps": list(split.maps)})
        m = split.side
        self._form = _memmap(folder / "form.npy", (capacity, 3, split.rings), np.float32)
        self._statistics = _memmap(folder / "statistics.npy", (capacity, len(split.maps) * STATISTICS), np.float32)
        self._structure = None
        if with_structure:
            self._structure = _memmap(folder / "structure.npy", (capacity, m, m // 2 + 1), np.float16)
        self._label = _memmap(folder / "label.npy", (capacity,), np.int64)
        self._done = _memmap(folder / "count.npy", (1,), np.int64)

    def __len__(self) -> int:
        return int(self._done[0])

    @torch.no_grad()
    def grow(self, count: int) -> None:
        """Hold patterns 0 .. count - 1 (no more than the capacity)."""
        for start in range(len(self), min(count, self.capacity), 16):
            stop = min(start + 16, count, self.capacity)
            patterns, labels = self.config.patterns(self.seed, "train", range(start, stop))
            form, statistics, structure = self.split(patterns)
            self._form[start:stop], self._statistics[start:stop] = form.numpy(), statistics.numpy()
            if self._structure is not None:
                self._structure[start:stop] = structure[:, 0].numpy()
            self._label[start:stop] = labels.numpy()
            self._done[0] = stop

    def batch(self, rows: NDArray[np.int64], transpose: bool = False) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """form, statistics, structure (empty where it is not kept) and classes of these patterns.

        transpose: structure with k_x and k_y exchanged (form and statistics stay as they are).
        """
        structure = torch.empty(len(rows), 1, 0, 0)
        if self._structure is not None:
            structure = torch.from_numpy(self._structure[rows].astype(np.float32))[:, None]
            structure = transposed_structure(structure) if transpose else structure
        form, statistics = torch.from_numpy(self._form[rows]), torch.from_numpy(self._statistics[rows])
        return form, statistics, structure, torch.from_numpy(self._label[rows])


def read_pool(folder: str | Path) -> tuple[PatternConfig, int, tuple[str, ...], int]:
    """What the patterns of a `SplitPool` are, their seed, the maps that they were taken apart into and how many there are.

    Raises InputError for a folder without them.
    """
    path = Path(folder) / "settings.json"
    require(path.exists(), f"{folder}: no patterns of a training there; give the folder 'pool' of its .run folder")
    settings = json.loads(path.read_text())
    seed, maps = settings.pop("seed"), tuple(settings.pop("maps"))
    return config_from_dict(PatternConfig, settings), seed, maps, int(np.load(path.with_name("count.npy"))[0])


def _same_settings(path: Path, settings: dict[str, Any]) -> None:
    """Write what the patterns of a folder are. Raises InputError where it holds those of other settings."""
    if path.exists() and json.loads(path.read_text()) != settings:
        raise InputError(f"{path.parent}: patterns of other settings; delete it or give another name")
    path.write_text(json.dumps(settings))


def _memmap(path: Path, shape: tuple[int, ...], dtype: type) -> np.memmap:
    return np.lib.format.open_memmap(path, "r+" if path.exists() else "w+", dtype, None if path.exists() else shape)
