"""Total correlation by the density-ratio trick (FactorVAE: Kim & Mnih 2018, arXiv 1802.05983)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def permute_dims(z: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Permute each latent of (B, d) over the batch on its own (algorithm 1): samples of the product of the marginals."""
    order = torch.rand(z.shape, generator=generator, device=z.device).argsort(dim=0)
    return z.gather(0, order)


def total_correlation(logits: Tensor) -> Tensor:
    """Estimate E_q(z)[log q(z) / prod q(z_j)] from a discriminator's logits (B, 2) of z (eq. 3); scalar, float32.

    Column 0 stands for "from q(z)", column 1 for "permuted". The difference of logits is the log density ratio.
    """
    logits = logits.float()
    return (logits[:, 0] - logits[:, 1]).mean()


def discriminator_loss(joint_logits: Tensor, permuted_logits: Tensor) -> Tensor:
    """Cross-entropy of telling z from permuted z', (B, 2) logits each (algorithm 2); log(2) where it cannot."""
    zeros = torch.zeros(len(joint_logits), dtype=torch.long, device=joint_logits.device)
    ones = torch.ones(len(permuted_logits), dtype=torch.long, device=joint_logits.device)
    joint = functional.cross_entropy(joint_logits.float(), zeros)
    return 0.5 * (joint + functional.cross_entropy(permuted_logits.float(), ones))
