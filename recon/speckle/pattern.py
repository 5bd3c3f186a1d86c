"""A standardised pattern taken apart: form (radial curves) and structure (the map of distances between disks).

For disks that lie at random, I(k) = P(k) S(k) on average: P, the mean over a ring, knows the radii, and S = I / P is speckle that
knows only where the disks are. The Fourier transform of S - 1 (a sharpened Patterson function) has one peak for each pair of
disks at the vector from one to the other: n (n - 1) of them. Dividing by P lets small disks weigh almost as much as large
ones, at the price of photon noise at large k.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from sim.scattering.disks import BLOCKED

LEVELS = 48
"""Levels of the histograms of the map."""
_NEIGHBOURHOODS_PX = (3, 5, 9)
_COARSE = 16
STATISTICS = (2 + len(_NEIGHBOURHOODS_PX)) * LEVELS + _COARSE**2
"""Length of the statistics of the map."""


class FormAndStructure(nn.Module):
    """Patterns (B, n, n), n >= side -> form (B, 3, rings), statistics (B, STATISTICS), structure (B, 1, side,
    side / 2 + 1); float32.

    Only n_x, n_y < side are read: a 513 pattern is read as far in k as a 257 one. Rings are 2 pixels wide, from the blocked
    corner to the far one. form: log of the mean over a ring with Porod's k^-3 taken out, mean of the log likewise, and the
    speckle contrast <I^2> / <I>^2 - 1. structure: modulus of the transform of S - 1, rows in order of y distance. statistics:
    log of 1 + the counts in histograms over structure: of its values, of its local maxima, of its mean square in neighbourhoods
    of 3, 5 and 9 pixels, and the joint one of value and root mean square around it. Columns and rows that are dark from end to
    end (modules that are missing, gaps) are left out of the rings, and the map is scaled up for them.
    """

    def __init__(self, side: int = 256, blocked: int = BLOCKED, ring_px: float = 2.0) -> None:
        super().__init__()
        self.side = side
        n = torch.arange(side, dtype=torch.float32)
        radius = torch.hypot(n[:, None], n[None, :])
        ring = ((radius - blocked) / ring_px).floor().clamp(0, int((1.35 * side - blocked) / ring_px)).long()
        self.rings = int(ring.max()) + 1
        opened = (radius >= blocked * math.sqrt(2)).float()  # clear of the corner of the blocked square
        window = torch.sin(math.pi * (n + 0.5) / side)
        self.register_buffer("ring", ring.flatten(), persistent=False)
        self.register_buffer("open", opened, persistent=False)
        count = self._sums(opened[None])
        self.register_buffer("count", count.clamp(min=1), persistent=False)
        porod = 3 * torch.log((self._sums((opened * radius)[None]) / self.count).clamp(min=1) / side)
        self.register_buffer("porod", porod, persistent=False)
        self.register_buffer("window", window[:, None] * window[None, :] * 4 / side, persistent=False)
        self.register_buffer("edges", torch.logspace(-1.5, 2, LEVELS - 1), persistent=False)
        self.register_buffer("energy_edges", torch.logspace(-2.5, 3, LEVELS - 1), persistent=False)
        self.register_buffer("coarse_edges", torch.logspace(-1, 1.5, _COARSE - 1), persistent=False)

    def _sums(self, images: Tensor) -> Tensor:
        out = images.new_zeros(len(images), self.rings)
        return out.index_add_(1, self.ring, images.flatten(1))

    def forward(self, patterns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        image = patterns[:, : self.side, : self.side].float()
        # the blocked corner was 0 before standardising, so the smallest value of a pattern is its dark level
        image = (image - image.amin((1, 2), keepdim=True)) * self.open
        image = image / image.mean((1, 2), keepdim=True).clamp(min=1e-30)
        opened, count, window = self._recorded(image)
        mean = self._sums(image) / count
        floor = 1e-6 * mean.amax(1, keepdim=True)
        log_mean = self._sums(torch.log(image + 1e-7) * opened) / count
        contrast = self._sums(image.square()) / count / (mean + floor).square() - 1
        form = torch.stack([torch.log(mean + floor) + self.porod, log_mean + self.porod, contrast], 1)
        expected = (mean + floor).gather(1, self.ring.expand(len(image), -1)).view_as(image)
        speckle = (image / expected - opened) * window
        structure = torch.fft.fftshift(torch.fft.rfft2(speckle), dim=1).abs()
        return form, self._statistics(structure), structure[:, None]

    def _recorded(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Which pixels were recorded, how many of each ring, and the window: once for all patterns where none has a dark column
        or row."""
        lit = (image > 0).any(1, keepdim=True) & (image > 0).any(2, keepdim=True)
        if bool(lit.all()):
            return self.open, self.count, self.window
        opened = self.open * lit
        share = (self.window * opened).sum((1, 2), keepdim=True) / (self.window * self.open).sum()
        return opened, self._sums(opened).clamp(min=1), self.window / share.clamp(min=1e-3)

    def _statistics(self, structure: Tensor) -> Tensor:
        image = structure[:, None]
        highest = nn.functional.max_pool2d(image, 3, 1, 1)[:, 0]
        level = torch.bucketize(structure, self.edges)
        one = torch.ones_like(structure)
        found = [_histogram(level, one, LEVELS), _histogram(level, (structure == highest).float(), LEVELS)]
        square = image.square()
        energies = {w: nn.functional.avg_pool2d(square, w, 1, w // 2)[:, 0] for w in _NEIGHBOURHOODS_PX}
        found += [_histogram(torch.bucketize(e, self.energy_edges), one, LEVELS) for e in energies.values()]
        around = torch.bucketize(energies[5].sqrt(), self.coarse_edges)
        joint = torch.bucketize(structure, self.coarse_edges) * _COARSE + around
        return torch.cat([*found, _histogram(joint, one, _COARSE**2)], 1)


def _histogram(level: Tensor, weight: Tensor, n: int) -> Tensor:
    """log(1 + sum of weights) for each of n levels, (B, n)."""
    return torch.log1p(weight.new_zeros(len(level), n).scatter_add_(1, level.flatten(1), weight.flatten(1)))


def transposed_structure(structure: Tensor) -> Tensor:
    """The structure (B, 1, m, m / 2 + 1) of the pattern with k_x and k_y exchanged (all but the row and column at -m / 2)."""
    m = structure.shape[2]
    half = m // 2
    # the modulus is even: P(-x, -y) = P(x, y), which gives the other half of the plane
    left = structure[..., 1:half].flip(3)
    left = torch.cat([left[..., :1, :], left[..., 1:, :].flip(2)], 2)
    plane = torch.cat([structure[..., half : half + 1], left, structure[..., :half]], 3)
    turned = plane.transpose(2, 3)
    return torch.cat([turned[..., half:], turned[..., :1]], 3)
