"""Encoders of polar pictures that a turn about the beam does not change."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from sorter.preprocess.features import N_FEATURES, features_of_harmonics, ring_harmonics, ring_means

#: Brings the hand-made features to about the spread of the other inputs.
_FEATURE_GAIN = 3.0


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
    """A perceptron on what a turn does not change; (B, R, T) to (B, dim).

    It sees the ring means, the amplitudes of each ring's angular harmonics 1..n_harmonics, and the hand-made features, with
    their bispectra. With ``invariant`` False it sees the real and imaginary parts of the harmonics instead of their
    amplitudes, and with them the orientation.
    """

    def __init__(self, n_radii: int, n_harmonics: int, hidden: int, dim: int, invariant: bool) -> None:
        super().__init__()
        self.n_harmonics, self.invariant = n_harmonics, invariant
        width = n_radii * (1 + n_harmonics * (1 if invariant else 2)) + N_FEATURES
        self.layers = nn.Sequential(
            nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU(),
            nn.Linear(hidden, dim), nn.BatchNorm1d(dim), nn.ReLU(),
        )  # fmt: skip

    def forward(self, picture: Tensor, weight: Tensor) -> Tensor:
        """Pictures and weights (B, R, T), as of `log_scaled`, to (B, dim)."""
        harmonics = ring_harmonics(picture, weight)
        low = harmonics[..., 1 : self.n_harmonics + 1]
        rings = torch.log1p(10 * low.abs()) if self.invariant else torch.view_as_real(low).flatten(2)
        parts = (ring_means(picture, weight), rings.flatten(1), _FEATURE_GAIN * features_of_harmonics(harmonics))
        return self.layers(torch.cat(parts, dim=1))
