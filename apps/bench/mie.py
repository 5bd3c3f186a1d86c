"""Mie theory as the truth for far fields of spheres, and how far a frame is from it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sorter.core.errors import InputError

Array = NDArray[np.float64]


def cross_section(two_theta_rad: Array, wavelength_m: float, index: complex, radius_m: float) -> Array:
    """Unpolarised differential cross-section of a sphere at ``two_theta_rad``, same shape, m^2/sr.

    Raises InputError where miepython, which is needed for tests and benches alone, is not installed.
    """
    try:
        import miepython
    except ImportError as error:
        raise InputError("Mie theory needs miepython: pip install miepython") from error
    k = 2 * math.pi / wavelength_m
    theta = np.linspace(0, float(two_theta_rad.max()) + 0.01, 6000)
    s1, s2 = miepython.S1_S2(complex(index.real, -index.imag), k * radius_m, np.cos(theta), norm="wiscombe")
    return np.interp(two_theta_rad, theta, (np.abs(s1) ** 2 + np.abs(s2) ** 2) / 2 / k**2)


def radial_error_dex(frame: Array, truth: Array, two_theta_rad: Array, up_to_deg: float) -> float:
    """rms of log10 of the radial averages in half-degree bins up to ``up_to_deg``, each curve normalised to its first bin."""
    bins = (np.degrees(two_theta_rad) / 0.5).astype(int).ravel()
    count = np.bincount(bins)
    used = (np.arange(len(count)) < up_to_deg / 0.5) & (count > 0)
    curves = [np.bincount(bins, f.ravel())[used] / count[used] for f in (frame, truth)]
    difference = np.log10(curves[0] / curves[0][0]) - np.log10(curves[1] / curves[1][0])
    return float(np.sqrt(np.mean(difference**2)))


def pixel_error_dex(frame: Array, truth: Array, where: Array) -> float:
    """rms of log10(frame / truth) over the pixels ``where``; leading axes are frames."""
    difference = np.log10(frame[..., where] / truth[..., where])
    return float(np.sqrt(np.mean(difference**2)))
