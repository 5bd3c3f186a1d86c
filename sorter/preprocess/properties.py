"""A frame in a few numbers that a physicist would name: brightness, extent, fringes, angular symmetry."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sorter.core.frames import FrameStore
from sorter.preprocess.angular import MAX_ORDER, angular_power, make_rings
from sorter.preprocess.radial import RadialGrid, radial_grid

#: A fringe must show this many times the median power of the radial spectrum, and repeat at least this often.
_CLEAR_PEAK, _FEWEST_FRINGES = 12.0, 3.0
_PADDED = 1024
_BATCH_BYTES = 32 << 20


def property_names(store: FrameStore) -> tuple[str, ...]:
    """Names, with their unit, of the properties of a store's frames: of `frame_properties`."""
    size = "size_nm" if store.geometry.has_q else "fringe_spacing_px"
    half = "half_radius_inv_nm" if store.geometry.has_q else "half_radius_px"
    return ("signal", half, size, "fringe_depth", *(f"order_{m}" for m in range(1, MAX_ORDER + 1)))


def frame_properties(store: FrameStore, ids: NDArray[np.uint64]) -> dict[str, NDArray[np.float64]]:
    """Properties (N,) of the frames ``ids``, NaN where a frame does not show one.

    signal: sum over the good pixels, in the store's unit. half_radius: |q| (or pixels) inside which half of the radial profile
    lies. size_nm: 2 pi over the spacing of the radial fringes in |q|, the diameter of a sphere (small angles); without
    geometry the spacing itself. fringe_depth: root mean square of the logarithmic radial profile about its smooth fall.
    order_m: root of the `angular_power` of m-fold modulation, 0 where noise alone could make it.
    """
    rings, radial = make_rings(store.geometry, store.bad_pixels), radial_grid(store.geometry, store.bad_pixels)
    names = property_names(store)
    out = np.full((len(ids), len(names)), np.nan)
    size = max(1, _BATCH_BYTES // max(1, store.dtype.itemsize * int(np.prod(store.shape_px))))
    for start in range(0, len(ids), size):
        for i, frame in enumerate(store.read(ids[start : start + size]), start):
            power = angular_power(rings, frame, store.unit == "photon")
            out[i, 0] = float(np.where(store.bad_pixels | ~np.isfinite(frame), 0, frame).sum(dtype=np.float64))
            out[i, 1:4] = radial_properties(radial, frame)
            if power is not None:
                out[i, 4:] = np.sqrt(np.maximum(power, 0))
    return dict(zip(names, out.T))


def radial_properties(radial: RadialGrid, frame: NDArray) -> tuple[float, float, float]:
    """Half radius, size (2 pi over the fringe spacing, or the spacing in pixels) and fringe depth of a frame (ny, nx)."""
    profile = radial.profile(frame)
    number = np.bincount(radial.ring[radial.ring >= 0].ravel(), minlength=len(radial.at))
    bright = np.isfinite(profile) & (np.nan_to_num(profile) * number >= 5)  # five photons, or units, make a ring
    if bright.sum() < 16:
        return np.nan, np.nan, np.nan
    first, last = np.flatnonzero(bright)[[0, -1]]
    inside = slice(first, last + 1)
    at, values = radial.at[inside], np.nan_to_num(np.maximum(profile[inside], 0))
    total = np.cumsum(values)
    half = float(np.interp(total[-1] / 2, total, at)) if total[-1] > 0 else np.nan
    spacing, depth = fringes(at, np.log(values + 0.1 * np.median(values) + 1e-12))
    if spacing is None:
        return half, np.nan, depth
    return half, (2 * np.pi / spacing if radial.unit == "1/nm" else spacing), depth


def fringes(at: NDArray[np.float64], logs: NDArray[np.float64]) -> tuple[float | None, float]:
    """Spacing of the fringes of a logarithmic profile ``logs`` (n,) at radii ``at`` (n,), and their depth (root mean square).

    The smooth fall (a cubic) is taken off; the spacing is that of the strongest line of the windowed spectrum with at least
    three fringes in sight, None where no line stands out.
    """
    n = len(at)
    even = np.linspace(at[0], at[-1], n)
    values = np.interp(even, at, logs)
    x = np.linspace(-1, 1, n)
    rest = values - np.polynomial.Polynomial.fit(x, values, 3)(x)
    power = np.abs(np.fft.rfft(rest * np.hanning(n), _PADDED)) ** 2
    span = even[-1] - even[0]
    repeats = np.arange(len(power)) * n / _PADDED  # fringes in sight
    seen = (repeats >= _FEWEST_FRINGES) & (repeats <= n / 3)
    if not seen.any():
        return None, float(rest.std())
    best = int(np.flatnonzero(seen)[power[seen].argmax()])
    clear = (
        power[best] > _CLEAR_PEAK * np.median(power[seen]) and power[best] >= power[best - 1]
    )  # no flank of a smooth fall
    return (span / repeats[best] if clear else None), float(rest.std())
