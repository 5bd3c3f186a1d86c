"""The multislice Fourier transform of Stielow et al. 2020 (Appendix B), written down slice by slice: 192 slices,
absorption alone.

Slow, and independent of `sim.scattering`: it makes the frames on which a refinement with the fast models is tested.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from torch import Tensor

from recon.shape.solids import ABSORPTION_LENGTH_NM
from sim.orientation import rotation_matrix
from sim.particles import Shape
from sim.scattering import pixel_q_inv_m, polarisation, solid_angle_sr
from sorter.core.geometry import Geometry

SLICES = 192
_ACROSS = 160
_PER_SHANNON = 8


def msft_shares(shape: Shape, radius_nm: float, q: Tensor, geometry: Geometry) -> NDArray[np.float64]:
    """Shares (ny, nx) of the photons on the detector, by pixel, of one convex polyhedron.

    Each of 192 slices scatters what reaches it, dimmed by exp(-path / (2 absorption length)) on the way in; its Fourier transform
    is summed with the phase exp(-i qz z) on the Ewald sphere.
    """
    low, high, x = _columns(shape, radius_nm, q)
    qx, qy, _ = (v.numpy() * 1e-9 for v in pixel_q_inv_m(geometry))
    k = 2 * math.pi / (geometry.wavelength_m * 1e9)
    step = math.pi / radius_nm / _PER_SHANNON
    count = math.ceil(max(abs(qx).max(), abs(qy).max()) / step) + 3
    grid = np.arange(-count, count + 1) * step
    waves = np.exp(-1j * grid[:, None] * x).astype(np.complex64)
    qz = np.sqrt(np.maximum(k**2 - grid[:, None] ** 2 - grid**2, 0)) - k
    thickness = 2 * radius_nm / SLICES
    total, path = np.zeros((len(grid), len(grid)), np.complex64), np.zeros_like(low)
    for number in range(SLICES):
        bottom = number * thickness - radius_nm
        filled = np.clip(np.minimum(high, bottom + thickness) - np.maximum(low, bottom), 0, None)
        lit = filled * np.exp(-(path + filled / 2) / (2 * ABSORPTION_LENGTH_NM))
        path += filled
        if filled.any():
            slice_field = waves @ lit.astype(np.complex64) @ waves.T
            total += slice_field * np.exp(-1j * qz * (bottom + thickness / 2)).astype(np.complex64)
    at = [v / step + count for v in (qy, qx)]
    field = map_coordinates(total.real, at, order=3) + 1j * map_coordinates(total.imag, at, order=3)
    seen = np.abs(field) ** 2 * (solid_angle_sr(geometry) * polarisation(geometry)).numpy()
    return seen / seen.sum()


def _columns(shape: Shape, radius_nm: float, q: Tensor) -> tuple[NDArray, NDArray, NDArray]:
    """Entry and exit (ny, nx) of columns along the beam, equal where a column misses the body, and their positions, nm."""
    normals = (shape.normals[0] @ rotation_matrix(q.double()).T).numpy()
    offsets = shape.offsets[0].numpy() * radius_nm
    x = ((np.arange(_ACROSS) + 0.5) / _ACROSS * 2 - 1) * radius_nm
    low, high = np.full((2, _ACROSS, _ACROSS), [[[-radius_nm]], [[radius_nm]]])
    outside = np.zeros_like(low, bool)
    for (nx, ny, nz), d in zip(normals, offsets, strict=True):
        rest = d - nx * x[None, :] - ny * x[:, None]
        if abs(nz) < 1e-9:
            outside |= rest < 0
        elif nz > 0:
            high = np.minimum(high, rest / nz)
        else:
            low = np.maximum(low, rest / nz)
    high = np.where(outside | (high < low), low, high)
    return low, high, x
