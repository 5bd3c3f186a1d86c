"""The frames that the report reads: a bounded number of each group, whatever the size of the run."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sorter.core.frames import FrameStore
from sorter.core.identity import rows_of
from sorter.preprocess.angular import AngularContrast, make_rings

Ids = NDArray[np.uint64]

_BATCH_BYTES = 48 * 2**20


def evenly(ids: Ids, at_most: int) -> Ids:
    """At most ``at_most`` of ``ids``, evenly spread over their order, first and last included."""
    if len(ids) <= at_most:
        return ids
    return ids[np.unique(np.linspace(0, len(ids) - 1, at_most).round().astype(np.int64))]


def spread_by(ids: Ids, values: NDArray[np.floating], at_most: int) -> Ids:
    """At most ``at_most`` of ``ids``, from the largest value to the smallest in steps of equal rank; ties by id."""
    return evenly(ids[np.lexsort((ids, -np.nan_to_num(values, nan=-np.inf)))], at_most)


@dataclass
class MeanFrame:
    """Running mean over frames, pixel by pixel; what is not finite does not count."""

    shape_px: tuple[int, int]
    total: NDArray[np.float64] = field(init=False)
    count: NDArray[np.int32] = field(init=False)
    n_frames: int = 0

    def __post_init__(self) -> None:
        self.total, self.count = np.zeros(self.shape_px), np.zeros(self.shape_px, np.int32)

    def update(self, frames: NDArray) -> None:
        """Add frames (n, ny, nx)."""
        finite = np.isfinite(frames)
        self.total += np.where(finite, frames, 0).sum(axis=0, dtype=np.float64)
        self.count += finite.sum(axis=0, dtype=np.int32)
        self.n_frames += len(frames)

    def finish(self) -> NDArray[np.float64]:
        """(ny, nx) mean; NaN where no frame had a value."""
        with np.errstate(invalid="ignore"):
            return self.total / np.where(self.count, self.count, np.nan)


@dataclass(frozen=True)
class Sample:
    """means: group -> mean frame (ny, nx) over ``n_frames[group]`` sampled frames. angular: group -> contrast of its angular
    orders. frames: id -> (ny, nx) example."""

    means: dict[int, NDArray[np.float64]]
    n_frames: dict[int, int]
    angular: dict[int, NDArray[np.float64]]
    frames: dict[int, NDArray]


def read_sample(store: FrameStore, averaged: dict[int, Ids], examples: Ids) -> Sample:
    """Read in storage order, in batches of bounded size, the frames to average by group and the examples to keep."""
    wanted = np.unique(np.concatenate([examples, *averaged.values()]).astype(np.uint64))
    wanted = wanted[np.argsort(rows_of(store.frame_ids, wanted), kind="stable")]
    members = {group: np.sort(ids) for group, ids in averaged.items()}
    rings = make_rings(store.geometry, store.bad_pixels)
    means = {group: MeanFrame(store.shape_px) for group in averaged}
    angular = {group: AngularContrast(rings, store.unit == "photon") for group in averaged}
    kept: dict[int, NDArray] = {}
    size = max(1, _BATCH_BYTES // max(1, store.dtype.itemsize * int(np.prod(store.shape_px))))
    for start in range(0, len(wanted), size):
        ids = wanted[start : start + size]
        frames = store.read(ids)
        for group in averaged:
            here = frames[np.isin(ids, members[group])]
            means[group].update(here)
            angular[group].update(here)
        kept |= {int(i): frames[row].copy() for row, i in enumerate(ids) if np.isin(i, examples)}
    return Sample(
        {group: mean.finish() for group, mean in means.items()},
        {group: mean.n_frames for group, mean in means.items()},
        {group: one.finish() for group, one in angular.items()},
        kept,
    )
