"""Batches of sector counts, shuffled, from memory or in blocks from disk."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset

from sorter.core.frames import FrameStore
from sorter.core.seeds import child_rng
from sorter.preprocess.polar import PolarMap

log = logging.getLogger(__name__)

_READ = 512
#: A rare frame is drawn at most so many times as often as it would be without balance.
_MOST_OFTEN = 10.0


class CountSource:
    """Sector counts of a store's frames: all in memory where they fit into ``memory_mb``, else read when asked for."""

    def __init__(self, store: FrameStore, polar: PolarMap, memory_mb: float) -> None:
        self.store, self.polar = store, polar
        size_mb = len(store.frame_ids) * polar.grid.n_sectors * 4 / 2**20
        self.cached: Tensor | None = None
        if size_mb <= memory_mb:
            self.cached = torch.empty(len(store.frame_ids), polar.grid.n_sectors)
            for start, (_, frames) in zip(range(0, len(store.frame_ids), _READ), store.chunks(_READ)):
                self.cached[start : start + len(frames)] = polar(frames)
        else:
            log.info("train: %.0f MB of polar pictures do not fit into %.0f MB: reading in blocks", size_mb, memory_mb)

    def __len__(self) -> int:
        return len(self.store.frame_ids)

    def block(self, first: int, last: int) -> Tensor:
        """Counts (last - first, S) of a contiguous stretch of the store."""
        if self.cached is not None:
            return self.cached[first:last]
        return self.polar(self.store.read(self.store.frame_ids[first:last]))


class CountBatches(IterableDataset):
    """``n_steps`` batches (batch, S) from step ``first_step`` on; any step comes out the same however it is reached.

    Each pass over the run cuts it into blocks, shuffles the blocks, gathers ``blocks_per_group`` of them at a time and
    shuffles the frames of that group. In memory the group is the whole run, so the shuffle is a full one. With ``chances`` (N,)
    frames are drawn from the group by them instead, some of them more than once. share: (number, of): the process that gets
    every of-th frame of each batch.
    """

    def __init__(
        self,
        source: CountSource,
        batch: int,
        seed: int,
        first_step: int,
        n_steps: int,
        block: int = 512,
        blocks_per_group: int = 16,
        chances: NDArray[np.float64] | None = None,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        self.chances, self.share = chances, share
        self.source, self.batch, self.seed = source, batch, seed
        self.first_step, self.n_steps = first_step, n_steps
        whole = source.cached is not None or len(source) <= block * blocks_per_group
        self.block = len(source) if whole else block
        self.group = 1 if whole else blocks_per_group

    def __iter__(self) -> Iterator[Tensor]:
        n_blocks = -(-len(self.source) // self.block)
        n_groups = max(1, n_blocks // self.group)
        step, last = self.first_step, self.first_step + self.n_steps
        steps_per_group = max(1, min(len(self.source), self.block * self.group) // self.batch)
        while step < last:
            group_number, within = divmod(step, steps_per_group)
            pass_number, group = divmod(group_number, n_groups)
            order = child_rng(self.seed, "blocks", pass_number).permutation(n_blocks)
            blocks = np.sort(order[group * self.group : (group + 1) * self.group])
            counts = self._gather(blocks)
            rows = self._order(blocks, child_rng(self.seed, "rows", pass_number, group))
            while within < steps_per_group and step < last:
                chosen = rows.take(np.arange(within * self.batch, (within + 1) * self.batch), mode="wrap")
                yield counts[torch.from_numpy(chosen[self.share[0] :: self.share[1]])]
                within, step = within + 1, step + 1

    def _edges(self, blocks: NDArray[np.int64]) -> list[tuple[int, int]]:
        return [(b * self.block, min((b + 1) * self.block, len(self.source))) for b in blocks]

    def _order(self, blocks: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """Rows among the frames of ``blocks`` in the order in which they are drawn."""
        n = sum(last - first for first, last in self._edges(blocks))
        if self.chances is None:
            return rng.permutation(n)
        chances = np.concatenate([self.chances[first:last] for first, last in self._edges(blocks)])
        return rng.choice(n, n, p=chances / chances.sum())

    def _gather(self, blocks: NDArray[np.int64]) -> Tensor:
        parts = [self.source.block(first, last) for first, last in self._edges(blocks)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)


def balanced_chances(groups: NDArray) -> NDArray[np.float64]:
    """Chance (N,) of each frame to be drawn, sum 1, by its group (N,): every group has the same share of the draws, unless its
    frames would be drawn more than _MOST_OFTEN times as often as without."""
    _, number, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    chances = 1 / sizes[number] / len(sizes)
    chances = np.minimum(chances, _MOST_OFTEN / len(groups))
    return chances / chances.sum()
