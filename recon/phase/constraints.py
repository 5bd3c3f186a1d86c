"""The two constraints of phase retrieval, and the algorithms that go between them (Fienup 1982; Luke 2005; Marchesini 2007)."""

from __future__ import annotations

import torch
from torch import Tensor

_AXES = (-3, -2, -1)
_TINY = 1e-20


class Modulus:
    """Projection on the measured moduli: keeps the phase of each Fourier coefficient, replaces its modulus.

    amplitude (nz, ny, nx) float32, square root of the intensity, in the order of the FFT; known (nz, ny, nx) bool or None:
    False where nothing was measured or where pixels are kept out, whose computed value stays. coherence: see
    `recon.phase.coherence`.
    """

    def __init__(self, amplitude: Tensor, known: Tensor | None = None, coherence=None) -> None:
        self.amplitude = amplitude
        self.unknown = None if known is None or bool(known.all()) else ~known
        self.power = float((amplitude**2 if known is None else amplitude[known] ** 2).sum())
        self.coherence = coherence

    def __call__(self, obj: Tensor) -> Tensor:
        """A new object (B, nz, ny, nx) complex64 whose Fourier transform has the measured moduli."""
        field = torch.fft.fftn(obj, dim=_AXES)
        parts = torch.view_as_real(field)
        scale = self._scale(parts)
        parts.mul_(scale[..., None])
        return torch.fft.ifftn(field, dim=_AXES)

    def _scale(self, parts: Tensor) -> Tensor:
        """measured modulus / computed modulus, 1 where nothing is known."""
        intensity = parts.square().sum(-1)
        if self.coherence is not None:
            intensity = self.coherence.blur(intensity)
        scale = intensity.add_(_TINY).rsqrt_().mul_(self.amplitude)
        if self.unknown is not None:
            scale.masked_fill_(self.unknown, 1.0)
        return scale

    def chi2(self, obj: Tensor) -> Tensor:
        """(B,) sum (|F| - sqrt I)^2 / sum I of objects, over what is known."""
        intensity = torch.view_as_real(torch.fft.fftn(obj, dim=_AXES)).square().sum(-1)
        if self.coherence is not None:
            intensity = self.coherence.blur(intensity)
        off = (intensity.clamp_(min=0).sqrt_() - self.amplitude).square_()
        if self.unknown is not None:
            off.masked_fill_(self.unknown, 0.0)
        return off.sum(_AXES) / self.power


def error_reduction(obj: Tensor, projected: Tensor, support: Tensor, beta: float) -> Tensor:
    """ER: the projected object inside the support, nothing outside."""
    return projected * support


def hybrid_input_output(obj: Tensor, projected: Tensor, support: Tensor, beta: float) -> Tensor:
    """HIO: outside the support, the object less ``beta`` times the projected one (Fienup 1982, eq. 44)."""
    return torch.where(support, projected, obj.sub_(projected, alpha=beta))


def relaxed_reflections(obj: Tensor, projected: Tensor, support: Tensor, beta: float) -> Tensor:
    """RAAR (Luke 2005), for a support constraint (Marchesini 2007, table III)."""
    return torch.where(support, projected, obj.mul_(beta).add_(projected, alpha=1 - 2 * beta))


STEPS = {"ER": error_reduction, "HIO": hybrid_input_output, "RAAR": relaxed_reflections}
