"""The box in which a wave is carried through a particle, and the transforms between its two spaces.

Lengths are in units of 1/k, wave numbers in units of k. Across the beam the wave is periodic with the box, so its spectrum is
discrete; only |q| below the cut-off of the propagation is kept, and in real space only the square that holds the body is ever
looked at. Both grids are symmetric about 0. So each axis is split into its even and its odd part, for which the transform
is a small real matrix (cosines, sines): four times fewer multiplications than with complex exponentials, and with the
truncation to band and square several times faster than padded FFTs of the same accuracy.

Layout of a wave: ``(2, n, 2, n, B)``: parity (even, odd) or sign (+, -) along y, |y|; the same along x; the batch last.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

CUT_OFF = 0.92
"""Transverse wave numbers from here on are not carried."""


@dataclass(frozen=True)
class Box:
    """A periodic square of side ``width`` across the beam, pixels of side ``pixel`` in its middle, planes along the beam.

    half: pixels from the axis to the edge of the square that holds the body. band: largest index j of the wave numbers
    2 pi j / width. planes at ``first + i distance``. columns: sub-columns per pixel and axis.
    """

    width: float
    pixel: float
    half: int
    band: int
    planes: int
    first: float
    distance: float
    columns: int

    @property
    def radius(self) -> float:
        """Radius of the largest body that fits."""
        return -self.first

    def wavenumbers(self, device: torch.device | str = "cpu") -> Tensor:
        """q_j >= 0 along one axis, (band + 1,) float64."""
        return 2 * math.pi / self.width * torch.arange(self.band + 1, dtype=torch.float64, device=device)

    def positions(self, device: torch.device | str = "cpu") -> Tensor:
        """x > 0 of the pixel centres along one axis, (half,) float64."""
        return (torch.arange(self.half, dtype=torch.float64, device=device) + 0.5) * self.pixel

    def pixel_positions(self, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """x and y of the pixels in the order of the layout, two (4 half^2,) float64 tensors."""
        both = torch.stack([self.positions(device), -self.positions(device)]).reshape(-1)
        y, x = torch.meshgrid(both, both, indexing="ij")
        return x.reshape(-1), y.reshape(-1)


@dataclass(frozen=True)
class Transform:
    """Both transforms of a `Box`: to_real (2, half, band + 1), to_spectrum (2, band + 1, half), real matrices, one per parity.

    to_real_x (4 half, half, band + 1), to_spectrum_x (4 band + 4, band + 1, half): the same once per row, for the other axis.
    """

    to_real: Tensor
    to_spectrum: Tensor
    to_real_x: Tensor
    to_spectrum_x: Tensor

    def real(self, spectrum: Tensor) -> Tensor:
        """Wave on the pixels, signs (2, half, 2, half, B), of ``spectrum`` in parities (2, band + 1, 2, band + 1, B)."""
        return _fold(_fold(_apply(self.to_real, self.to_real_x, spectrum), 0), 2)

    def spectrum(self, wave: Tensor) -> Tensor:
        """Spectrum in parities of a ``wave`` that vanishes beyond the pixels; inverse layout of `real`."""
        return _apply(self.to_spectrum, self.to_spectrum_x, _fold(_fold(wave, 0), 2))


def _apply(matrices: Tensor, matrices_x: Tensor, values: Tensor) -> Tensor:
    """``matrices`` (2, r, n), one per parity, along y and x of ``values`` (2, n, 2, n, B) complex."""
    _, r, n = matrices.shape
    batch = values.shape[-1]
    along_y = torch.bmm(matrices, torch.view_as_real(values).reshape(2, n, -1))
    along_x = torch.bmm(matrices_x, along_y.reshape(4 * r, n, 2 * batch))
    return torch.view_as_complex(along_x.reshape(2, r, 2, r, batch, 2))


def _fold(values: Tensor, axis: int) -> Tensor:
    """Sum and difference of the two halves along ``axis``: parities to signs and back (but for a factor of 2)."""
    first, second = values.unbind(axis)
    return torch.stack([first + second, first - second], axis)


def transform(box: Box, dtype: torch.dtype, device: torch.device | str = "cpu") -> Transform:
    """The transforms of ``box`` for real ``dtype``.

    A spectrum holds U_j + U_-j (even; U_0 for j = 0) and i (U_j - U_-j) (odd) of u(x) = sum_j U_j exp(i q_j x).
    """
    phase = box.wavenumbers(device) * box.positions(device)[:, None]
    waves = torch.stack([torch.cos(phase), torch.sin(phase)])
    weight = torch.full((box.band + 1,), 2 * box.pixel / box.width, dtype=torch.float64, device=device)
    weight[0] /= 2
    to_real, to_spectrum = waves.to(dtype), (weight[:, None] * waves.mT).contiguous().to(dtype)
    per_row = [m[None].expand(2 * m.shape[1], -1, -1, -1).flatten(0, 1) for m in (to_real, to_spectrum)]
    return Transform(to_real, to_spectrum, *per_row)


def unfolded(spectrum: Tensor) -> Tensor:
    """U (B, 2 band + 1, 2 band + 1) at q_-band .. q_band of a ``spectrum`` in parities (2, band + 1, 2, band + 1, B)."""
    return _both_signs(_both_signs(spectrum, 0), 1).permute(2, 0, 1).contiguous()


def _both_signs(values: Tensor, axis: int) -> Tensor:
    even, odd = values.unbind(axis)
    rest = even.shape[axis] - 1
    zero, even, odd = even.narrow(axis, 0, 1), even.narrow(axis, 1, rest), odd.narrow(axis, 1, rest)
    return torch.cat([((even + 1j * odd) / 2).flip(axis), zero, (even - 1j * odd) / 2], axis)
