"""The contrastive encoder: what is kept as the embedding, and the head that only training sees."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sorter.models.polar_encoder import HarmonicEncoder, PolarConvEncoder


@dataclass(frozen=True)
class ContrastiveModelConfig:
    """Sizes of the contrastive encoder; invariant: whether the embedding forgets the orientation about the beam."""

    n_radii: int = 32
    n_angles: int = 64
    channels: tuple[int, ...] = (32, 64, 128)
    conv_dim: int = 128
    n_harmonics: int = 16
    hidden: int = 512
    harmonic_dim: int = 128
    projection_hidden: int = 512
    projection_dim: int = 128
    invariant: bool = True


class ContrastiveModel(nn.Module):
    """Polar convolutions and ring harmonics side by side. `encode` is the embedding, `forward` the projection of it."""

    def __init__(self, config: ContrastiveModelConfig) -> None:
        super().__init__()
        self.config = config
        self.conv = PolarConvEncoder(
            config.n_radii, config.n_angles, tuple(config.channels), config.conv_dim, config.invariant
        )
        self.harmonics = HarmonicEncoder(
            config.n_radii, config.n_harmonics, config.hidden, config.harmonic_dim, config.invariant
        )
        self.projection = nn.Sequential(
            nn.Linear(self.dim, config.projection_hidden), nn.BatchNorm1d(config.projection_hidden), nn.ReLU(),
            nn.Linear(config.projection_hidden, config.projection_dim),
        )  # fmt: skip

    @property
    def dim(self) -> int:
        """Length of an embedding vector."""
        return self.config.conv_dim + self.config.harmonic_dim

    def encode(self, picture: Tensor, weight: Tensor) -> Tensor:
        """Scaled polar pictures and their weights, (B, R, T) each, to (B, dim)."""
        return torch.cat([self.conv(torch.stack([picture, weight], dim=1)), self.harmonics(picture, weight)], dim=1)

    def forward(self, picture: Tensor, weight: Tensor) -> Tensor:
        """Projections (B, projection_dim) for the loss."""
        return self.projection(self.encode(picture, weight))
