"""How each kind of network is trained: LightningModules."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning
import torch
from torch import Tensor, nn

from sorter.core.seeds import child_seed
from sorter.losses.elbo import kl_to_prior, masked_gaussian_nll
from sorter.losses.nt_xent import nt_xent
from sorter.losses.total_correlation import discriminator_loss, permute_dims, total_correlation
from sorter.models.factor_vae import FactorVAE, sample_latents
from sorter.models.polar_model import PolarModel
from sorter.train.config import TrainConfig
from sorter.views.pipeline import PolarViews


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Gradients pass through ``module`` but not into its parameters."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    for p in parameters:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in parameters:
            p.requires_grad_(True)


class _Training(lightning.LightningModule):
    """What both trainings share. ``metrics`` holds the last step's figures; every step draws from its own generator,
    seeded by its number, so a resumed training goes the way an uninterrupted one would have gone."""

    def __init__(self, network: nn.Module, config: TrainConfig) -> None:
        super().__init__()
        self.network, self.config = network, config
        self.metrics: dict[str, Tensor] = {}
        self.register_buffer("step_count", torch.zeros((), dtype=torch.long))

    def generator(self) -> torch.Generator:
        """The random stream of this step, on the module's device."""
        generator = torch.Generator(self.device)
        generator.manual_seed(child_seed(self.config.seed, "step", int(self.step_count)))
        self.step_count += 1
        return generator


class ContrastiveTraining(_Training):
    """NT-Xent between two views of each frame; AdamW."""

    def __init__(self, network: nn.Module, config: TrainConfig, views: PolarViews, total_steps: int) -> None:
        super().__init__(network, config)
        self.views, self.total_steps = views, total_steps

    def training_step(self, counts: Tensor, _batch_index: int) -> Tensor:
        """counts (B, S) to the loss."""
        generator = self.generator()
        first, second = (self.network(*self.views(counts, generator)) for _ in range(2))
        loss = nt_xent(first, second, self.config.temperature)
        self.metrics = {"loss": loss.detach()}
        return loss

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW with a learning rate that rises over the first tenth of the steps and falls to nothing as a cosine."""
        optimizer = torch.optim.AdamW(self.network.parameters(), lr=self.config.learning_rate, weight_decay=1e-4)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _rate(self, step: int) -> float:
        rise = max(1, self.total_steps // 10)
        return min(1.0, (step + 1) / rise) * 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.total_steps)))


class FactorVAETraining(_Training):
    """Algorithm 2 of Kim & Mnih 2018: two optimisers in turn, two independent halves of each batch."""

    def __init__(self, network: FactorVAE, config: TrainConfig, model: PolarModel, area: Tensor) -> None:
        super().__init__(network, config)
        self.automatic_optimization = False
        self.pictures = model.pictures
        self.register_buffer("area", area)

    def training_step(self, counts: Tensor, _batch_index: int) -> None:
        """counts (2B, S): the first half trains encoder and decoder, the second gives the permuted latents."""
        generator = self.generator()
        autoencoder_optimizer, discriminator_optimizer = self.optimizers()
        picture, weight = self.pictures(counts, self.area)
        half = len(counts) // 2
        loss, latents = self.autoencoder_loss(picture[:half], weight[:half], generator)
        autoencoder_optimizer.zero_grad()
        self.manual_backward(loss)
        autoencoder_optimizer.step()
        with torch.no_grad():
            other = sample_latents(*self.network.posterior(picture[half:], weight[half:]), generator)
        loss = self.discriminator_loss(latents.detach(), permute_dims(other, generator))
        discriminator_optimizer.zero_grad()
        self.manual_backward(loss)
        discriminator_optimizer.step()

    def autoencoder_loss(self, picture: Tensor, weight: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Reconstruction + KL + gamma TC (eq. 2), and the latents; no gradient reaches the discriminator's weights."""
        mean, log_variance = self.network.posterior(picture, weight)
        latents = sample_latents(mean, log_variance, generator)
        reconstruction = masked_gaussian_nll(self.network.decode(latents), picture, weight, self.config.sigma)
        kl = kl_to_prior(mean, log_variance)
        with frozen(self.network.discriminator):
            tc = total_correlation(self.network.discriminator(latents))
        loss = reconstruction + kl + self.config.gamma * tc
        self.metrics = {"loss": loss, "reconstruction": reconstruction, "kl": kl, "total_correlation": tc}
        return loss, latents

    def discriminator_loss(self, latents: Tensor, permuted: Tensor) -> Tensor:
        """Cross-entropy of latents against permuted ones; both come without a graph to the encoder."""
        discriminator = self.network.discriminator
        loss = discriminator_loss(discriminator(latents.detach()), discriminator(permuted.detach()))
        self.metrics["discriminator_loss"] = loss
        return loss

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Adam for both, betas as published: (0.9, 0.999) and (0.5, 0.9)."""
        return [
            torch.optim.Adam(self.network.autoencoder_parameters(), lr=self.config.learning_rate),
            torch.optim.Adam(self.network.discriminator.parameters(), lr=1e-4, betas=(0.5, 0.9)),
        ]
