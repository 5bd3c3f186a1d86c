"""Running statistics of frames: mean, standard deviation and maximum of each pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class PixelStatistics:
    """n_frames; mean, std (population), max: (ny, nx) float64, in the unit of the frames."""

    n_frames: int
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    max: NDArray[np.float64]


class RunningStatistics:
    """init / update(frames) / merge(other) / finish(); the result does not depend on how the frames were cut into batches.

    Sums of squares about the mean are merged after Chan, Golub & LeVeque, Am. Stat. 37, 242 (1983), eq. 2.1.
    """

    def __init__(self, shape_px: tuple[int, int], known: PixelStatistics | None = None) -> None:
        self.n_frames = 0
        self._mean, self._squares = np.zeros(shape_px), np.zeros(shape_px)
        self._max = np.full(shape_px, -np.inf)
        if known is not None and known.n_frames:
            self._merge(known.n_frames, known.mean, known.std**2 * known.n_frames, known.max)

    def update(self, frames: NDArray) -> None:
        """Take in frames (n, ny, nx)."""
        if len(frames) == 0:
            return
        mean = frames.mean(0, dtype=np.float64)
        squares = ((frames - mean) ** 2).sum(0)
        self._merge(len(frames), mean, squares, frames.max(0).astype(np.float64))

    def merge(self, other: RunningStatistics) -> None:
        """Take in what another one has seen."""
        if other.n_frames:
            self._merge(other.n_frames, other._mean, other._squares, other._max)

    def _merge(self, n: int, mean: NDArray, squares: NDArray, top: NDArray) -> None:
        total = self.n_frames + n
        step = mean - self._mean
        self._mean = self._mean + step * (n / total)
        self._squares = self._squares + squares + step**2 * (self.n_frames * n / total)  # eq. 2.1
        self._max = np.maximum(self._max, top)
        self.n_frames = total

    def finish(self) -> PixelStatistics:
        """What was seen so far; zeros for no frames."""
        top = self._max if self.n_frames else np.zeros_like(self._max)
        return PixelStatistics(self.n_frames, self._mean, np.sqrt(self._squares / max(1, self.n_frames)), top)
