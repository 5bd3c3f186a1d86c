"""Fresh simulated frames for training, never stored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from sim.memory import keep_freed_memory
from sim.recipes import make_recipe
from sim.run import unit_of_frames
from sorter.core.config import require


class SimulatedFrames(IterableDataset):
    """Blocks of frames of a recipe, computed when they are asked for.

    Yields dictionaries: "frames" (B, ny, nx) float32 tensor; "index" (B,) int64, the frame's number in the run; each column of
    the truth, a tensor where it is numeric, else a list of strings. Frame i is that of `sim.run.simulate` with the same recipe,
    options and seed. Use it with ``DataLoader(batch_size=None, num_workers=W, multiprocessing_context="spawn")``: the
    workers share the blocks between them, and the order of blocks is that of their numbers.

    n_frames: None goes on for ever. start: number of the first frame, a multiple of the recipe's block.
    Raises InputError for an unknown recipe or option.
    """

    def __init__(
        self,
        recipe: str,
        seed: int,
        options: dict[str, Any] | None = None,
        n_frames: int | None = None,
        start: int = 0,
        device: str = "cpu",
    ) -> None:
        require(n_frames is None or n_frames >= 1, f"n_frames = {n_frames}: need at least 1, or None")
        self._arguments = (recipe, options, seed, device)
        made = make_recipe(*self._arguments)
        self.recording, self.block_frames = made.recording, made.BLOCK_FRAMES
        require(
            start >= 0 and start % self.block_frames == 0, f"start = {start}: must be a multiple of {self.block_frames}"
        )
        self.start, self.n_frames = start, n_frames

    def __iter__(self) -> Iterator[dict[str, Any]]:
        keep_freed_memory()
        recipe = make_recipe(*self._arguments)
        info = get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        number = self.start // self.block_frames + worker
        stop = None if self.n_frames is None else self.start + self.n_frames
        while stop is None or number * self.block_frames < stop:
            first = number * self.block_frames
            block = unit_of_frames(
                recipe, first, self.block_frames, first + self.block_frames if stop is None else stop
            )
            yield {
                "frames": torch.from_numpy(block.frames.astype(np.float32)),
                "index": torch.arange(first, first + len(block.frames)),
                **{name: _column(values) for name, values in block.truth.items()},
            }
            number += workers


def _column(values: np.ndarray) -> torch.Tensor | list[str]:
    if values.dtype.kind in "OU":
        return [str(value) for value in values]
    return torch.from_numpy(np.ascontiguousarray(values))
