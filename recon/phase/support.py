"""Where the object may be: first guesses and shrink-wrap (Marchesini et al. 2003)."""

from __future__ import annotations

import torch
from torch import Tensor

_AXES = (-3, -2, -1)


class GaussianBlur:
    """Circular convolution of real volumes (..., nz, ny, nx) with a Gaussian of ``sigma_voxels``, by FFT."""

    def __init__(self, shape: tuple[int, ...], sigma_voxels: float, device: torch.device | str = "cpu") -> None:
        self.shape = tuple(shape[-3:])
        squares = [torch.fft.fftfreq(n, device=device) ** 2 for n in self.shape[:2]]
        squares.append(torch.fft.rfftfreq(self.shape[2], device=device) ** 2)
        total = squares[0][:, None, None] + squares[1][:, None] + squares[2]
        self._transfer = torch.exp(-2 * (torch.pi * sigma_voxels) ** 2 * total)

    def __call__(self, volume: Tensor) -> Tensor:
        """The blurred volume, float32."""
        return torch.fft.irfftn(torch.fft.rfftn(volume, dim=_AXES) * self._transfer, self.shape, dim=_AXES)


def shrink_wrap(amplitude: Tensor, blur: GaussianBlur, threshold: float) -> Tensor:
    """Support (B, nz, ny, nx) bool: where the blurred amplitude exceeds ``threshold`` times its largest value."""
    smooth = blur(amplitude)
    return smooth > threshold * smooth.amax(_AXES, keepdim=True)


def limit_volume(support: Tensor, amplitude: Tensor, share: float) -> Tensor:
    """``support`` (B, nz, ny, nx), of those that fill more than ``share`` of the volume only the brightest voxels of
    ``amplitude``."""
    allowed = int(share * support[0].numel())
    for b in range(len(support)):
        if int(support[b].sum()) > allowed:
            values = torch.where(support[b], amplitude[b], -1.0).flatten()
            kept = torch.zeros_like(support[b]).flatten()
            kept[values.topk(allowed).indices] = True
            support[b] = kept.view_as(support[b])
    return support


def box_support(shape: tuple[int, int, int], share: float, device: torch.device | str = "cpu") -> Tensor:
    """A box in the middle, ``share`` of each axis long: (nz, ny, nx) bool."""
    found = torch.zeros(shape, dtype=torch.bool, device=device)
    edges = [(n // 2 - max(1, round(n * share / 2)), n // 2 + max(1, round(n * share / 2))) for n in shape]
    found[tuple(slice(max(a, 0), b) for a, b in edges)] = True
    return found


def autocorrelation_support(intensity: Tensor, threshold: float = 0.04) -> Tensor:
    """Support (nz, ny, nx) bool: the autocorrelation's region above ``threshold`` of its peak, halved in size.

    intensity: in the order of the FFT. A convex body's autocorrelation reaches twice as far as the body (Fienup et al. 1982).
    """
    correlation = torch.fft.fftshift(torch.fft.ifftn(intensity).abs())
    inside = (correlation > threshold * correlation.max()).float()[None, None]
    grids = [2 * (torch.arange(n, device=intensity.device) - n // 2) / n + 1 / n for n in reversed(intensity.shape)]
    x, y, z = grids
    grid = torch.stack(torch.meshgrid(z, y, x, indexing="ij")[::-1], -1)[None] * 2
    return torch.nn.functional.grid_sample(inside, grid, align_corners=False)[0, 0] > 0.5
