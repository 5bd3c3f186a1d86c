"""From a scan to a pattern: checks, bad pixels, centring on the peak, cropping to a cube."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from recon.phase.scan import Scan
from recon.phase.spec import ScanGeometry
from sorter.core.config import require
from sorter.core.errors import InputError

SMALLEST = 32
_SIDES = (32, 48, 64, 96, 128)
_OUTSIDE = 1 / 8


@dataclass(frozen=True)
class PrepareConfig:
    """side of the cube about the peak (None: the largest of 32, 48, 64, 96, 128 that fits). saturation: counts from here on are
    bad pixels (None: a plateau at the top is refused). negative_bad: negative counts are bad pixels (else refused). threshold:
    smaller counts are background, set to 0. center_px: the peak (z, y, x), where it shall not be looked for."""

    side: int | None = None
    saturation: float | None = None
    negative_bad: bool = False
    threshold: float = 0.0
    center_px: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        require(
            self.side is None or (self.side >= SMALLEST and self.side % 2 == 0),
            f"side = {self.side}: must be even, at least {SMALLEST}",
        )


@dataclass(frozen=True)
class Pattern:
    """counts (n, n, n) float32 with the peak in the middle (n // 2), 0 at bad_pixels (bool); geometry; first_px: where the cube
    begins in the scan (negative: before it); remarks."""

    name: str
    counts: NDArray[np.float32]
    bad_pixels: NDArray[np.bool_]
    geometry: ScanGeometry
    first_px: tuple[int, int, int]
    remarks: tuple[str, ...] = ()

    @property
    def side(self) -> int:
        """Voxels along a side."""
        return self.counts.shape[0]


def prepare(scan: Scan, config: PrepareConfig | None = None) -> Pattern:
    """The pattern of a scan. Raises InputError, one line each: too small, all zero, NaN, negative or saturated counts, a peak
    at the border, several peaks."""
    config = config or PrepareConfig()
    name, shape = scan.name, scan.counts.shape
    if min(shape) < SMALLEST:
        raise InputError(
            f"{name}: {_by(shape)} voxels are too small; each axis needs at least {SMALLEST} about the peak"
        )
    counts, bad, remarks = _clean(scan, config)
    if config.center_px is None:
        peak = _peak(counts, name)
    else:
        peak = config.center_px
        if not all(0 <= p < n for p, n in zip(peak, shape, strict=True)):
            raise InputError(f"{name}: the centre {peak} lies outside of the scan of {_by(shape)} voxels")
    side = _side(shape, peak, config.side, name)
    first = tuple(int(p) - side // 2 for p in peak)
    counts, bad, outside = _cube(np.where(bad | (counts < config.threshold), 0, counts), bad, first, side)
    if counts.sum() <= 0:
        raise InputError(f"{name}: no counts are left above {config.threshold:g}; lower --threshold")
    remarks += [f"cube of {side} voxels about the peak at {tuple(int(p) for p in peak)} of {_by(shape)}"]
    if outside:
        remarks.append(f"{outside} planes of the cube lie outside of the scan: left out like bad pixels")
    return Pattern(name, counts, bad, scan.geometry, first, tuple(remarks))  # type: ignore[arg-type]


def _cube(
    counts: NDArray[np.float32], bad: NDArray[np.bool_], first: tuple[int, ...], side: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_], int]:
    """Counts and bad pixels of the cube that begins at ``first``, and how many of its planes were not measured (bad, too)."""
    beyond = [(max(0, -f), max(0, f + side - n)) for f, n in zip(first, counts.shape, strict=True)]
    part = tuple(slice(max(0, f), f + side) for f in first)
    outside = sum(map(sum, beyond))
    return np.pad(counts[part], beyond), np.pad(bad[part], beyond, constant_values=True), outside


def _clean(scan: Scan, config: PrepareConfig) -> tuple[NDArray[np.float32], NDArray[np.bool_], list[str]]:
    """Counts, 0 where they mean nothing and saturated ones as they are (the peak lies among them), bad pixels, and remarks."""
    counts, bad, remarks = scan.counts, scan.bad_pixels.copy(), [*scan.remarks]
    broken = ~np.isfinite(counts)
    if broken.any():
        bad |= broken
        counts = np.where(broken, 0, counts)
        remarks.append(f"{int(broken.sum())} values that are no numbers: left out like bad pixels")
    negative = (counts < 0) & ~bad
    if negative.any() and not config.negative_bad:
        raise InputError(
            f"{scan.name}: {int(negative.sum())} negative counts (smallest {counts.min():g}); --negative-bad leaves these "
            f"pixels out"
        )
    bad |= counts < 0
    good = np.where(bad, 0, counts)
    if not good.any():
        raise InputError(f"{scan.name}: all counts are zero; check the file, the dataset or the mask")
    if config.saturation is not None:
        saturated = good >= config.saturation
        bad |= saturated
        remarks.append(f"{int(saturated.sum())} saturated voxels left out like bad pixels")
    elif (plateau := _plateau(good)) is not None:
        raise InputError(
            f"{scan.name}: {plateau[1]} voxels share the largest count {plateau[0]:g}: saturated; --saturation "
            f"{plateau[0]:g} leaves "
            "them out"
        )
    return good.astype(np.float32), bad, remarks


def _plateau(counts: NDArray) -> tuple[float, int] | None:
    """The largest count and how many voxels share it, where they are too many for chance."""
    top = float(counts.max())
    shared = int((counts == top).sum())
    return (top, shared) if shared >= 4 and top >= 100 else None


def _peak(counts: NDArray[np.float32], name: str) -> tuple[int, ...]:
    """Brightest voxel beside the brightest place after a blur (so that no hot pixel is it); it must be alone and away from the
    border."""
    smooth = ndimage.gaussian_filter(counts, 1.0)
    near = np.array(np.unravel_index(int(smooth.argmax()), smooth.shape))
    around = tuple(slice(max(0, p - 1), p + 2) for p in near)
    peak = np.array(np.unravel_index(int(counts[around].argmax()), counts[around].shape)) + [s.start for s in around]
    edge = [min(p, n - 1 - p) for p, n in zip(peak, counts.shape, strict=True)]
    if min(edge) < SMALLEST // 4:
        axis = int(np.argmin(edge))
        raise InputError(
            f"{name}: the peak at {tuple(int(p) for p in peak)} is {edge[axis]} voxels from the border of axis {axis}; "
            f"the pattern is "
            "cut off: scan further, or name the peak with --center"
        )
    _only_peak(counts, peak, name)
    return tuple(int(p) for p in peak)


def _only_peak(counts: NDArray[np.float32], peak: NDArray[np.int64], name: str, share: float = 0.2) -> None:
    """Refuse a second peak: a blob of ``share`` of the first one's, an eighth of the axes or more away."""
    coarse = ndimage.gaussian_filter(counts, [max(1.0, n / 40) for n in counts.shape])
    distance = [(np.arange(n) - p) / n for n, p in zip(counts.shape, peak, strict=True)]
    far = distance[0][:, None, None] ** 2 + distance[1][:, None] ** 2 + distance[2] ** 2 > (1 / 8) ** 2
    top = ndimage.maximum_filter(coarse, 5) == coarse
    found = np.argwhere(far & top & (coarse > share * coarse[tuple(peak)]))
    if len(found):
        raise InputError(
            f"{name}: several peaks: at {tuple(int(p) for p in peak)} and {tuple(int(p) for p in found[0])}; choose one "
            f"with --center "
            "Z Y X and a --side that leaves the other out"
        )


def _side(shape: tuple[int, ...], peak: tuple[int, ...], wanted: int | None, name: str) -> int:
    """Side of the cube: at most ``_OUTSIDE`` of it may lie beyond the scan, as a peak is seldom right in the middle."""
    near = min(min(p, n - p) for p, n in zip(peak, shape, strict=True))
    fits = min(*shape, int(near / (0.5 - _OUTSIDE)) // 2 * 2)
    if wanted is not None and wanted > fits:
        raise InputError(
            f"{name}: a cube of {wanted} about the peak {tuple(int(p) for p in peak)} leaves the scan; at most {fits} fit"
        )
    if fits < SMALLEST:
        raise InputError(
            f"{name}: only {fits} voxels fit about the peak {tuple(int(p) for p in peak)} of {_by(shape)}; at least "
            f"{SMALLEST} are needed: "
            "the peak is too near the border"
        )
    return wanted or max(s for s in _SIDES if s <= fits)


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
