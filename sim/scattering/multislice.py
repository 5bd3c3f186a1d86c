"""The far field of a wave carried through the body slice by slice: one-way, non-paraxial, with soft slices.

exp(+ikz - i omega t), the beam along +z. Lengths are in units of 1/k, so k = 1 below; qz = kz - 1 <= 0.
Each plane adds the scattered wave W FFT[filling FFT^-1 U] to the spectrum U; between planes U takes the free-space phase
exp(i qz D). W holds the exact response of a homogeneous slice of thickness D, t = exp(a D) - 1 along the beam, and takes
out the smoothing by the soft slices (sinc along z) and by the pixels (sinc across).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sim.scattering.grids import Box, Sampler


@dataclass(frozen=True)
class Propagation:
    """What depends on the box alone: step (N, N) phase from plane to plane, back (N, N) from the last plane to z = 0."""

    kz: Tensor
    taper: Tensor
    smoothing: Tensor
    step: Tensor
    back: Tensor


def propagation(box: Box, outer: float, dtype: torch.dtype, device: torch.device | str) -> Propagation:
    """Tables of ``box`` for complex ``dtype``; ``outer``: largest transverse wave number (units of k) that is looked at."""
    q = box.wavenumbers(device)
    square = q[:, None] ** 2 + q**2
    radius = square.sqrt()
    kz = (1 - square).clamp_min(1e-3).sqrt()
    qz = kz - 1
    sinc = torch.sinc(q * box.pixel / (2 * math.pi)).clamp_min(0.5)
    along = torch.sinc(qz * box.distance / (2 * math.pi)).clamp_min(0.4)
    last = box.first + (box.planes - 1) * box.distance
    back = torch.exp(-1j * qz * last) * _fall(radius, outer, outer + 0.12)
    return Propagation(
        kz, _fall(radius, 0.80, 0.92), along * sinc[:, None] * sinc, torch.exp(1j * qz * box.distance).to(dtype), back.to(dtype)
    )


def _fall(radius: Tensor, start: float, end: float) -> Tensor:
    """1 up to ``start``, 0 from ``end``, cos^2 between."""
    return torch.cos(((radius - start) / (end - start)).clamp(0, 1) * math.pi / 2) ** 2


def slice_response(index: Tensor, box: Box, tables: Propagation) -> Tensor:
    """W (M, N, N) of slices of refractive index ``index`` (M,) complex; zero for index 1."""
    vacuum = (index - 1).abs() < 1e-12
    n = torch.where(vacuum, torch.full_like(index, 1.5), index)[:, None, None]
    kz = tables.kz
    kn = torch.sqrt(n * n - (1 - kz * kz))
    a = 1j * (n - 1)
    qz = kz - 1
    mu = a - 1j * qz
    small = mu.abs() < 1e-6
    safe = torch.where(small, torch.ones_like(mu), mu)
    inner = torch.where(small, torch.full_like(mu, box.distance), (torch.exp(safe * box.distance) - 1) / safe)
    w = tables.taper * (kn - kz) / (n - 1) * inner * a * torch.exp(0.5j * qz * box.distance) / tables.smoothing
    return torch.where(vacuum[:, None, None], torch.zeros_like(w), w)


def exit_spectrum(filling: Tensor, response: Tensor, box: Box, tables: Propagation) -> Tensor:
    """Spectrum (M, N, N) of the scattered wave, brought back to z = 0, of M bodies.

    filling (M, S, planes, crop, crop) real: the share of each of S materials in each soft slice; response (S, M or 1, N, N).
    """
    n, m = box.points, box.margin
    inside = slice(m, m + box.crop)
    spectrum = torch.zeros(len(filling), n, n, dtype=response.dtype, device=filling.device)
    spectrum[:, 0, 0] = n * n
    source = torch.zeros_like(spectrum)
    for plane in range(box.planes):
        wave = torch.fft.ifft2(spectrum)[:, inside, inside]
        scattered = 0
        for material in range(filling.shape[1]):
            source = torch.nn.functional.pad(filling[:, material, plane] * wave, (m, m, m, m))
            scattered = scattered + response[material] * torch.fft.fft2(source)
        spectrum = spectrum + scattered
        if plane < box.planes - 1:
            spectrum = spectrum * tables.step
    spectrum = spectrum.clone()
    spectrum[:, 0, 0] -= n * n
    return spectrum * tables.back


def multislice(filling: Tensor, response: Tensor, box: Box, tables: Propagation, sampler: Sampler) -> Tensor:
    """Far fields (M, ny, nx) of M bodies in ``box``, in units of 1/k^2."""
    return sampler(exit_spectrum(filling, response, box, tables))
