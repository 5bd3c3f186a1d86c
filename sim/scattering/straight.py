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

    steps (L, planes, 2, half, 2, half, B, C): see `exit_spectrum`, with C columns of each pixel apart, as each has a way in of
    its own; index (L, B or 1): refractive indices. rung: "sliced" (complex phase on the way in), "absorption" (loss alone),
    "born" (nothing).
    """
    n, batch, dtype = box.band + 1, steps.shape[-2], tables.step.dtype
    # Rayleigh-Gans-Debye scatters with (n^2 - 1) / 2, which n - 1 approaches.
    phase = 0.5j * (index**2 - 1) if rung == "born" else 1j * (index - 1)
    phase = (phase * box.distance).to(dtype)[:, None, None, None, None, :, None]
    scattered = {"sliced": _retarded, "absorption": _dimmed, "born": _unchanged}[rung]
    wave = torch.zeros(2, n, 2, n, batch, dtype=dtype, device=steps.device)
    filling, depth = torch.zeros_like(steps[:, 0]), torch.zeros_like(steps[:, 0])
    for plane in range(box.planes):
        filling = filling + steps[:, plane]
        wave = wave + tables.transform.spectrum(scattered(phase, filling, depth))
        depth = depth + filling
        if plane < box.planes - 1:
            wave = wave * tables.step[:, None, :, None]
    return unfolded(wave * (tables.back / (tables.kz * tables.smoothing)).to(dtype)[:, None, :, None])


def _unchanged(phase: Tensor, filling: Tensor, _depth: Tensor) -> Tensor:
    """What the slice scatters of a wave that nothing has changed, averaged over the columns of each pixel."""
    return (phase * filling).sum(0).mean(-1)


def _retarded(phase: Tensor, filling: Tensor, depth: Tensor) -> Tensor:
    """The same for a wave that was dimmed and retarded by ``depth`` slices on its way in, and still is within this one."""
    return (_passed(phase, depth + filling) - _passed(phase, depth)).mean(-1)


def _passed(phase: Tensor, depth: Tensor) -> Tensor:
    return torch.polar(torch.exp((phase.real * depth).sum(0)), (phase.imag * depth).sum(0))


def _dimmed(phase: Tensor, filling: Tensor, depth: Tensor) -> Tensor:
    """The same for a wave that is dimmed alone: the integral of phase exp(loss) through the slice."""
    loss = (phase.real * filling).sum(0)
    loss = torch.where(loss.abs() < 1e-6, torch.full_like(loss, 1e-6), loss)
    light = torch.exp((phase.real * depth).sum(0)) * torch.expm1(loss) / loss
    return (phase[..., 0] * (filling * light).mean(-1)).sum(0)


def projected_spectrum(wave: Tensor, tables: Propagation) -> Tensor:
    """Spectrum (B, 2 band + 1, 2 band + 1) of an exit wave minus 1, (2, half, 2, half, B), the same at any angle."""
    obliquity = tables.back.abs() / (tables.kz * tables.smoothing_across)
    return unfolded(tables.transform.spectrum(wave) * obliquity.to(wave.dtype)[:, None, :, None])
