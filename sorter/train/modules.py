"""How each kind of network is trained: LightningModules."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sorter.core.seeds import child_seed
from sorter.losses.elbo import kl_to_prior, masked_gaussian_nll
from sorter.losses.nt_xent import nt_xent
from sorter.losses.supervised_contrastive import supervised_contrastive
from sorter.losses.total_correlation import discriminator_loss, permute_dims, total_correlation
from sorter.models.contrastive import ContrastiveModel
from sorter.models.factor_vae import FactorVAE, sample_latents
from sorter.models.polar_model import PolarModel
from sorter.train.config import PairConfig, TrainConfig
from sorter.train.pairs import PatternBank
from sorter.views.pipeline import PolarViews
from sorter.views.shots import Shots


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

    def __init__(self, network: nn.Module, config: TrainConfig | PairConfig) -> None:
        super().__init__()
        self.network, self.config = network, config
        self.metrics: dict[str, Tensor] = {}
        self.register_buffer("step_count", torch.zeros((), dtype=torch.long))

    def generator(self) -> torch.Generator:
        """The random stream of this step, on the module's device."""
        generator = torch.Generator(self.device)
        number = (int(self.step_count), *([self.global_rank] if self.global_rank else []))
        generator.manual_seed(child_seed(self.config.seed, "step", *number))
        self.step_count += 1
        return generator


def adamw(parameters: Iterable[nn.Parameter], learning_rate: float, total_steps: int) -> dict[str, Any]:
    """AdamW with a learning rate that rises over the first tenth of the steps and falls to nothing as a cosine."""

    def rate(step: int) -> float:
        rise = max(1, total_steps // 10)
        return min(1.0, (step + 1) / rise) * 0.5 * (1 + math.cos(math.pi * min(1.0, step / total_steps)))

    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class ContrastiveTraining(_Training):
    """NT-Xent between two views of each frame; AdamW."""

    def __init__(self, network: nn.Module, config: TrainConfig, views: PolarViews, total_steps: int) -> None:
        super().__init__(network, config)
        self.views, self.total_steps = views, total_steps

    def training_step(self, counts: Tensor, _batch_index: int) -> Tensor:
        """counts (B, S) to the loss; of several processes each one's B frames are compared with those of all."""
        generator = self.generator()
        first, second = (self.network(*self.views(counts, generator)).float() for _ in range(2))
        if self.trainer.world_size > 1:
            first, second = (self.all_gather(x, sync_grads=True).flatten(0, 1) for x in (first, second))
        loss = nt_xent(first, second, self.config.temperature)
        self.metrics = {"loss": loss.detach()}
        return loss

    def configure_optimizers(self) -> dict[str, Any]:
        """See `adamw`."""
        return adamw(self.network.parameters(), self.config.learning_rate, self.total_steps)


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


class PairTraining(_Training):
    """Supervised contrastive loss over things seen again, and cross-entropy over the kinds of each source; AdamW.

    Rows of different sources with different names are not compared: what one recipe calls "round" another calls "sphere".
    heads: one linear classifier of the features per source, thrown away after training.
    """

    def __init__(self, network: ContrastiveModel, config: PairConfig, bank: PatternBank, shots: Shots) -> None:
        super().__init__(network, config)
        self.shots, self.total_steps = shots, config.steps
        self.log_rate = torch.from_numpy(bank.log_rate)
        self.thing, self.source = (_numbered(names) for names in (bank.things(), bank.source))
        kinds = {
            name: np.unique(bank.kind[bank.source == name], return_inverse=True) for name in np.unique(bank.source)
        }
        self.kind = torch.zeros(len(bank), dtype=torch.long)
        for name, (_, number) in kinds.items():
            self.kind[torch.from_numpy(bank.source == name)] = torch.from_numpy(number)
        self.heads = nn.ModuleList(nn.Linear(network.features_dim, len(names)) for names, _ in kinds.values())

    def training_step(self, rows: Tensor, _batch_index: int) -> Tensor:
        """rows (B,) of the bank to the loss."""
        rows = rows.cpu()
        picture, weight = (x.to(self.device) for x in self.shots(self.log_rate[rows], self.generator()))
        thing, source, kind = (x[rows].to(self.device) for x in (self.thing, self.source, self.kind))
        features = self.network.features(picture, weight)
        alike, compared = thing[:, None] == thing[None], source[:, None] == source[None]
        contrast = supervised_contrastive(self.network.project(features), alike, compared, self.config.temperature)
        each = [
            functional.cross_entropy(head(features[source == i]), kind[source == i], reduction="sum")
            for i, head in enumerate(self.heads)
        ]
        cross_entropy = torch.stack(each).sum() / len(rows)
        loss = contrast + self.config.classify * cross_entropy
        self.metrics = {"loss": loss.detach(), "contrast": contrast.detach(), "cross_entropy": cross_entropy.detach()}
        return loss

    def configure_optimizers(self) -> dict[str, Any]:
        """See `adamw`."""
        return adamw(self.parameters(), self.config.learning_rate, self.total_steps)


def _numbered(names: NDArray) -> Tensor:
    return torch.from_numpy(np.unique(names, return_inverse=True)[1])
