"""What a flat detector does to an intensity per solid angle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.detector.config import Polarization
from sorter.core.geometry import Geometry, azimuth_rad, two_theta_rad

Array = NDArray[np.float64]


def solid_angle_sr(geometry: Geometry) -> Array:
    """Solid angle of each pixel, (ny, nx), sr: (p / D)^2 cos^3(two_theta).

    A pixel is seen from distance D / cos(two_theta) and inclined by two_theta.
    """
    assert geometry.pixel_size_m is not None and geometry.distance_m is not None
    return (geometry.pixel_size_m / geometry.distance_m) ** 2 * np.cos(two_theta_rad(geometry)) ** 3


def polarization_factor(geometry: Geometry, polarization: Polarization) -> Array:
    """Dipole factor 1 - (e . s)^2 of each pixel, (ny, nx), for a beam polarised along x or y; s: direction of the ray.

    Unpolarised light: (1 + cos^2 two_theta) / 2.
    """
    two_theta, azimuth = two_theta_rad(geometry), azimuth_rad(geometry)
    if polarization == "x":
        return 1 - (np.sin(two_theta) * np.cos(azimuth)) ** 2
    if polarization == "y":
        return 1 - (np.sin(two_theta) * np.sin(azimuth)) ** 2
    if polarization == "unpolarized":
        return (1 + np.cos(two_theta) ** 2) / 2
    return np.ones(geometry.shape_px)


def scattering_vectors_inv_nm(geometry: Geometry) -> tuple[Array, Array, Array]:
    """Tangent mapping of the flat detector onto the Ewald sphere: (qx, qy, qz) of each pixel, each (ny, nx), 1/nm.

    q = k (s - z) with s the unit ray to the pixel: qx = k sin(two_theta) cos(azimuth), qz = k (cos(two_theta) - 1) <= 0.
    """
    assert geometry.wavelength_m is not None
    k = 2 * np.pi / (geometry.wavelength_m * 1e9)
    two_theta, azimuth = two_theta_rad(geometry), azimuth_rad(geometry)
    transverse = k * np.sin(two_theta)
    return transverse * np.cos(azimuth), transverse * np.sin(azimuth), k * (np.cos(two_theta) - 1)
