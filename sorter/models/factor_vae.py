"""FactorVAE on polar pictures (Kim & Mnih 2018, arXiv 1802.05983)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sorter.core.config import require
from sorter.models.polar_encoder import CircularConv


@dataclass(frozen=True)
class FactorVAEConfig:
    """Sizes of the FactorVAE. The published discriminator is 6 x 1000; 4 x 256 costs a twentieth of it."""

    n_radii: int = 32
    n_angles: int = 64
    channels: tuple[int, ...] = (16, 32, 64)
    n_latents: int = 16
    discriminator_layers: int = 4
    discriminator_width: int = 256

    def __post_init__(self) -> None:
        step = 2 ** len(self.channels)
        require(
            self.n_radii % step == 0 and self.n_angles % step == 0,
            f"factorvae: {self.n_radii} radii x {self.n_angles} angles: both must be multiples of {step}",
        )
        require(self.n_latents >= 2, f"factorvae: {self.n_latents} latents: need at least 2")


class Discriminator(nn.Sequential):
    """Tells latents of the encoder from permuted ones; (B, n_latents) to logits (B, 2). LeakyReLU(0.2) as published."""

    def __init__(self, n_latents: int, layers: int, width: int) -> None:
        parts: list[nn.Module] = []
        for n_in in [n_latents] + [width] * (layers - 1):
            parts += [nn.Linear(n_in, width), nn.LeakyReLU(0.2)]
        super().__init__(*parts, nn.Linear(width, 2))


class FactorVAE(nn.Module):
    """Encoder, decoder and discriminator. Pictures and weights are (B, R, T), latents (B, n_latents)."""

    def __init__(self, config: FactorVAEConfig) -> None:
        super().__init__()
        self.config = config
        channels, step = tuple(config.channels), 2 ** len(config.channels)
        self.inner_shape = (channels[-1], config.n_radii // step, config.n_angles // step)
        inner = self.inner_shape[0] * self.inner_shape[1] * self.inner_shape[2]
        self.encoder = nn.Sequential(
            *(CircularConv(a, b, 2) for a, b in zip((2, *channels[:-1]), channels)), nn.Flatten(),
            nn.Linear(inner, 256), nn.ReLU(), nn.Linear(256, 2 * config.n_latents),
        )  # fmt: skip
        self.decoder_input = nn.Sequential(
            nn.Linear(config.n_latents, 256), nn.ReLU(), nn.Linear(256, inner), nn.ReLU()
        )
        up: list[nn.Module] = []
        for a, b in zip(channels[:0:-1], channels[-2::-1]):
            up += [nn.Upsample(scale_factor=2, mode="nearest"), CircularConv(a, b, 1)]
        # The last doubling comes from four channels per cell: full resolution would cost as much as all the rest.
        self.decoder = nn.Sequential(
            *up, CircularConv(channels[0], 4 * channels[0], 1), nn.PixelShuffle(2), nn.Conv2d(channels[0], 1, 1)
        )
        self.discriminator = Discriminator(config.n_latents, config.discriminator_layers, config.discriminator_width)

    @property
    def dim(self) -> int:
        """Length of an embedding vector."""
        return self.config.n_latents

    def posterior(self, picture: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | picture), (B, n_latents) each."""
        mean, log_variance = self.encoder(torch.stack([picture, weight], dim=1)).chunk(2, dim=1)
        return mean, log_variance.clamp(-12, 6)

    def encode(self, picture: Tensor, weight: Tensor) -> Tensor:
        """The embedding: the posterior's mean."""
        return self.posterior(picture, weight)[0]

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures (B, R, T) of latents (B, n_latents)."""
        return self.decoder(self.decoder_input(latents).unflatten(1, self.inner_shape))[:, 0]

    def autoencoder_parameters(self) -> list[nn.Parameter]:
        """What the first optimiser of algorithm 2 updates: encoder and decoder."""
        return [p for part in (self.encoder, self.decoder_input, self.decoder) for p in part.parameters()]


def sample_latents(mean: Tensor, log_variance: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """z = mean + std * noise, (B, d): the reparametrised sample."""
    noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
    return mean + torch.exp(0.5 * log_variance) * noise
