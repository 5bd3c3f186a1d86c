"""Views that move a polar picture and its mask together."""

from __future__ import annotations

import torch
from torch import Tensor


def mirror_angles(picture: Tensor, mirrored: Tensor) -> Tensor:
    """Reverse the angle of those pictures of (B, R, T) where ``mirrored`` (B,) is true: the mirrored particle."""
    return torch.where(mirrored[:, None, None], picture.flip(-1), picture)


def radial_positions(n_radii: int, inner: float, zoom: Tensor, shift: Tensor, azimuth: Tensor) -> Tensor:
    """Where each ring of a view looks in the recorded picture, (B, R, T) in rings.

    inner: radius of the first ring's inner edge, in ring widths. zoom (B,): 1 keeps, above 1 looks further out (a larger
    particle). shift (B, 2): (y, x) displacement of the beam centre in ring widths; its effect on the azimuth, of
    order shift / radius, is left out. azimuth (T,), radians.
    """
    radius = inner + 0.5 + torch.arange(n_radii, device=zoom.device, dtype=zoom.dtype)
    along = shift[:, :1] * torch.sin(azimuth)[None] + shift[:, 1:] * torch.cos(azimuth)[None]
    return zoom[:, None, None] * radius[None, :, None] + along[:, None, :] - inner - 0.5


def resample_radially(rate: Tensor, weight: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
    """Linear interpolation of rate (B, R, T) at ``position`` (B, R, T), weighted by ``weight``, which moves along.

    Where the view looks beyond the picture, or only at cells of weight 0, the new weight is 0.
    """
    low = torch.floor(position)
    fraction = position - low
    total, weights = torch.zeros_like(rate), torch.zeros_like(weight)
    for ring, share in ((low, 1 - fraction), (low + 1, fraction)):
        inside = (ring >= 0) & (ring < rate.shape[1])
        index = ring.clamp(0, rate.shape[1] - 1).long()
        w = weight.gather(1, index) * share * inside
        total, weights = total + w * rate.gather(1, index), weights + w
    return total / weights.clamp_min(1e-6), weights * (weights > 1e-3)
