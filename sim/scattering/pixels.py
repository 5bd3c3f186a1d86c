"""The pixels of a flat detector seen from the interaction point: scattering vectors, solid angle, polarisation."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from sorter.core.errors import InputError
from sorter.core.geometry import Geometry, two_theta_rad


def detector_geometry(
    shape_px: tuple[int, int] = (128, 128),
    wavelength_m: float = 13.5e-9,
    edge_two_theta_rad: float = math.radians(30),
    pixel_size_m: float = 1e-4,
    beam_center_px: tuple[float, float] | None = None,
) -> Geometry:
    """A flat detector whose nearer edge, seen from its middle, stands at ``edge_two_theta_rad``.

    Raises InputError where the angle is not within (0, 90) degrees.
    """
    if not 0 < edge_two_theta_rad < math.pi / 2:
        raise InputError(
            f"detector edge at {math.degrees(edge_two_theta_rad):.4g} degrees: a flat detector spans 0 to 90"
        )
    distance = min(shape_px) / 2 * pixel_size_m / math.tan(edge_two_theta_rad)
    center = beam_center_px or ((shape_px[0] - 1) / 2, (shape_px[1] - 1) / 2)
    return Geometry(shape_px, pixel_size_m, distance, wavelength_m, center, beam_center_source="option")


def wavenumber_inv_m(geometry: Geometry) -> float:
    """k = 2 pi / wavelength. Raises InputError where the geometry is incomplete."""
    if not geometry.has_q:
        raise InputError("far field: the geometry needs pixel size, distance, wavelength and beam centre")
    return 2 * math.pi / geometry.wavelength_m


@lru_cache(maxsize=16)
def pixel_q_inv_m(geometry: Geometry) -> tuple[Tensor, Tensor, Tensor]:
    """Scattering vector (qx, qy, qz) of each pixel, three (ny, nx) float64 tensors, 1/m; tangent mapping.

    A pixel at transverse position (X, Y) sees the direction (X, Y, distance) / r; q = k (direction - z), so qz <= 0.
    """
    k = wavenumber_inv_m(geometry)
    cy, cx = geometry.center_px()
    y, x = np.mgrid[: geometry.shape_px[0], : geometry.shape_px[1]]
    tx = torch.from_numpy((x - cx) * geometry.pixel_size_m / geometry.distance_m)
    ty = torch.from_numpy((y - cy) * geometry.pixel_size_m / geometry.distance_m)
    cosine = 1 / torch.sqrt(1 + tx * tx + ty * ty)
    return k * tx * cosine, k * ty * cosine, k * (cosine - 1)


def cos_two_theta(geometry: Geometry) -> Tensor:
    """cos(two_theta) of each pixel, (ny, nx) float64."""
    return torch.from_numpy(np.cos(two_theta_rad(geometry)))


def solid_angle_sr(geometry: Geometry) -> Tensor:
    """Solid angle of each pixel, (ny, nx) float64: pixel area / distance^2 times cos^3(two_theta)."""
    return (geometry.pixel_size_m / geometry.distance_m) ** 2 * cos_two_theta(geometry) ** 3


def polarisation(geometry: Geometry, direction: str = "x") -> Tensor:
    """Polarisation factor of each pixel, (ny, nx) float64: 1 - (s . e)^2 for light polarised along e = "x" or "y".

    "none": unpolarised, (1 + cos^2(two_theta)) / 2. s is the direction of the scattered ray.
    Raises InputError for another direction.
    """
    qx, qy, _ = pixel_q_inv_m(geometry)
    k = wavenumber_inv_m(geometry)
    along = {"x": (qx / k) ** 2, "y": (qy / k) ** 2, "none": ((qx / k) ** 2 + (qy / k) ** 2) / 2}
    if direction not in along:
        raise InputError(f"polarisation {direction!r}: give one of {', '.join(along)}")
    return 1 - along[direction]


def intensity(field: Tensor, geometry: Geometry) -> Tensor:
    """Differential cross-section (k cos(two_theta) / 2 pi)^2 |F|^2 in m^2/sr, (B, ny, nx), of far fields ``field`` in m^2."""
    k = wavenumber_inv_m(geometry)
    factor = (k / (2 * math.pi) * cos_two_theta(geometry)).to(field.real)
    scaled = field * factor
    return scaled.real**2 + scaled.imag**2
