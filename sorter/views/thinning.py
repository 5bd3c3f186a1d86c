"""A shot of lower fluence, drawn from a recorded one."""

from __future__ import annotations

import torch
from torch import Tensor


def thin_photons(counts: Tensor, keep: Tensor, generator: torch.Generator) -> Tensor:
    """Keep each photon with probability ``keep``: Binomial(counts, keep).

    counts (B, S) whole numbers of photons, float32; keep (B,) in [0, 1]. Of a Poisson count this makes a Poisson count of
    ``keep`` times the mean, so the result is what a weaker pulse would have given. Sums of pixels may be thinned as well as
    pixels, for a sum of independent binomials with one p is binomial.
    """
    return torch.binomial(counts, keep[:, None].expand_as(counts).contiguous(), generator=generator)
