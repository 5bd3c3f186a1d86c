"""The contrastive encoder."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from sorter.models.polar_encoder import HarmonicEncoder, PolarConvEncoder


@dataclass(frozen=True)
class ContrastiveModelConfig:
    """Sizes of the contrastive encoder; invariant: whether the embedding forgets the orientation about the beam."""

    n_radii: int = 32
    n_angles: int = 64
    channels: tuple[int, ...] = (16, 32, 64)
    conv_dim: int = 128
    n_harmonics: int = 16
    hidden: int = 1024
    harmonic_dim: int = 128
    projection_hidden: int = 512
    projection_dim: int = 128
    invariant: bool = True


class ContrastiveModel(nn.Module):
    """Polar convolutions and ring harmonics side by side, projected onto the unit sphere.

    The projection that the loss sees is the embedding: by nearest neighbours it classified simulated hits better than the
    layer before it (balanced accuracy with 20 labels per class 0.52 against 0.45).
    """

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
            nn.Linear(config.conv_dim + config.harmonic_dim, config.projection_hidden),
            nn.BatchNorm1d(config.projection_hidden), nn.ReLU(),
            nn.Linear(config.projection_hidden, config.projection_dim),
        )  # fmt: skip

    @property
    def dim(self) -> int:
        """Length of an embedding vector."""
        return self.config.projection_dim

    @property
    def features_dim(self) -> int:
        """Length of the vectors before the projection."""
        return self.config.conv_dim + self.config.harmonic_dim

    def features(self, picture: Tensor, weight: Tensor) -> Tensor:
        """Scaled polar pictures and their weights, (B, R, T) each, to the layer before the projection (B, features_dim)."""
        both = [self.conv(torch.stack([picture, weight], dim=1)), self.harmonics(picture, weight)]
        return torch.cat(both, dim=1)

    def project(self, features: Tensor) -> Tensor:
        """Features to unit vectors (B, dim)."""
        return functional.normalize(self.projection(features), dim=1)

    def encode(self, picture: Tensor, weight: Tensor) -> Tensor:
        """Scaled polar pictures and their weights, (B, R, T) each, to unit vectors (B, dim)."""
        return self.project(self.features(picture, weight))

    def forward(self, picture: Tensor, weight: Tensor) -> Tensor:
        """The same as `encode`."""
        return self.encode(picture, weight)
