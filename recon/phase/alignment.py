"""Take off what a pattern cannot tell: twin, shift, global phase."""

from __future__ import annotations

import torch
from torch import Tensor

from recon.phase.loss import twin

_AXES = (-3, -2, -1)


def align(obj: Tensor, reference: Tensor, upsampling: int = 8) -> Tensor:
    """``obj`` (n, n, n) complex as near to ``reference`` as twin, shift (to 1 / upsampling voxels), phase and scale allow."""
    target = torch.fft.fftn(reference, dim=_AXES)
    best, best_value = obj, -1.0
    for candidate in (obj, twin(obj)):
        field = torch.fft.fftn(candidate, dim=_AXES)
        product = target * field.conj()
        correlation = torch.fft.ifftn(product, dim=_AXES).abs()
        whole = [int(i) for i in torch.unravel_index(correlation.argmax(), correlation.shape)]
        shift, value = _finer_shift(product, whole, upsampling)
        if abs(value) > best_value:
            best_value = abs(value)
            power = max(float(field.abs().square().sum()), 1e-30)  # an empty object stays one
            best = torch.fft.ifftn(_moved(field, shift) * (value / power), dim=_AXES)
    return best


def _moved(field: Tensor, shift: list[float]) -> Tensor:
    for axis, (n, s) in enumerate(zip(field.shape, shift, strict=True)):
        wave = torch.exp(-2j * torch.pi * torch.fft.fftfreq(n, device=field.device) * s)
        field = field * wave.view([-1 if a == axis else 1 for a in range(3)])
    return field


def _finer_shift(product: Tensor, whole: list[int], upsampling: int) -> tuple[list[float], complex]:
    """Shift of the largest |correlation| near ``whole``, on a finer grid, and the inner product there (Guizar-Sicairos et al.
    2008)."""
    if upsampling <= 1:
        offsets = torch.zeros(1, dtype=torch.float64)
    else:
        offsets = torch.arange(-upsampling, upsampling + 1, dtype=torch.float64) / upsampling
    kernels = []
    for n, at in zip(product.shape, whole, strict=True):
        angle = 2 * torch.pi * (at + offsets)[:, None] * torch.fft.fftfreq(n, dtype=torch.float64)
        kernels.append(torch.exp(1j * angle).to(product))
    values = torch.einsum("az,zyx->ayx", kernels[0], product)
    values = torch.einsum("by,ayx->abx", kernels[1], values)
    values = torch.einsum("cx,abx->abc", kernels[2], values)
    at = torch.unravel_index(values.abs().argmax(), values.shape)
    return [w + float(offsets[i]) for w, i in zip(whole, at, strict=True)], complex(values[at])
