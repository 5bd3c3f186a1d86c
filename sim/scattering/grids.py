"""Grids: the box in which a wave is carried through a particle, and the way from its spectrum to the pixels of a detector.

Lengths are in units of 1/k, wave numbers in units of k.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from sim.scattering.pixels import pixel_q_inv_m, wavenumber_inv_m
from sorter.core.errors import InputError
from sorter.core.geometry import Geometry

TAPS = 4
"""Width of the interpolation kernel in samples."""


@dataclass(frozen=True)
class Box:
    """points x points pixels of side ``pixel`` across the beam; ``planes`` planes at ``first + j distance`` along it."""

    points: int
    pixel: float
    planes: int
    first: float
    distance: float
    crop: int
    columns: int

    @property
    def width(self) -> float:
        """Side of the box."""
        return self.points * self.pixel

    def wavenumbers(self, device: torch.device | str = "cpu") -> Tensor:
        """Transverse wave numbers of the discrete spectrum along one axis, (points,) float64."""
        return 2 * math.pi * torch.fft.fftfreq(self.points, self.pixel, dtype=torch.float64, device=device)

    def positions(self, device: torch.device | str = "cpu") -> Tensor:
        """Pixel centres along one axis, (points,) float64, symmetric about 0."""
        return (torch.arange(self.points, dtype=torch.float64, device=device) - (self.points - 1) / 2) * self.pixel

    @property
    def margin(self) -> int:
        """Pixels between the edge of the box and the square ``crop`` that holds the body."""
        return (self.points - self.crop) // 2

    def column_positions(self, dtype: torch.dtype, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """x and y of the sub-columns of the crop, two (columns^2 * crop^2,) tensors, sub-column index slowest."""
        c = self.columns
        centres = self.positions(device)[self.margin : self.margin + self.crop]
        shifts = ((torch.arange(c, dtype=torch.float64, device=device) + 0.5) / c - 0.5) * self.pixel
        sy, sx, y, x = torch.meshgrid(shifts, shifts, centres, centres, indexing="ij")
        return (x + sx).reshape(-1).to(dtype), (y + sy).reshape(-1).to(dtype)


@dataclass(frozen=True)
class Sampler:
    """From the spectrum (M, points, points) of the exit wave to the pixels of a detector.

    A flat detector's pixels are no grid in q. The spectrum is resampled to a q grid a few times finer than the box demands,
    by two matrix products (rows, columns), and from there interpolated with a Kaiser-Bessel kernel of `TAPS` samples per
    axis, whose apodisation in real space is divided out within the matrices (a non-uniform FFT).
    """

    rows: Tensor
    columns: Tensor
    weights: Tensor
    weights_back: Tensor
    shape_px: tuple[int, int]

    def __call__(self, spectrum: Tensor) -> Tensor:
        """Far fields (M, ny, nx) of ``spectrum`` (M, points, points)."""
        grid = self.rows @ spectrum @ self.columns
        flat = torch.view_as_real(grid).flatten(1, 2).transpose(0, 1).flatten(1).contiguous()
        pixels = _SparseProduct.apply(flat, self.weights, self.weights_back)
        return torch.view_as_complex(pixels.unflatten(1, (-1, 2)).transpose(0, 1).contiguous()).unflatten(1, self.shape_px)


class _SparseProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, dense: Tensor, matrix: Tensor, transposed: Tensor) -> Tensor:
        ctx.transposed = transposed
        return matrix @ dense

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        return ctx.transposed @ gradient.contiguous(), None, None


def _kernel(distance: Tensor, beta: float) -> Tensor:
    """Kaiser-Bessel kernel at ``distance`` samples, zero beyond TAPS / 2."""
    inside = (1 - (2 * distance / TAPS) ** 2).clamp_min(0)
    return torch.special.i0(beta * inside.sqrt()) * (distance.abs() <= TAPS / 2)


def _kernel_transform(phase: Tensor, beta: float) -> Tensor:
    """Fourier transform of the kernel at ``phase`` = position times sample distance (|phase| < 2 beta / TAPS)."""
    root = (beta**2 - (TAPS * phase / 2) ** 2).clamp_min(1e-12).sqrt()
    return TAPS * torch.sinh(root) / root


@lru_cache(maxsize=32)
def sampler(
    points: int, pixel: float, geometry: Geometry, dtype: torch.dtype, device: str, oversampling: float = 2.5
) -> Sampler:
    """The `Sampler` of a box of ``points`` x ``points`` pixels of side ``pixel`` (1/k) onto the pixels of ``geometry``."""
    k = wavenumber_inv_m(geometry)
    qx, qy, _ = pixel_q_inv_m(geometry)
    step = 2 * math.pi / (oversampling * points * pixel)
    beta = math.pi * TAPS * (1 - 0.5 / oversampling) * 0.98
    axes = [_axis(q.reshape(-1) / k, points, pixel, step, beta) for q in (qy, qx)]
    (matrix_y, first_y, tap_y), (matrix_x, first_x, tap_x) = axes
    taps = torch.arange(TAPS)
    column = ((first_y[:, None] + taps)[..., None] * len(matrix_x) + (first_x[:, None] + taps)[:, None]).reshape(-1)
    value = (tap_y[..., None] * tap_x[:, None]).reshape(-1).to(dtype.to_real())
    pixel_of = torch.arange(qx.numel()).repeat_interleave(TAPS * TAPS)
    shape = (qx.numel(), len(matrix_y) * len(matrix_x))
    weights = torch.sparse_coo_tensor(torch.stack([pixel_of, column]), value, shape, check_invariants=False)
    back = torch.sparse_coo_tensor(torch.stack([column, pixel_of]), value, shape[::-1], check_invariants=False)
    return Sampler(
        matrix_y.to(dtype).to(device),
        matrix_x.T.to(dtype).to(device),
        weights.to_sparse_csr().to(device),
        back.to_sparse_csr().to(device),
        geometry.shape_px,
    )


def _axis(q: Tensor, points: int, pixel: float, step: float, beta: float) -> tuple[Tensor, Tensor, Tensor]:
    """Matrix (samples, points) from the spectrum to a q grid; first sample (K,) and kernel values (K, TAPS) per pixel."""
    low = math.floor(float(q.min()) / step) - TAPS // 2
    samples = math.ceil(float(q.max()) / step) + TAPS // 2 + 1 - low
    grid = (low + torch.arange(samples, dtype=torch.float64)) * step
    index = torch.arange(points, dtype=torch.float64)
    x = (index - (points - 1) / 2) * pixel
    transform = torch.exp(-1j * grid[:, None] * x) * pixel / _kernel_transform(x * step, beta)
    inverse = torch.exp(2j * math.pi * index[:, None] * index / points) / points
    at = q / step - low
    first = torch.ceil(at - TAPS / 2)
    taps = _kernel(at[:, None] - first[:, None] - torch.arange(TAPS), beta)
    return transform @ inverse, first.long(), taps


def good_size(minimum: float) -> int:
    """The smallest even FFT length with small factors that is at least ``minimum``.

    The lengths grow by a fifth or so, so that particles of like size share a grid.
    """
    for size in FFT_SIZES:
        if size >= minimum:
            return size
    raise InputError(
        f"far field: a particle needs {math.ceil(minimum)} grid points across, the limit is {FFT_SIZES[-1]}; "
        "make it smaller, or the detector's angle"
    )


FFT_SIZES = (16, 20, 24, 32, 40, 48, 56, 64, 72, 80, 96, 108, 128, 144, 160, 192, 240, 288, 320, 384, 480, 576, 768, 1024)
