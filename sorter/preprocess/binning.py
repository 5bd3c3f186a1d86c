"""Binning by a whole number, with the mask taken into account."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: A binned pixel is good when at least this share of the recorded pixels behind it is.
MIN_GOOD_FRACTION = 0.5


#: The short side keeps at least this many pixels when the factor is chosen: modules stacked in a column stay wide enough.
_LEAST_SIDE_PX = 32


def choose_factor(shape_px: tuple[int, int], largest_px: int) -> int:
    """The smallest whole factor by which the long side comes to at most ``largest_px``, the short one not below 32."""
    wanted = -(-max(shape_px) // largest_px)
    return max(1, min(wanted, min(shape_px) // _LEAST_SIDE_PX))


def _tiles(images: NDArray, factor: int) -> NDArray:
    """(..., ny, nx) as (..., ny // factor, factor, nx // factor, factor); incomplete edges are dropped."""
    *lead, ny, nx = images.shape
    whole = images[..., : ny // factor * factor, : nx // factor * factor]
    return whole.reshape(*lead, ny // factor, factor, nx // factor, factor)


def binned_dtype(dtype: np.dtype, factor: int) -> np.dtype:
    """Type of the sums: as recorded without binning; else 32-bit for whole numbers of up to 16 bits, which cannot overflow."""
    dtype = np.dtype(dtype)
    if factor == 1 or dtype.kind == "f":
        return dtype
    if dtype.itemsize <= 2:
        return np.dtype(np.uint32 if dtype.kind == "u" else np.int32)
    return np.dtype(np.uint64 if dtype.kind == "u" else np.int64)


def bin_frames(frames: NDArray, bad_pixels: NDArray[np.bool_], factor: int) -> NDArray:
    """Sums of ``factor`` x ``factor`` recorded pixels, good ones only: (N, ny, nx) -> (N, ny // factor, nx // factor).

    Counts stay counts (Poisson stays Poisson); what a partly bad bin lacks is told by `good_fraction`.
    """
    if factor == 1:
        return frames
    good = _tiles(np.where(bad_pixels, frames.dtype.type(0), frames), factor)
    return good.sum((-3, -1), dtype=binned_dtype(frames.dtype, factor))


def good_fraction(bad_pixels: NDArray[np.bool_], factor: int) -> NDArray[np.float32]:
    """Share of good recorded pixels behind each binned one, (ny // factor, nx // factor) float32."""
    return _tiles(~bad_pixels, factor).mean((-3, -1)).astype(np.float32)
