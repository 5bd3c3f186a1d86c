"""Variance-invariance-covariance regularisation (VICReg: Bardes, Ponce & LeCun 2022, arXiv 2105.04906)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def vicreg(
    first: Tensor, second: Tensor, invariance: float = 25.0, variance: float = 25.0, covariance: float = 1.0
) -> Tensor:
    """Loss of two views' projections, (B, d) each, with the paper's weights (eq. 6): invariance (eq. 5), a hinge on each
    dimension's standard deviation (eq. 1), and the squared off-diagonal covariance (eq. 3-4)."""
    first, second = first.float(), second.float()
    loss = invariance * functional.mse_loss(first, second)
    for z in (first, second):
        z = z - z.mean(0)
        spread = torch.sqrt(z.var(0) + 1e-4)
        loss = loss + variance * functional.relu(1 - spread).mean()
        cov = z.T @ z / (len(z) - 1)
        loss = loss + covariance * (cov.square().sum() - cov.diagonal().square().sum()) / z.shape[1]
    return loss
