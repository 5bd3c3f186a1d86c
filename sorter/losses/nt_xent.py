"""Normalised temperature-scaled cross-entropy (SimCLR: Chen et al. 2020, arXiv 2002.05709, eq. 1)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Mean loss over the 2B projections of B frames in two views each.

    first, second: (B, d), row i of both is the same frame; every other row of either is a negative (eq. 1 of the paper).
    """
    n = len(first)
    z = functional.normalize(torch.cat([first, second]).float(), dim=1)
    similarity = z @ z.T / temperature
    similarity.fill_diagonal_(-torch.inf)
    partner = torch.arange(2 * n, device=z.device).roll(n)
    return functional.cross_entropy(similarity, partner)
