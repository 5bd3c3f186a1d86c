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
"""Levels of the histograms of a map."""
_NEIGHBOURHOODS_PX = (3, 5, 9)
_COARSE = 16
MAPS = ("intensity", "root", "log", "near", "far", "fine")
"""What the maps are made of: S - 1, the root and the logarithm of S (other weights of the many distances, fewer side lobes of
the strongest), the parts of S - 1 at small and at large k (where disks of other sizes are bright), and S - 1 once more on pixels
of half the size (peaks that lie side by side stay apart)."""
STATISTICS = (2 + len(_NEIGHBOURHOODS_PX)) * LEVELS + _COARSE**2
"""Length of the statistics of one map."""


class FormAndStructure(nn.Module):
    """Patterns (B, n, n), n >= side -> form (B, 3, rings), statistics (B, maps * STATISTICS), structure (B, 1, side,
    side / 2 + 1); float32.

    Only n_x, n_y < side are read: a 513 pattern is read as far in k as a 257 one. Rings are 2 pixels wide, from the blocked
    corner to the far one. form: log of the mean over a ring with Porod's k^-3 taken out, mean of the log likewise, and the
    speckle contrast <I^2> / <I>^2 - 1. structure: modulus of the transform of S - 1, rows in order of y distance. statistics:
    for each of ``maps`` (of MAPS), log of 1 + the counts in histograms: of its values, of its local maxima, of its mean square in
    neighbourhoods of 3, 5 and 9 pixels, and the joint one of value and root mean square around it. Columns and rows that are
    dark from end to end (modules that are missing, gaps) are left out of the rings, and the maps are scaled up for them.
    """

    def __init__(
        self, side: int = 256, blocked: int = BLOCKED, ring_px: float = 2.0, maps: tuple[str, ...] = MAPS
    ) -> None:
        super().__init__()
        self.side, self.maps = side, maps
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
        whole = window[:, None] * window
        near = whole * torch.cos(((radius / side - 0.35) / 0.4).clamp(0, 1) * math.pi / 2) ** 2
        windows = torch.stack([whole, near, whole - near])
        self.register_buffer(
            "windows", 2 * windows / windows.square().sum((1, 2), keepdim=True).sqrt(), persistent=False
        )

    def _sums(self, images: Tensor) -> Tensor:
        out = images.new_zeros(len(images), self.rings)
        return out.index_add_(1, self.ring, images.flatten(1))

    def forward(self, patterns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        image = patterns[:, : self.side, : self.side].float()
        # the blocked corner was 0 before standardising, so the smallest value of a pattern is its dark level
        image = (image - image.amin((1, 2), keepdim=True)) * self.open
        image = image / image.mean((1, 2), keepdim=True).clamp(min=1e-30)
        opened, count, scale = self._recorded(image)
        mean = self._sums(image) / count
        floor = 1e-6 * mean.amax(1, keepdim=True)
        log_mean = self._sums(torch.log(image + 1e-7) * opened) / count
        contrast = self._sums(image.square()) / count / (mean + floor).square() - 1
        form = torch.stack([torch.log(mean + floor) + self.porod, log_mean + self.porod, contrast], 1)
        expected = (mean + floor).gather(1, self.ring.expand(len(image), -1)).view_as(image)
        speckle = image / expected
        structure = self._map("intensity", speckle, opened, scale)
        maps = [structure if name == "intensity" else self._map(name, speckle, opened, scale) for name in self.maps]
        return form, torch.cat([_statistics(m) for m in maps], 1), structure[:, None]

    def _map(self, name: str, speckle: Tensor, opened: Tensor, scale: Tensor) -> Tensor:
        """The map ``name`` (B, m, m / 2 + 1) of speckle S (B, side, side): m = side, for "fine" twice that."""
        whole, near, far = self.windows
        if name in ("root", "log"):
            curved = 2 * speckle.sqrt() if name == "root" else torch.log(speckle + 0.01)
            level = (curved * opened).sum((1, 2), keepdim=True) / opened.sum((1, 2), keepdim=True)
            return _distances((curved - level) * opened * scale * whole)
        window = {"near": near, "far": far}.get(name, whole)
        return _distances((speckle - opened) * scale * window, 2 if name == "fine" else 1)

    def _recorded(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Which pixels were recorded (1 or B, side, side), how many of each ring, and what the maps are scaled up by."""
        lit = (image > 0).any(1, keepdim=True) & (image > 0).any(2, keepdim=True)
        if bool(lit.all()):
            return self.open[None], self.count, self.open.new_ones(1, 1, 1)
        opened = self.open * lit
        whole = self.windows[0]
        share = (whole * opened).sum((1, 2), keepdim=True) / (whole * self.open).sum()
        return opened, self._sums(opened).clamp(min=1), 1 / share.clamp(min=1e-3)


def _distances(speckle: Tensor, zoom: int = 1) -> Tensor:
    """Modulus of the transform (B, M, M / 2 + 1) of windowed speckle (B, m, m), M = zoom * m, rows in order of y distance."""
    size = [zoom * speckle.shape[1]] * 2
    return torch.fft.fftshift(torch.fft.rfft2(speckle, size), dim=1).abs()


def _statistics(structure: Tensor) -> Tensor:
    """Histograms (B, STATISTICS) of a map (B, m, m / 2 + 1); see `FormAndStructure`."""
    log_value = torch.log10(structure + 1e-9)
    level = _level(log_value, -1.5, 2, LEVELS)
    one = torch.ones_like(structure)
    found = [_histogram(level, one, LEVELS), _histogram(level, (structure == _highest(structure)).float(), LEVELS)]
    square = structure.square()
    for side in _NEIGHBOURHOODS_PX:
        log_energy = torch.log10(_mean_around(square, side) + 1e-18)
        found.append(_histogram(_level(log_energy, -2.5, 3, LEVELS), one, LEVELS))
        if side == 5:
            around = _level(log_energy / 2, -1, 1.5, _COARSE)
    joint = _level(log_value, -1, 1.5, _COARSE) * _COARSE + around
    return torch.cat([*found, _histogram(joint, one, _COARSE**2)], 1)


def _level(log_value: Tensor, low: float, high: float, n: int) -> Tensor:
    """Which of n levels, int64: the first below ``low``, the last above ``high``, the others of equal width."""
    return torch.ceil((log_value - low) * ((n - 2) / (high - low))).clamp(0, n - 1).long()


def _highest(image: Tensor) -> Tensor:
    """The highest value of (B, y, x) among the 3 x 3 pixels around each; slices are several times faster than pooling."""
    for axis in (1, 2):
        n = image.shape[axis]
        inner = torch.maximum(image.narrow(axis, 0, n - 1), image.narrow(axis, 1, n - 1))
        first, last = inner.narrow(axis, 0, 1), inner.narrow(axis, n - 2, 1)
        image = torch.maximum(torch.cat([first, inner], axis), torch.cat([inner, last], axis))
    return image


def _mean_around(image: Tensor, side: int) -> Tensor:
    """Mean of (B, y, x) over squares of ``side`` pixels around each, 0 beyond the edge."""
    for axis in (1, 2):
        n, reach = image.shape[axis], side // 2
        wide = torch.nn.functional.pad(image, (reach, reach) if axis == 2 else (0, 0, reach, reach))
        image = sum((wide.narrow(axis, i, n) for i in range(1, side)), start=wide.narrow(axis, 0, n)) / side
    return image


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
