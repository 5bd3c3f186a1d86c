"""Frames as the small square pictures that the published networks take."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sorter.core.frames import FrameStore
from sorter.preprocess.binning import bin_frames

_BATCH = 512


def pictures(store: FrameStore, side: int = 64, power: float = 0.25) -> NDArray[np.float32]:
    """(N, side, side) float32 in [0, 1]: counts to the ``power``, each frame scaled between its least and largest value.

    Frames are binned to at most ``side`` pixels, then padded with zeros or cut about their middle; bad pixels are zero. Counts to
    the power 1/4 and scaling frame by frame are those of contrastive projection learning (Zimmermann et al. 2023).
    """
    factor = max(1, -(-max(store.shape_px) // side))
    out = np.zeros((len(store.frame_ids), side, side), np.float32)
    done = 0
    for _, frames in store.chunks(_BATCH):
        counts = bin_frames(np.where(store.bad_pixels, 0, np.maximum(frames, 0)), store.bad_pixels, factor)
        place, part = _middle(counts.shape[1:], side)
        values = counts[(slice(None), *part)].astype(np.float32) ** power
        low, high = (f(values, axis=(1, 2), keepdims=True) for f in (np.min, np.max))
        out[(slice(done, done + len(frames)), *place)] = (values - low) / np.maximum(high - low, 1e-9)
        done += len(frames)
    return out


def _middle(shape: tuple[int, ...], side: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Where the middle of a picture of ``shape`` goes in a square of ``side``, and which part of it that is."""
    place, part = [], []
    for length in shape:
        kept = min(length, side)
        place.append(slice((side - kept) // 2, (side - kept) // 2 + kept))
        part.append(slice((length - kept) // 2, (length - kept) // 2 + kept))
    return tuple(place), tuple(part)
