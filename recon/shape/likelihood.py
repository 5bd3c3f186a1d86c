"""How well a pattern explains counts: photon statistics, with scale and background fitted and an allowance for the model.

Counts n of mean mu are Poisson; a forward model that is only right to a relative ``model_error`` e makes them negative binomial
with variance mu + (e mu)^2. mu = scale * pattern + background.
"""

from __future__ import annotations

import torch
from torch import Tensor

_SMALLEST = 1e-7


def variance(mean: Tensor, model_error: float) -> Tensor:
    """Variance of counts of ``mean``."""
    return mean + (model_error * mean).square()


def deviance(counts: Tensor, mean: Tensor, good: Tensor, model_error: float) -> Tensor:
    """Twice the log likelihood ratio (M,) between counts (M, P) that are explained perfectly and by ``mean``, on good
    pixels (P,)."""
    n, mu = counts.double(), mean.double().clamp_min(_SMALLEST)
    own = torch.where(n > 0, n * torch.log(n.clamp_min(_SMALLEST) / mu), torch.zeros_like(n))
    if model_error == 0:
        terms = own - (n - mu)
    else:
        many = model_error**-2
        terms = own - (n + many) * torch.log((n + many) / (mu + many))
    return 2 * (terms * good).sum(1)


def fit_scale(counts: Tensor, pattern: Tensor, good: Tensor, model_error: float, steps: int = 6) -> Tensor:
    """Scale and background (M, 2) that fit ``pattern`` (M, P) to ``counts`` (M, P): reweighted least squares, neither
    negative."""
    total, n_good = (counts * good).sum(1), good.sum()
    level = torch.stack([total / (pattern * good).sum(1).clamp_min(1e-12), 0.01 * total / n_good], 1)
    for _ in range(steps):
        mean = level[:, :1] * pattern + level[:, 1:]
        weight = good / variance(mean, model_error).clamp_min(_SMALLEST)
        weighted = weight * pattern
        a, b, d = (weighted * pattern).sum(1), weighted.sum(1), weight.sum(1)
        u, v = (weighted * counts).sum(1), (weight * counts).sum(1)
        determinant = (a * d - b * b).clamp_min(1e-30)
        background = ((a * v - b * u) / determinant).clamp_min(_SMALLEST)
        scale = ((u - b * background) / a.clamp_min(1e-30)).clamp_min(1e-6 * level[:, 0])
        level = torch.stack([scale, background], 1)
    return level


def chi_square(
    counts: Tensor, mean: Tensor, good: Tensor, model_error: float, parameters: int
) -> tuple[Tensor, Tensor]:
    """Pearson's chi^2 per degree of freedom (M,), and by how many of its standard deviations it exceeds 1.

    A Poisson number of mean mu gives (n - mu)^2 / mu the variance 2 + 1 / mu, far more than 2 where pixels are dark.
    """
    mu = mean.clamp_min(_SMALLEST)
    terms = (counts - mu).square() / variance(mu, model_error)
    freedom = good.sum() - parameters
    spread = ((2 + 1 / mu) * good).sum(1).sqrt()
    excess = (terms * good).sum(1) - freedom
    return 1 + excess / freedom, excess / spread
