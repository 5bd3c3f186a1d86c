"""Encoders of polar pictures that a turn about the beam does not change."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class CircularConv(nn.Module):
    """3 x 3 convolution over (radius, angle), circular in the angle and zero-padded in the radius; norm; ReLU."""

    def __init__(self, n_in: int, n_out: int, stride: int | tuple[int, int]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, 3, stride=stride, padding=(1, 0), bias=False)
        self.norm = nn.BatchNorm2d(n_out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, n_in, R, T) to (B, n_out, R / stride, T / stride)."""
        return functional.relu(self.norm(self.conv(functional.pad(x, (1, 1, 0, 0), mode="circular"))))


class PolarConvEncoder(nn.Module):
    """Circular convolutions, then mean and maximum over the angle, radius kept; (B, 2, R, T) to (B, dim).

    Turning the input by a multiple of the layers' joint stride leaves the output as it is: convolutions commute with the
    turn and the pooling forgets it. With ``invariant`` False nothing is pooled and the orientation stays in the output.
    """

    def __init__(self, n_radii: int, n_angles: int, channels: tuple[int, ...], dim: int, invariant: bool) -> None:
        super().__init__()
        layers, n_in = [], 2
        for n_out in channels:
            layers.append(CircularConv(n_in, n_out, 2))
            n_in, n_radii, n_angles = n_out, (n_radii + 1) // 2, (n_angles + 1) // 2
        self.layers = nn.Sequential(*layers)
        self.invariant = invariant
        width = n_in * n_radii * (2 if invariant else n_angles)
        self.head = nn.Sequential(nn.Linear(width, dim), nn.BatchNorm1d(dim), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        """Picture and weight, (B, 2, R, T), to (B, dim)."""
        features = self.layers(x)
        if not self.invariant:
            return self.head(features.flatten(1))
        return self.head(torch.cat([features.mean(-1), features.amax(-1)], dim=1).flatten(1))


class HarmonicEncoder(nn.Module):
    """A perceptron on |Fourier transform over the angle| of each ring, blind to any turn; (B, R, T) to (B, dim).

    With ``invariant`` False it sees real and imaginary parts instead, and with them the orientation.
    """

    def __init__(self, n_radii: int, n_harmonics: int, hidden: int, dim: int, invariant: bool) -> None:
        super().__init__()
        self.n_harmonics, self.invariant = n_harmonics, invariant
        self.layers = nn.Sequential(
            nn.Linear(n_radii * n_harmonics * (1 if invariant else 2), hidden), nn.BatchNorm1d(hidden), nn.ReLU(),
            nn.Linear(hidden, dim), nn.BatchNorm1d(dim), nn.ReLU(),
        )  # fmt: skip

    def forward(self, picture: Tensor) -> Tensor:
        """Pictures (B, R, T), 0 where nothing was measured, to (B, dim)."""
        harmonics = torch.fft.rfft(picture, dim=-1, norm="forward")[..., : self.n_harmonics]
        if not self.invariant:
            return self.layers(torch.view_as_real(harmonics).flatten(1))
        return self.layers(torch.log1p(10 * harmonics.abs()).flatten(1))
