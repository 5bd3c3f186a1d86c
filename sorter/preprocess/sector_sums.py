"""The compiled loop behind `PolarMap`. Importing this takes half a second, so it is imported where it is called."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

#: Frames that are summed at a time: their sums stand side by side, so that one instruction adds to all of them.
_TOGETHER = 8


def sector_sums(frames: NDArray, sector: NDArray[np.int64], n_sectors: int) -> NDArray[np.float32]:
    """(B, n_sectors) float32 sums of frames (B, ny, nx) over the pixels of each sector, added in the order of the pixels.

    sector: (ny nx,) place of each pixel's sum; ``n_sectors`` stands for "in none". May be called from several threads at once.
    """
    flat = np.ascontiguousarray(frames).reshape(len(frames), sector.size)
    if flat.dtype.kind not in "iuf" or flat.dtype == np.float16 or not flat.dtype.isnative:
        flat = flat.astype(np.float32)
    out = np.empty((len(flat), n_sectors), np.float32)
    _add(flat, sector, out)
    return out


@numba.njit(nogil=True, cache=True)
def _add(flat, sector, out):  # type: ignore[no-untyped-def]
    n, n_sectors = out.shape
    sums = np.empty((n_sectors + 1, _TOGETHER), np.float32)
    for first in range(0, n - _TOGETHER + 1, _TOGETHER):
        sums[:] = 0
        for pixel in range(sector.size):
            place = sector[pixel]
            for k in range(_TOGETHER):
                sums[place, k] += np.float32(flat[first + k, pixel])
        for place in range(n_sectors):
            for k in range(_TOGETHER):
                out[first + k, place] = sums[place, k]
    for frame in range(n - n % _TOGETHER, n):
        sums[:, 0] = 0
        for pixel in range(sector.size):
            sums[sector[pixel], 0] += np.float32(flat[frame, pixel])
        out[frame] = sums[:n_sectors, 0]
