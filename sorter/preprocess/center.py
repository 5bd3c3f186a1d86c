"""Where the beam meets the detector, from the point symmetry of the patterns.

Small-angle patterns obey Friedel's law, I(q) = I(-q), and even wide-angle ones do near the beam. The centre c is where a frame
agrees best with its own point reflection: the masked normalised cross-correlation of Padfield (IEEE Trans. Image Process. 21,
2706, 2012, eq. 22), which a beam stop, gaps or the detector's edge do not pull. The reflection of pixel p is 2c - p, so one
correlation by FFT tries all centres on a half-pixel grid. Correlations of several bright frames are added.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.ndimage import gaussian_filter

FRAMES = 48
_GROUPS = 6
_MIN_OVERLAP = 0.3
#: Widths (pixels) of the smoothing that is taken away from the log picture; None: nothing is.
_BACKGROUNDS_PX = (None, 8.0, 4.0)
_SMOOTHING_PX = 0.8
_GRID_ERROR_PX = 0.5
#: A pattern whose two halves are lit unevenly seems shifted by about this share of its rms radius.
_LIGHT_ERROR = 0.04
#: Beyond this share of the long side, or below this correlation, there is no point symmetry to be seen.
_MAX_ERROR, _MIN_AGREEMENT = 0.1, 0.65


@dataclass(frozen=True)
class CenterEstimate:
    """center_px (y, x); error_px: standard uncertainty of either coordinate; agreement: correlation of the patterns with their
    reflections, 1 = perfect; n_frames: used; found: False where the error is so large that the middle is as good."""

    center_px: tuple[float, float]
    error_px: float
    agreement: float
    n_frames: int
    found: bool


class _Correlation:
    """Sums of masked correlations of pictures with their point reflections, for all centres."""

    def __init__(self, good: NDArray[np.bool_]) -> None:
        ny, nx = good.shape
        self._good = good.astype(np.float64)
        self._size = (next_fast_len(2 * ny - 1, real=True), next_fast_len(2 * nx - 1, real=True))
        self._crop = (slice(0, 2 * ny - 1), slice(0, 2 * nx - 1))
        self._mask = self._transform(self._good)
        self._pixels = np.maximum(self._back(self._mask * self._mask), 0)

    def _transform(self, image: NDArray) -> NDArray[np.complex128]:
        return np.asarray(rfft2(image, self._size))

    def _back(self, product: NDArray) -> NDArray[np.float64]:
        return np.asarray(irfft2(product, self._size))[self._crop]

    def of(self, image: NDArray[np.float64]) -> NDArray[np.float64]:
        """(2, 2 ny - 1, 2 nx - 1): covariance and variance sums; place (i, j) stands for the centre (i, j) / 2."""
        values = self._transform(image * self._good)
        squares = self._transform(image**2 * self._good)
        n = np.maximum(self._pixels, 1)
        sums = self._back(values * self._mask)
        covariance = self._back(values * values) - sums**2 / n
        variance = self._back(squares * self._mask) - sums**2 / n
        return np.stack([covariance, variance])

    def best(self, sums: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
        """Centre (2,) of the best agreement, refined below the grid by a parabola, and the agreement."""
        covariance, variance = sums
        usable = (self._pixels >= _MIN_OVERLAP * self._good.sum()) & (variance > 1e-9 * variance.max())
        with np.errstate(divide="ignore", invalid="ignore"):
            ncc = np.where(usable, covariance / variance, -1.0)
        place = np.unravel_index(int(np.argmax(ncc)), ncc.shape)
        fine = [k + _vertex(ncc, place, axis) for axis, k in enumerate(place)]
        return np.array(fine) / 2, float(ncc[place])


def _vertex(values: NDArray[np.float64], place: tuple, axis: int) -> float:
    """Offset of the top of the parabola through the largest value and its neighbours two places (one pixel) off."""
    index = [slice(int(k), int(k) + 1) for k in place]
    k = int(place[axis])
    if k < 2 or k > values.shape[axis] - 3:
        return 0.0
    index[axis] = slice(k - 2, k + 3, 2)
    low, mid, high = values[tuple(index)].ravel()
    bend = low - 2 * mid + high
    return float(np.clip((low - high) / bend, -1, 1)) if bend < 0 else 0.0


def estimate_center(frames: NDArray, bad_pixels: NDArray[np.bool_]) -> CenterEstimate:
    """The beam centre of bright frames (n, ny, nx) in any unit, with its uncertainty.

    The uncertainty joins the scatter between groups of frames, the scatter between ways to look at the frames (log picture, and
    with its smooth part taken away), the grid, and uneven light across the pattern.
    """
    ny, nx = bad_pixels.shape
    middle = ((ny - 1) / 2, (nx - 1) / 2)
    lit = frames[[bool((f[~bad_pixels] > 0).any()) for f in frames]] if len(frames) else frames
    if len(lit) == 0 or bad_pixels.all():
        return CenterEstimate(middle, max(ny, nx) / np.sqrt(12), 0.0, 0, False)
    good = ~bad_pixels
    correlation = _Correlation(good)
    groups = [lit[k::_GROUPS] for k in range(min(_GROUPS, len(lit)))]
    centers, scatter, agreement = [], [], 0.0
    for background in _BACKGROUNDS_PX:
        sums = [sum(correlation.of(_picture(f, good, background)) for f in group) for group in groups]
        center, value = correlation.best(np.sum(sums, axis=0))
        singles = np.array([correlation.best(s)[0] for s in sums])  # type: ignore[arg-type]
        centers.append(center)
        scatter.append(1.4826 * np.median(np.abs(singles - center), axis=0).max() if len(singles) > 1 else 0.0)
        agreement = max(agreement, value)
    center = np.median(centers, axis=0)
    between = float(np.abs(np.array(centers) - center).max())
    light = _LIGHT_ERROR * _rms_radius(lit, good, center)
    error = float(np.sqrt(_GRID_ERROR_PX**2 + between**2 + float(np.median(scatter)) ** 2 + light**2))
    found = error <= _MAX_ERROR * max(ny, nx) and agreement >= _MIN_AGREEMENT
    return CenterEstimate((float(center[0]), float(center[1])), error, agreement, len(lit), found)


def _picture(frame: NDArray, good: NDArray[np.bool_], background_px: float | None) -> NDArray[np.float64]:
    """Log of the smoothed frame, bad pixels left out of the smoothing; less its own smooth part where that is asked for."""
    values = np.log1p(np.maximum(_smooth(np.maximum(frame, 0).astype(np.float64), good, _SMOOTHING_PX), 0))
    return values if background_px is None else values - _smooth(values, good, background_px)


def _smooth(image: NDArray[np.float64], good: NDArray[np.bool_], width_px: float) -> NDArray[np.float64]:
    weight = gaussian_filter(good.astype(np.float64), width_px)
    return np.where(good, gaussian_filter(image * good, width_px) / np.maximum(weight, 1e-6), 0)


def _rms_radius(frames: NDArray, good: NDArray[np.bool_], center: NDArray[np.float64]) -> float:
    weight = np.sqrt(np.maximum(frames.mean(0), 0)) * good
    y, x = np.ogrid[: good.shape[0], : good.shape[1]]
    square = (y - center[0]) ** 2 + (x - center[1]) ** 2
    return float(np.sqrt((weight * square).sum() / max(weight.sum(), 1e-300)))
