"""What a pattern must be before a network sees it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sorter.core.errors import InputError

_MEAN_TOLERANCE = 1e-2
_DEVIATION_TOLERANCE = 2e-2


def check_shape(shape: tuple[int, ...], smallest_px: int, where: str) -> None:
    """Raise InputError unless ``shape`` (N, n, n) is that of square patterns of at least ``smallest_px``."""
    if len(shape) != 3:
        raise InputError(f"{where}: patterns of shape {tuple(shape)}: need (N, n, n)")
    ny, nx = shape[1:]
    if ny != nx:
        raise InputError(
            f"{where}: patterns of {ny} x {nx} pixels are not square; cut out the quadrant k_x, k_y >= 0 first"
        )
    if ny < smallest_px:
        raise InputError(
            f"{where}: patterns of {ny} x {nx} pixels: these weights read at least {smallest_px} x {smallest_px}"
        )


def check_standardised(patterns: NDArray, where: str) -> None:
    """Raise InputError for patterns (N, n, n) that are constant, not finite or not of mean 0 and variance 1."""
    flat = np.asarray(patterns, np.float64).reshape(len(patterns), -1)
    if not np.isfinite(flat).all():
        raise InputError(
            f"{where}: pattern {int(np.argmin(np.isfinite(flat).all(1)))} holds NaN or infinity; mask and fill it first"
        )
    deviation = flat.std(1)
    if (deviation == 0).any():
        raise InputError(f"{where}: pattern {int(np.argmin(deviation))} is constant; leave it out")
    bad = (np.abs(flat.mean(1)) > _MEAN_TOLERANCE) | (np.abs(deviation - 1) > _DEVIATION_TOLERANCE)
    if bad.any():
        i = int(np.argmax(bad))
        raise InputError(
            f"{where}: pattern {i} has mean {flat[i].mean():.3g} and standard deviation {deviation[i]:.3g}, not 0 and 1; "
            "standardise it first (--standardise)"
        )
