"""What every recipe is: options and a seed in, blocks of frames with their truth out.

Determinism. A frame depends on (recipe, options, seed, index) only. Frames are computed in blocks of fixed size, aligned to
the index and always whole, so neither the number of frames asked for, nor the number of workers, nor the order in which blocks
are computed changes a single count; a block is computed by one thread, for sums may not change their order either.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from sorter.core.config import config_to_dict, require
from sorter.core.errors import InputError
from sorter.core.geometry import Geometry

#: Class of a frame without a particle.
BLANK = "blank"
#: pair_id of a frame without a particle.
NO_PAIR = -1


@dataclass(frozen=True)
class Block:
    """Consecutive frames: start, index of the first; frames (B, ...); truth: column name -> (B, ...) array."""

    start: int
    frames: NDArray
    truth: dict[str, NDArray]

    def head(self, n: int) -> Block:
        """The first n frames."""
        return Block(self.start, self.frames[:n], {name: values[:n] for name, values in self.truth.items()})


@dataclass(frozen=True)
class Recording:
    """What is the same for all frames of a run: frame_shape (ny, nx) or, for crystals, (nz, ny, nx); dtype; unit ("photon",
    "adu" or "arbitrary"); geometry and cxi_mask (ny, nx) uint32 where there is a detector; kind: "run" of frames, "patterns"
    (computed, no detector) or "crystals" (3-D, not frames); attrs: further JSON-ready facts for the file."""

    frame_shape: tuple[int, ...]
    dtype: np.dtype
    unit: str
    kind: str = "run"
    geometry: Geometry | None = None
    cxi_mask: NDArray[np.uint32] | None = None
    attrs: dict[str, Any] = field(default_factory=dict)


class Recipe(ABC):
    """One benchmark run. A subclass names itself, its options (a frozen, validated dataclass) and computes whole blocks."""

    NAME: ClassVar[str]
    SUMMARY: ClassVar[str]
    OPTIONS: ClassVar[type]
    BLOCK_FRAMES: ClassVar[int] = 64

    def __init__(self, options: Any, seed: int, device: str = "cpu") -> None:
        require(seed >= 0, f"seed = {seed}: must be 0 or more")
        self.options, self.seed, self.device = options, int(seed), computing_device(device)

    @property
    @abstractmethod
    def recording(self) -> Recording:
        """What all frames share."""

    @abstractmethod
    def compute_block(self, number: int) -> Block:
        """Frames number * BLOCK_FRAMES ... of the run, whole; called with one thread."""

    def block(self, number: int) -> Block:
        """Block ``number``, the same bits wherever it is computed on one type of device."""
        with single_thread():
            return self.compute_block(number)

    def describe(self) -> dict[str, Any]:
        """Name, options and seed, JSON-ready: what a frame depends on besides its index."""
        return {"recipe": self.NAME, "seed": self.seed, "options": config_to_dict(self.options)}


def computing_device(name: str) -> torch.device:
    """The torch device ``name``: cpu, cuda or cuda:N. Raises InputError where this machine has none of that name."""
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"device {name!r}: unknown; use cpu or cuda") from error
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"device {name!r}: not supported; use cpu or cuda")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device {name!r}: this machine has {torch.cuda.device_count()} of them; use cpu")
    return device


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Compute with ``count`` torch threads; restores the setting."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def single_thread() -> AbstractContextManager[None]:
    """Compute with one torch thread, so that sums keep their order whatever the machine offers; restores the setting."""
    return torch_threads(1)


def object_array(values: list[str]) -> NDArray[np.object_]:
    """A column of strings."""
    return np.array(values, dtype=object)
