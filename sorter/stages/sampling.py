"""Frames spread over a run, in blocks that fit into memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sorter.core.frames import FrameStore

BLOCK_BYTES = 16 << 20
_RUN_LENGTH = 16


def block_length(store: FrameStore) -> int:
    """Frames of a store that make a block of about BLOCK_BYTES as float64."""
    return max(1, BLOCK_BYTES // (int(np.prod(store.shape_px)) * 8))


def spread_rows(n: int, wanted: int) -> NDArray[np.int64]:
    """About ``wanted`` of ``n`` rows, in short runs that are spread evenly (never just the first ones); ascending."""
    if n <= wanted:
        return np.arange(n)
    starts = np.linspace(0, max(0, n - _RUN_LENGTH), max(1, wanted // _RUN_LENGTH)).astype(np.int64)
    rows = np.unique((starts[:, None] + np.arange(_RUN_LENGTH)).ravel())
    return rows[rows < n]


def sample_blocks(store: FrameStore, wanted: int) -> Iterator[NDArray]:
    """Blocks (n, ny, nx) of about ``wanted`` frames of a store, spread over it; those that cannot be read are left out."""
    ids = store.frame_ids[spread_rows(len(store.frame_ids), wanted)]
    for _, frames in store.select(ids).blocks(on_damage=lambda ids, why: None):
        yield frames


def brightest_frames(store: FrameStore, sampled: int, kept: int) -> NDArray:
    """The ``kept`` brightest, by the sum over good pixels, of ``sampled`` frames spread over a store: (n, ny, nx)."""
    good = ~store.bad_pixels
    best = np.empty((0, *store.shape_px), store.dtype)
    totals = np.empty(0)
    for frames in sample_blocks(store, sampled):
        totals = np.concatenate([totals, (frames * good).sum((1, 2), dtype=np.float64)])
        best = np.concatenate([best, frames])
        order = np.sort(np.argsort(-totals, kind="stable")[:kept])
        totals, best = totals[order], best[order]
    return best
