"""From the discrete spectrum of a box to the pixels of a flat detector, which are no grid in q.

The spectrum is resampled to a q grid a few times finer than the box demands by two matrix products, and from there
interpolated with a Kaiser-Bessel kernel of `TAPS` samples per axis, whose apodisation in real space is divided out
within the matrices: a non-uniform discrete Fourier transform (Dutt & Rokhlin 1993; Fessler & Sutton 2003).
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from sim.scattering.grids import Box
from sim.scattering.pixels import pixel_q_inv_m, wavenumber_inv_m
from sorter.core.geometry import Geometry

TAPS = 4
"""Width of the interpolation kernel in samples."""
OVERSAMPLING = 3.0
"""Samples of the q grid per wave number of the box; the interpolation errs by about 1e-4 of the field."""


@dataclass(frozen=True)
class Sampler:
    """rows (Qy, n), columns (n, Qx) real: to the q grid; weights (pixels, Qy Qx), weights_back (its transpose): sparse."""

    rows: Tensor
    columns: Tensor
    weights: Tensor
    weights_back: Tensor
    shape_px: tuple[int, int]

    def __call__(self, spectrum: Tensor) -> Tensor:
        """Far fields (M, ny, nx) of ``spectrum`` (M, n, n) at q_-band .. q_band."""
        real = torch.stack([spectrum.real, spectrum.imag])
        grid = (self.rows @ (real @ self.columns)).flatten(2).permute(2, 1, 0).flatten(1).contiguous()
        pixels = _SparseProduct.apply(grid, self.weights, self.weights_back)
        return torch.view_as_complex(pixels.unflatten(1, (-1, 2)).transpose(0, 1).contiguous()).unflatten(
            1, self.shape_px
        )


class _SparseProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, dense: Tensor, matrix: Tensor, transposed: Tensor) -> Tensor:
        ctx.transposed = transposed
        return matrix @ dense

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        return ctx.transposed @ gradient.contiguous(), None, None


@lru_cache(maxsize=32)
def sampler(box: Box, geometry: Geometry, dtype: torch.dtype, device: torch.device) -> Sampler:
    """The `Sampler` from ``box`` to the pixels of ``geometry``, of real ``dtype``."""
    k = wavenumber_inv_m(geometry)
    qx, qy, _ = pixel_q_inv_m(geometry)
    (rows, first_y, tap_y), (columns, first_x, tap_x) = (_axis(q.reshape(-1) / k, box) for q in (qy, qx))
    taps = torch.arange(TAPS)
    place = ((first_y[:, None] + taps)[..., None] * len(columns) + (first_x[:, None] + taps)[:, None]).reshape(-1)
    value = (tap_y[..., None] * tap_x[:, None]).reshape(-1).to(dtype)
    pixel = torch.arange(qx.numel()).repeat_interleave(TAPS * TAPS)
    shape = (qx.numel(), len(rows) * len(columns))
    sparse = [
        csr_matrix(torch.stack(pair), value, size).to(device)
        for pair, size in (((pixel, place), shape), ((place, pixel), shape[::-1]))
    ]
    return Sampler(rows.to(device, dtype), columns.T.contiguous().to(device, dtype), *sparse, geometry.shape_px)


def csr_matrix(places: Tensor, values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The sparse matrix of ``shape`` with ``values`` (K,) at ``places`` (2, K); values at one place are added."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_coo_tensor(places, values, shape, check_invariants=False).to_sparse_csr()


def _axis(q: Tensor, box: Box) -> tuple[Tensor, Tensor, Tensor]:
    """Matrix (samples, 2 band + 1) from the spectrum to a q grid; first sample (K,) and kernel values (K, TAPS) per pixel."""
    step = 2 * math.pi / (OVERSAMPLING * box.width)
    beta = math.pi * TAPS * (1 - 0.5 / OVERSAMPLING) * 0.98
    low = math.floor(float(q.min()) / step) - TAPS // 2
    samples = math.ceil(float(q.max()) / step) + TAPS // 2 + 1 - low
    grid = (low + torch.arange(samples, dtype=torch.float64)) * step
    points = 4 * box.band + 4
    x = ((torch.arange(points, dtype=torch.float64) + 0.5) / points - 0.5) * box.width
    band = torch.cat([-box.wavenumbers().flip(0)[:-1], box.wavenumbers()])
    window = box.width / points / _kernel_transform(x * step, beta)
    matrix = (torch.exp(-1j * grid[:, None] * x) * window) @ torch.exp(1j * x[:, None] * band)
    at = q / step - low
    first = torch.ceil(at - TAPS / 2)
    taps = _kernel(at[:, None] - first[:, None] - torch.arange(TAPS), beta)
    return matrix.real.contiguous(), first.long(), taps


def _kernel(distance: Tensor, beta: float) -> Tensor:
    """Kaiser-Bessel kernel at ``distance`` samples, zero beyond TAPS / 2."""
    inside = (1 - (2 * distance / TAPS) ** 2).clamp_min(0)
    return torch.special.i0(beta * inside.sqrt()) * (distance.abs() <= TAPS / 2)


def _kernel_transform(phase: Tensor, beta: float) -> Tensor:
    """Fourier transform of the kernel at ``phase`` = position times sample distance (|phase| < 2 beta / TAPS)."""
    root = (beta**2 - (TAPS * phase / 2) ** 2).clamp_min(1e-12).sqrt()
    return TAPS * torch.sinh(root) / root
