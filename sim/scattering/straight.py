"""Far fields with straight paths: each slice is lit by a wave that has at most been dimmed and retarded on its way in.

The lower rungs of the ladder, on the same soft slices and grids as `sim.scattering.multislice`; lengths in units of 1/k.
A thin slice of phase x = i (n - 1) D scatters exp(x) - 1 of the light that reaches it; the sum over the slices of
FT[scattered] exp(-i qz z) is the far field on the Ewald sphere. The obliquity 1/kz makes the limit of small contrast that
of Rayleigh, Gans and Debye.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sim.scattering.grids import Box, unfolded
from sim.scattering.multislice import Propagation


def straight_spectrum(steps: Tensor, index: Tensor, rung: str, box: Box, tables: Propagation) -> Tensor:
    """Spectrum (B, 2 band + 1, 2 band + 1) of the scattered wave at z = 0, of B bodies.

    steps: see `exit_spectrum`; index (L, B or 1): refractive indices. rung: "sliced" (complex phase on the way in),
    "absorption" (loss alone), "born" (nothing).
    """
    n, batch, dtype = box.band + 1, steps.shape[-1], tables.step.dtype
    # Rayleigh-Gans-Debye scatters with (n^2 - 1) / 2, which n - 1 approaches.
    phase = 0.5j * (index**2 - 1) if rung == "born" else 1j * (index - 1)
    phase = (phase * box.distance).to(dtype)
    wave = torch.zeros(2, n, 2, n, batch, dtype=dtype, device=steps.device)
    lit = torch.ones((), dtype=dtype, device=steps.device)
    filling = torch.zeros_like(steps[:, 0])
    for plane in range(box.planes):
        filling = filling + steps[:, plane]
        x = sum(p * f for p, f in zip(phase, filling, strict=True))
        source, passed = _scatter(x, rung)
        wave = wave + tables.transform.spectrum(source * lit)
        lit = lit * passed
        if plane < box.planes - 1:
            wave = wave * tables.step[:, None, :, None]
    return unfolded(wave * (tables.back / (tables.kz * tables.smoothing)).to(dtype)[:, None, :, None])


def projected_spectrum(wave: Tensor, tables: Propagation) -> Tensor:
    """Spectrum (B, 2 band + 1, 2 band + 1) of an exit wave minus 1, (2, half, 2, half, B), the same at any angle."""
    obliquity = tables.back.abs() / (tables.kz * tables.smoothing_across)
    return unfolded(tables.transform.spectrum(wave) * obliquity.to(wave.dtype)[:, None, :, None])


def _scatter(x: Tensor, rung: str) -> tuple[Tensor, Tensor]:
    """What a slice of phase ``x`` scatters of the light upon it, and what it lets through."""
    if rung == "born":
        return x, torch.ones_like(x)
    if rung == "absorption":
        loss = torch.exp(x.real / 2)
        return x * loss, loss.square()
    through = torch.exp(x)
    return through - 1, through
