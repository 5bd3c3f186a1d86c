"""Losses on ordered classes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def ordered_cross_entropy(logits: Tensor, target: Tensor, weight: float) -> Tensor:
    """Cross-entropy plus ``weight`` x squared earth mover's distance between the predicted distribution and the class.

    logits (B, C), target (B,) int64. The second term (Hou, Yu & Samaras, arXiv 1611.05916, eq. 9) makes an error of two disks
    cost more than one of one; weight 0 is the paper's plain cross-entropy.
    """
    loss = functional.cross_entropy(logits, target)
    if weight:
        cumulated = logits.softmax(1).cumsum(1)
        step = (torch.arange(logits.shape[1], device=logits.device) >= target[:, None]).to(logits.dtype)
        loss = loss + weight * (cumulated - step).square().sum(1).mean()
    return loss
