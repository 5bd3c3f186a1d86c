"""Coherent diffraction around a Bragg peak: the Fourier transform of density times exp(i Q.u)."""

from __future__ import annotations

import torch
from torch import Tensor

from sorter.core.errors import InputError


def bragg_field(density: Tensor, phase_rad: Tensor) -> Tensor:
    """Far field (B, nz, ny, nx) complex about the Bragg peak Q, which is in the middle (index n // 2 of each axis).

    density (B, nz, ny, nx) and phase_rad of the same shape, Q.u with u the displacement field (Robinson & Harder 2009). The
    object should fill at most half of each axis, or speckles are not resolved. Unnormalised forward transform, real and
    reciprocal space both centred. Raises InputError where the shapes differ.
    """
    if density.shape != phase_rad.shape or density.ndim != 4:
        raise InputError(
            f"Bragg: density {tuple(density.shape)} and phase {tuple(phase_rad.shape)} must both be (B, nz, ny, nx)"
        )
    axes = (1, 2, 3)
    crystal = density * torch.exp(1j * phase_rad)
    return torch.fft.fftshift(torch.fft.fftn(torch.fft.ifftshift(crystal, axes), dim=axes), axes)


def displacement_phase(displacement_m: Tensor, q_inv_m: Tensor) -> Tensor:
    """Phase Q.u (B, nz, ny, nx) of ``displacement_m`` (B, 3, nz, ny, nx), components x, y, z, for ``q_inv_m`` (3,)."""
    return torch.einsum("bczyx,c->bzyx", displacement_m, q_inv_m.to(displacement_m))
