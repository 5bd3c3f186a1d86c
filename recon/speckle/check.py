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


def check_varies(patterns: NDArray, where: str, first: int = 0, blocked: int = 0) -> None:
    """Raise InputError for patterns (N, n, n) that hold NaN or infinity or are constant outside a corner of ``blocked`` pixels.

    first: number of the first pattern in what ``where`` names.
    """
    finite = np.isfinite(patterns).all((1, 2))
    if not finite.all():
        raise InputError(
            f"{where}: pattern {first + int(np.argmin(finite))} holds NaN or infinity; mask and fill it first"
        )
    opened = np.ones(patterns.shape[1:], bool)
    opened[:blocked, :blocked] = False
    varies = np.ptp(patterns[:, opened], axis=1) > 0
    if not varies.all():
        outside = " outside the blocked corner" if blocked else ""
        raise InputError(f"{where}: pattern {first + int(np.argmin(varies))} is constant{outside}; leave it out")


def check_standardised(patterns: NDArray, where: str, first: int = 0) -> None:
    """Raise InputError for patterns (N, n, n) that `check_varies` refuses or that are not of mean 0 and variance 1."""
    check_varies(patterns, where, first)
    flat = np.asarray(patterns, np.float64).reshape(len(patterns), -1)
    deviation = flat.std(1)
    bad = (np.abs(flat.mean(1)) > _MEAN_TOLERANCE) | (np.abs(deviation - 1) > _DEVIATION_TOLERANCE)
    if bad.any():
        i = int(np.argmax(bad))
        raise InputError(
            f"{where}: pattern {first + i} has mean {flat[i].mean():.3g} and standard deviation {deviation[i]:.3g}, not 0 "
            "and 1; standardise it first (--standardise)"
        )
