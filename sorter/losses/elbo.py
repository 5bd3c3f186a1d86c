"""The two terms of the evidence lower bound (Kingma & Welling 2014, arXiv 1312.6114), on masked pictures."""

from __future__ import annotations

from torch import Tensor


def masked_gaussian_nll(reconstruction: Tensor, target: Tensor, weight: Tensor, sigma: float) -> Tensor:
    """-log N(target; reconstruction, sigma^2) up to a constant, summed over cells, mean over the batch; float32 scalar.

    reconstruction, target, weight: (B, R, T). A cell of weight 0 (gap, beam stop) has neither loss nor gradient, whatever
    it holds. Computed in float32: the sum over a picture leaves the range of half precision.
    """
    weight = weight.float()
    error = (reconstruction.float() - target.float()).masked_fill(weight == 0, 0.0)
    return (weight * error.square()).flatten(1).sum(1).mean() / (2 * sigma**2)


def kl_to_prior(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, 1)), summed over the latents (B, d), mean over the batch (appendix B)."""
    mean, log_variance = mean.float(), log_variance.float()
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
