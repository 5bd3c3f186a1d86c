"""FactorVAE on the frames as they are, to be clustered by HDBSCAN on its latents.

The combination proposed by Zimmermann ("Deep learning for classifying and sorting diffraction images") with the FactorVAE of
Kim & Mnih, arXiv 1802.05983 (2018), tables 1 and 2: 64 x 64 pictures, four strided convolutions, Bernoulli likelihood summed over
pixels, gamma 6.4, 10 latents, a discriminator of six layers of 1,000, Adam at 1e-4 (published: 300,000 updates of 64; here
`STEPS` at a higher rate).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sorter.classic.pictures import pictures
from sorter.classic.residual_network import apply, batches
from sorter.core.embedding import Embedding
from sorter.core.frames import FrameStore
from sorter.io.progress import Progress
from sorter.losses.elbo import kl_to_prior
from sorter.losses.total_correlation import discriminator_loss, permute_dims, total_correlation
from sorter.models.factor_vae import Discriminator, sample_latents

STEPS, BATCH, GAMMA, N_LATENTS = 300, 64, 6.4, 10
_RATE = 1e-3


class CartesianVAE(nn.Module):
    """Encoder and decoder of Kim & Mnih's table 1 for pictures (B, 64, 64)."""

    def __init__(self, n_latents: int = N_LATENTS) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Unflatten(1, (1, -1)),
            nn.Conv2d(1, 32, 4, 2, 1), nn.ReLU(), nn.Conv2d(32, 32, 4, 2, 1), nn.ReLU(),
            nn.Conv2d(32, 64, 4, 2, 1), nn.ReLU(), nn.Conv2d(64, 64, 4, 2, 1), nn.ReLU(),
            nn.Flatten(), nn.Linear(1024, 128), nn.ReLU(), nn.Linear(128, 2 * n_latents),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Linear(n_latents, 128), nn.ReLU(), nn.Linear(128, 1024), nn.ReLU(), nn.Unflatten(1, (64, 4, 4)),
            nn.ConvTranspose2d(64, 64, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.ReLU(),
            nn.ConvTranspose2d(32, 32, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(32, 1, 4, 2, 1), nn.Flatten(1, 2),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        """Posterior means (B, n_latents)."""
        return self.encoder(images).chunk(2, dim=1)[0]


def cartesian_factorvae_embedding(store: FrameStore, steps: int = STEPS, seed: int = 0) -> Embedding:
    """Posterior means (N, 10) as embedding "cartesian-factorvae"; trained on the same frames (algorithm 2 of the paper)."""
    images = pictures(store)
    torch.manual_seed(seed)
    rng, known = np.random.default_rng(seed), torch.from_numpy(images)
    vae, judge = CartesianVAE(), Discriminator(N_LATENTS, 6, 1000)
    first = torch.optim.Adam(vae.parameters(), _RATE, betas=(0.9, 0.999))
    second = torch.optim.Adam(judge.parameters(), 1e-4, betas=(0.5, 0.9))
    with Progress("train cartesian-factorvae", steps, "steps") as bar:
        for _ in range(steps if len(images) > 1 else 0):
            images_one, images_two = (known[batches(len(known), BATCH, rng)] for _ in range(2))
            z = _update_vae(vae, judge, first, images_one)
            with torch.no_grad():
                mean, log_variance = vae.encoder(images_two).chunk(2, dim=1)
                permuted = permute_dims(sample_latents(mean, log_variance))
            second.zero_grad()
            discriminator_loss(judge(z), judge(permuted)).backward()
            second.step()
            bar.update(1)
    vectors = apply(vae.eval(), images) if len(images) else np.empty((0, N_LATENTS), np.float32)
    meta = {"model": "cartesian-factorvae", "steps": steps, "batch": BATCH, "seed": seed}
    return Embedding("cartesian-factorvae", store.frame_ids, vectors, meta)


def _update_vae(vae: CartesianVAE, judge: nn.Module, optimiser: torch.optim.Optimizer, images: Tensor) -> Tensor:
    """One update of encoder and decoder; the latents drawn, detached."""
    mean, log_variance = vae.encoder(images).chunk(2, dim=1)
    z = sample_latents(mean, log_variance)
    nll = functional.binary_cross_entropy_with_logits(vae.decoder(z), images, reduction="none").flatten(1).sum(1).mean()
    loss = nll + kl_to_prior(mean, log_variance) + GAMMA * total_correlation(judge(z))
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return z.detach()
