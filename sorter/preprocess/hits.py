"""A classical hit finder: how far is a frame from the run's own background?

The frame is summed over tiles of good pixels. A background picture b (tile means of the dimmest frames), scaled to each frame,
is taken away, and what is left is compared with its noise: chi2 per tile, score = log10(chi2). A frame without a particle comes
out near 0 whatever the background's level, so a drifting background is no hit; a particle stands out by its shape long before
its photons show in the total. Values in photons have Poisson noise; for others the noise is measured in the dim frames from the
difference of the two colours of a chequerboard within each tile, in which smooth scattering cancels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.core.frames import Unit
from sorter.preprocess.threshold import EMPTY_SCORE, EMPTY_SHARE

TILES_PER_SIDE = 16
SAMPLE_FRAMES = 8192
_DIM_SHARE = 0.2
_REFINEMENTS = 3
_SCALE_STEPS = 6
_CLIP_SIGMA = 3.0
#: Photons per tile and frame that the background may hold unseen: keeps one photon on a dark detector from being a hit.
_UNSEEN_PHOTONS = 0.04
_LOWEST_CHI2 = 10**EMPTY_SCORE
_LEAST_SCALE_SIGMA = 1e-3


@dataclass(frozen=True)
class Tiles:
    """Tiles of ``side_px`` square pixels. good: (ny, nx) bool, True = the pixel may be used."""

    good: NDArray[np.bool_]
    side_px: int

    @classmethod
    def of(cls, bad_pixels: NDArray[np.bool_]) -> Tiles:
        """Tiles that cut the long side of the detector in about TILES_PER_SIDE."""
        return cls(~bad_pixels, max(1, -(-max(bad_pixels.shape) // TILES_PER_SIDE)))

    @property
    def used(self) -> NDArray[np.bool_]:
        """(rows, columns) bool: tiles that have a good pixel."""
        return self._sum(self.good[None].astype(np.float32))[0] > 0

    def sums(self, frames: NDArray) -> NDArray[np.float64]:
        """(N, T) sums of good pixels over the T tiles that have any."""
        return self._sum(np.where(self.good, frames, frames.dtype.type(0)))[:, self.used].astype(np.float64)

    def differences(self, frames: NDArray) -> NDArray[np.float64]:
        """(N, T) even minus odd pixels of a chequerboard within each tile."""
        y, x = np.ogrid[: self.good.shape[0], : self.good.shape[1]]
        sign = np.where((y + x) % 2 == 0, 1, -1) * self.good
        return self._sum(frames.astype(np.float32) * sign.astype(np.float32))[:, self.used].astype(np.float64)

    def _sum(self, frames: NDArray) -> NDArray:
        """(N, rows, columns) sums over tiles: down each column of a tile first, which runs along memory."""
        ny, nx = self.good.shape
        kind = np.float64 if frames.dtype.kind == "f" else np.int64
        rows = [frames[:, y : y + self.side_px].sum(1, dtype=kind) for y in range(0, ny, self.side_px)]
        return np.add.reduceat(np.stack(rows, axis=1), np.arange(0, nx, self.side_px), axis=2)


@dataclass(frozen=True)
class Background:
    """What a run looks like without a particle: mean (T,) and variance (T,) of the tile sums of a frame of scale 1, without shot
    noise; shot: variance per mean (1 for photons, else 0); scale, scale_sigma: of the background's level from frame to frame."""

    tiles: Tiles
    mean: NDArray[np.float64]
    variance: NDArray[np.float64]
    shot: float
    scale: float = 1.0
    scale_sigma: float = np.inf

    def fit(self, sums: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Scale (N,) of the background in each frame, from the tiles that do not stand out, and chi2 (N,) per tile."""
        noise = self.variance + self.shot * self.mean
        weight = self.mean / noise
        used = np.ones(sums.shape, bool)
        floor = 1e-9 * max(1e-300, float(weight @ self.mean))
        for _ in range(_SCALE_STEPS):
            scale = (sums * weight * used).sum(1) / np.maximum((used * (weight * self.mean)).sum(1), floor)
            if self.shot:
                scale = np.maximum(scale, 0)
            rest = sums - scale[:, None] * self.mean
            spread = np.sqrt(self.variance + self.shot * scale[:, None] * self.mean)
            used = rest < _CLIP_SIGMA * spread
        return scale, ((rest / spread) ** 2).mean(1)

    @property
    def score_sigma(self) -> float:
        """Width of the scores of frames that hold background only. chi2 of one tile has the variance 2, and 1/mean more for
        Poisson numbers; the mean over the tiles in log10."""
        mean = self.scale * self.mean * (self.shot > 0)
        variance = 2 + mean / (mean + self.variance) ** 2
        return float(np.sqrt(variance.mean() / len(mean)) / np.log(10))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        numbers = {name: getattr(self, name) for name in ("shot", "scale", "scale_sigma")}
        return {"mean": self.mean.tolist(), "variance": self.variance.tolist(), **numbers}

    @classmethod
    def from_dict(cls, values: dict[str, Any], bad_pixels: NDArray[np.bool_]) -> Background:
        """Inverse of `to_dict`, for the mask that it was made with."""
        arrays = {name: np.array(values[name], np.float64) for name in ("mean", "variance")}
        numbers = {name: float(values[name]) for name in ("shot", "scale", "scale_sigma")}
        return cls(Tiles.of(bad_pixels), **arrays, **numbers)

    def score(self, sums: NDArray[np.float64]) -> NDArray[np.float32]:
        """(N,) log10 of chi2 per tile; a level above the background's usual ones counts as one more deviation."""
        scale, chi2 = self.fit(sums)
        level = np.maximum(scale - self.scale, 0) / self.scale_sigma
        return np.log10(np.maximum(chi2 + level**2 / len(self.mean), _LOWEST_CHI2)).astype(np.float32)


class BackgroundSample:
    """The background of a run from some of its frames: init / update(frames) / merge(other) / finish().

    Holds the tile sums of the frames seen (a kilobyte each), so give it a sample of a few thousand, spread over the run.
    """

    def __init__(self, bad_pixels: NDArray[np.bool_], unit: Unit) -> None:
        self._tiles, self._photons = Tiles.of(bad_pixels), unit == "photon"
        self._sums: list[NDArray[np.float64]] = []
        self._differences: list[NDArray[np.float64]] = []

    def update(self, frames: NDArray) -> None:
        """Take in frames (n, ny, nx)."""
        self._sums.append(self._tiles.sums(frames))
        if not self._photons:
            self._differences.append(self._tiles.differences(frames))

    def merge(self, other: BackgroundSample) -> None:
        """Take in what another one has seen."""
        self._sums += other._sums
        self._differences += other._differences

    def finish(self) -> Background:
        """The background; starts from the dimmest frames, then takes those that are closest to the background found.

        A few empty frames are left out: they are no background but were dropped on the way.
        """
        sums = np.concatenate(self._sums)
        lit = sums.any(axis=1)
        used = lit if (~lit).sum() < EMPTY_SHARE * len(lit) else np.ones(len(lit), bool)
        sums = sums[used]
        differences = None if self._photons else np.concatenate(self._differences)[used]
        quietest = sums.sum(1)
        for _ in range(_REFINEMENTS):
            dim = quietest <= np.quantile(quietest, _DIM_SHARE)
            mean = sums[dim].mean(0)
            if differences is None:
                background = Background(self._tiles, mean, np.full(len(mean), max(_UNSEEN_PHOTONS, 1 / dim.sum())), 1.0)
            else:
                background = Background(self._tiles, mean, _noise(differences[dim]), 0.0)
            scale, quietest = background.fit(sums)
        level = float(np.median(scale[dim]))
        least = 1 / np.sqrt(max(1.0, float(mean.sum()))) if self._photons else _LEAST_SCALE_SIGMA
        sigma = max(1.4826 * float(np.median(np.abs(scale[dim] - level))), least)
        return replace(background, scale=level, scale_sigma=sigma)


def _noise(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T,) variance of tile sums from chequerboard differences (n, T), robust against a few frames with structure."""
    centred = differences - np.median(differences, axis=0)
    variance = (1.4826 * np.median(np.abs(centred), axis=0)) ** 2
    typical = np.median(variance[variance > 0]) if (variance > 0).any() else 1.0
    return np.maximum(variance, 1e-3 * typical)
