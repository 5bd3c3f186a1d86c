"""Mean and spread of many frames, read a few at a time so that nobody waits for them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sorter.core.frames import FrameStore
from sorter.core.seeds import child_rng
from sorter.preprocess.statistics import PixelStatistics, RunningStatistics

#: Frames that a mean stands on at most, a random choice, and how many are read at once.
AT_MOST = 256
AT_ONCE = 32


class Average:
    """Statistics of the frames ``frame_id`` (all of them, or AT_MOST random ones), as far as they were read.

    ``seed_word`` names the choice, which is the same for the same word.
    """

    def __init__(self, store: FrameStore, frame_id: NDArray[np.uint64], seed_word: str) -> None:
        order = child_rng(0, "explorer", "mean", seed_word).permutation(len(frame_id))
        self.n_all = len(frame_id)
        self._store, self._wanted = store, frame_id[order[:AT_MOST]]
        self._running = RunningStatistics(store.shape_px)

    @property
    def n_read(self) -> int:
        """Frames read so far."""
        return self._running.n_frames

    @property
    def complete(self) -> bool:
        """Whether all that are wanted were read."""
        return self.n_read >= len(self._wanted)

    @property
    def worth_showing(self) -> bool:
        """Whether what was read last changes the picture much: the first few frames, and all of them."""
        return self.complete or self.n_read <= AT_ONCE

    def read_more(self) -> None:
        """Read the next few."""
        self._running.update(self._store.read(self._wanted[self.n_read : self.n_read + AT_ONCE]))

    def finish(self) -> PixelStatistics:
        """The statistics of what was read."""
        return self._running.finish()
