"""Supervised contrastive loss (Khosla et al. 2020, arXiv 2004.11362, eq. 2), with pairs that say nothing left out."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def supervised_contrastive(z: Tensor, alike: Tensor, compared: Tensor, temperature: float) -> Tensor:
    """Mean over the rows that have a partner of the mean over its partners of -log softmax.

    z: (B, d) embeddings, normalised here. alike (B, B) bool: pairs that shall lie together (the diagonal is ignored).
    compared (B, B) bool: pairs that may repel; a pair that is neither alike nor compared takes no part. 0 where no row has
    a partner. Float32.
    """
    z = functional.normalize(z.float(), dim=1)
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    alike = alike & ~itself
    similarity = (z @ z.T / temperature).masked_fill(itself | ~(alike | compared), -torch.inf)
    log_share = similarity - similarity.logsumexp(1, keepdim=True)
    partners = alike.sum(1)
    per_row = torch.where(alike, log_share, 0.0).sum(1) / partners.clamp_min(1)
    return -per_row.sum() / (partners > 0).sum().clamp_min(1)
