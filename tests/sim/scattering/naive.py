"""Slow truths: the propagation plane by plane with whole FFTs, and Mie theory binned like a detector's frame."""

from __future__ import annotations

import numpy as np

from apps.bench import mie
from sorter.core.geometry import Geometry, two_theta_rad


def multislice(
    filling: np.ndarray, index: complex, points: int, pixel: float, first: float, distance: float
) -> np.ndarray:
    """Spectrum FT(exit wave - 1), (points, points) in FFT order, back at z = 0, of one body; k = 1.

    filling (planes, points, points) on the pixels ``(i - (points - 1) / 2) pixel``. The scheme's formulas, written down
    one after the other, with nothing left out where it is zero.
    """
    q = 2 * np.pi * np.fft.fftfreq(points, pixel)
    qy, qx = np.meshgrid(q, q, indexing="ij")
    radius = np.hypot(qy, qx)
    kz = np.sqrt(np.maximum(1 - radius**2, 1e-3))
    qz = kz - 1
    kn = np.sqrt(index**2 - (1 - kz**2))
    a = 1j * (index - 1)
    t = np.exp(a * distance) - 1
    mu = a - 1j * qz
    taper = np.cos(np.clip((radius - 0.80) / 0.12, 0, 1) * np.pi / 2) ** 2

    def sinc(x: np.ndarray) -> np.ndarray:
        return np.sinc(x / np.pi)

    w = t * taper * (kn - kz) / (index - 1) * ((np.exp(mu * distance) - 1) / mu * a / t * np.exp(0.5j * qz * distance))
    w = w / np.maximum(sinc(qz * distance / 2), 0.4)
    w = w / (np.maximum(sinc(qy * pixel / 2), 0.5) * np.maximum(sinc(qx * pixel / 2), 0.5))
    bend = 2 - 4 / (np.exp(a * distance / 2) + 1)
    # Phase of the pixel grid, which is symmetric about 0 and so begins at -(points - 1) / 2 pixels.
    origin = np.exp(1j * (qy + qx) * (points - 1) / 2 * pixel)
    wave = np.zeros((points, points), complex)
    wave[0, 0] = points**2
    for plane, share in enumerate(filling):
        share = share - bend * share * (1 - share)
        wave = wave + w * origin * np.fft.fft2(share * np.fft.ifft2(wave / origin))
        if plane < len(filling) - 1:
            wave = wave * np.exp(1j * qz * distance)
    wave[0, 0] -= points**2
    return wave * np.exp(-1j * qz * (first + (len(filling) - 1) * distance)) * pixel**2


def mie_cross_section(geometry: Geometry, index: complex, radius_m: float) -> np.ndarray:
    """Unpolarised differential cross-section of a sphere, (ny, nx), m^2/sr."""
    return mie.cross_section(two_theta_rad(geometry), geometry.wavelength_m, index, radius_m)


def radial_error_dex(frame: np.ndarray, truth: np.ndarray, geometry: Geometry, up_to_deg: float) -> float:
    """rms of log10 of the radial averages."""
    return mie.radial_error_dex(frame, truth, two_theta_rad(geometry), up_to_deg)
