"""Parts of the detector that another run, or another beam time, would not have seen."""

from __future__ import annotations

import torch
from torch import Tensor


def drop_wedge(weight: Tensor, start: Tensor, width: Tensor) -> Tensor:
    """Set the weight (B, R, T) to 0 in ``width`` (B,) angle cells from ``start`` (B,) on."""
    n_angles = weight.shape[-1]
    offset = (torch.arange(n_angles, device=weight.device)[None] - start[:, None]) % n_angles
    return weight * (offset >= width[:, None])[:, None, :]


def drop_rings(weight: Tensor, start: Tensor, width: Tensor) -> Tensor:
    """Set the weight (B, R, T) to 0 in ``width`` (B,) rings from ``start`` (B,) on."""
    ring = torch.arange(weight.shape[1], device=weight.device)[None]
    inside = (ring >= start[:, None]) & (ring < (start + width)[:, None])
    return weight * (~inside)[:, :, None]
