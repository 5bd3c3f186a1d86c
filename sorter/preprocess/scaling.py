"""From photon rates to numbers that a network can take, whatever the fluence of the shot."""

from __future__ import annotations

import torch
from torch import Tensor

_PHOTON_SOFTENING = 0.1


def choose_softening(counts: Tensor, area: Tensor, unit: str) -> float:
    """Softening for `log_scaled`: 0.1 photons per pixel, or for other units a third of the median |rate| of a sample.

    counts (B, S), area (S,) as of `PolarMap`; unit of the frames.
    """
    if unit == "photon":
        return _PHOTON_SOFTENING
    rates = (counts[:, area > 0] / area[area > 0]).abs()
    positive = rates[rates > 0]
    return float(positive.median()) / 3 if len(positive) else 1.0


def log_scaled(rate: Tensor, weight: Tensor, softening: float) -> Tensor:
    """asinh(rate / 2s), less its weighted mean over the frame; 0 where the weight is 0.

    rate, weight (B, R, T): signal per pixel, and the weight of each cell. softening s: the rate below which the scale is
    linear, in the unit of the frames per pixel. For rate >> s this is log(rate) less its mean, so a brighter shot gives the
    same picture; noise about zero (negative ADU too) stays linear and finite.
    """
    value = asinh(rate / (2 * softening))
    total = weight.sum(dim=(-2, -1), keepdim=True).clamp_min(1e-6)
    mean = (value * weight).sum(dim=(-2, -1), keepdim=True) / total
    return value.sub_(mean).mul_(weight > 0)


def asinh(x: Tensor) -> Tensor:
    """Inverse hyperbolic sine, to a few roundings; torch's own takes ten times as long on a CPU. Not to be differentiated."""
    size = x.abs()
    root = torch.addcmul(x.new_ones(()), size, size).sqrt_().add_(1)
    return size.div(root).mul_(size).add_(size).log1p_().copysign_(x)


def polar_picture(counts: Tensor, area: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Rate per pixel, and weight (1 where something was measured, else 0), both (B, R, T).

    counts (B, S) and area (S,) as of `PolarMap`; index (R, T): `PolarGrid.expand`.
    """
    rate = (counts / area.clamp_min(1e-6))[:, index]
    return rate, (area > 0).to(rate.dtype)[index].expand_as(rate)
