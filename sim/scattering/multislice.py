"""The far field of a wave carried through the body slice by slice: one-way, non-paraxial, with soft slices.

exp(+ikz - i omega t), the beam along +z. Lengths are in units of 1/k, so k = 1 below; qz = kz - 1 <= 0.
At each plane the wave gains what the slice scatters, U += W FT[filling FT^-1 U]; between planes U takes the free-space
phase exp(i qz D). W is the exact response of a homogeneous slice of thickness D to a ray along the beam, and takes
out the smoothing by the soft slices (a sinc along z) and by the pixels (sincs across).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sim.scattering.grids import CUT_OFF, Box, Transform, transform, unfolded

SMALLEST_BATCH = 8
"""Fewer bodies than this take longer than this many: products of such narrow matrices are slow."""


@dataclass(frozen=True)
class Propagation:
    """What depends on the box alone, tables over one quadrant (band + 1, band + 1) of the transverse wave numbers.

    kz, taper, smoothing: see `slice_response`; smoothing_across: that by the pixels alone; step: phase from plane to
    plane; back: from the last plane to z = 0.
    """

    kz: Tensor
    taper: Tensor
    smoothing: Tensor
    smoothing_across: Tensor
    step: Tensor
    back: Tensor
    transform: Transform


def propagation(box: Box, outer: float, fade: float, dtype: torch.dtype, device: torch.device | str) -> Propagation:
    """Tables of ``box`` for complex ``dtype``.

    ``outer``: largest transverse wave number that the detector sees; what lies beyond is faded out over ``fade``.
    """
    q = box.wavenumbers(device)
    square = q[:, None] ** 2 + q**2
    radius = square.sqrt()
    kz = (1 - square).clamp_min(1e-3).sqrt()
    qz = kz - 1
    across = torch.sinc(q * box.pixel / (2 * math.pi)).clamp_min(0.5)
    across = across[:, None] * across
    along = torch.sinc(qz * box.distance / (2 * math.pi)).clamp_min(0.4)
    back = torch.exp(-1j * qz * (box.first + (box.planes - 1) * box.distance))
    return Propagation(
        kz,
        _fall(radius, CUT_OFF - 0.12, CUT_OFF),
        along * across,
        across,
        torch.exp(1j * qz * box.distance).to(dtype),
        (back * _fall(radius, outer, outer + fade)).to(dtype),
        transform(box, dtype.to_real(), device),
    )


def _fall(radius: Tensor, start: float, end: float) -> Tensor:
    """1 up to ``start``, 0 from ``end``, cos^2 between."""
    return torch.cos(((radius - start) / (end - start)).clamp(0, 1) * math.pi / 2) ** 2


def slice_response(index: Tensor, box: Box, tables: Propagation) -> Tensor:
    """W (K, band + 1, band + 1) of slices of refractive index ``index`` (K,) complex; zero for index 1.

    W = taper (kn - kz) / (n - 1) a (exp(mu D) - 1) / mu exp(i qz D / 2) / smoothing, kn = sqrt(n^2 - q^2), a = i (n - 1),
    mu = a - i qz: the wave in the slice keeps its transverse wave number and gains the phase and loss of the slice.
    """
    vacuum = (index - 1).abs() < 1e-12
    n = torch.where(vacuum, torch.full_like(index, 1.5), index)[:, None, None]
    kz = tables.kz
    qz = kz - 1
    kn = torch.sqrt(n * n - (1 - kz * kz))
    a = 1j * (n - 1)
    mu = a - 1j * qz
    small = mu.abs() < 1e-6
    mu = torch.where(small, torch.ones_like(mu), mu)
    inner = torch.where(small, torch.full_like(mu, box.distance), (torch.exp(mu * box.distance) - 1) / mu)
    w = tables.taper * (kn - kz) / (n - 1) * a * inner * torch.exp(0.5j * qz * box.distance) / tables.smoothing
    return torch.where(vacuum[:, None, None], torch.zeros_like(w), w)


def curvature(index: Tensor, box: Box) -> Tensor:
    """How far a partly filled slice falls short of its share, complex, shaped like ``index``.

    A slice filled to the share f thickens the wave's path by f D, so it acts as (exp(a D f) - 1) / (exp(a D) - 1), a = i (n - 1),
    and not as f. To better than a percent this is f - c f (1 - f) with the c that is exact at f = 1/2. Leaving it out costs an
    error proportional to D.
    """
    return 2 - 4 / (torch.exp(0.5j * (index - 1) * box.distance) + 1)


def exit_spectrum(steps: Tensor, response: Tensor, curved: Tensor, box: Box, tables: Propagation) -> Tensor:
    """Spectrum (B, 2 band + 1, 2 band + 1) of the scattered wave, brought back to z = 0, of B bodies.

    steps (L, planes, 2, half, 2, half, B) real: change, from plane to plane, of the share of each of L materials.
    response (L, band + 1, band + 1, B or 1), curved (L, B or 1) complex: `slice_response` and `curvature` of the materials.
    """
    bodies = steps.shape[-1]
    if bodies < SMALLEST_BATCH:
        empty = (0, SMALLEST_BATCH - bodies)
        steps = torch.nn.functional.pad(steps, empty)
        if bodies > 1:  # else the one response serves all
            response, curved = (torch.nn.functional.pad(v, empty) if v.shape[-1] > 1 else v for v in (response, curved))
    n, batch = box.band + 1, steps.shape[-1]
    wave = torch.zeros(2, n, 2, n, batch, dtype=response.dtype, device=steps.device)
    wave[0, 0, 0, 0] = 1
    response, step = response[:, None, :, None], tables.step[:, None, :, None]
    advance = _advance if steps.requires_grad or response.requires_grad else _advance_in_place
    filling = torch.zeros_like(steps[:, 0])
    for plane in range(box.planes):
        filling = filling + steps[:, plane]
        inside = tables.transform.real(wave)
        for material in range(len(steps)):
            share = _effective(filling[material], curved[material])
            wave = advance(wave, response[material], tables.transform.spectrum(share * inside))
        if plane < box.planes - 1:
            wave = wave * step if advance is _advance else wave.mul_(step)
    spectrum = unfolded(wave[..., :bodies] * tables.back[:, None, :, None])
    plane_wave = torch.zeros_like(spectrum[0])
    plane_wave[box.band, box.band] = 1
    return spectrum - plane_wave


def _effective(share: Tensor, curved: Tensor) -> Tensor:
    lacking = share - share * share
    return torch.complex(share - curved.real * lacking, -curved.imag * lacking)


def _advance(wave: Tensor, response: Tensor, scattered: Tensor) -> Tensor:
    return wave + response * scattered


def _advance_in_place(wave: Tensor, response: Tensor, scattered: Tensor) -> Tensor:
    return wave.addcmul_(response, scattered)
