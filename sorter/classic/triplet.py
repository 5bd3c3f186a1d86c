"""A few-shot embedding by triplets of labelled frames.

SpeckleNN (Wang, Florin, Chang et al., IUCrJ 10, 568 (2023)): a small convolutional twin network maps a frame to 128 numbers of
unit norm; triplets with semi-hard negatives draw frames of a class together; a new frame takes the class of the nearest
support frames. Settings as published (margin 0.02, rate 1e-3), pictures of 64 x 64.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sorter.classic.residual_network import apply, batches, random_turns, train_steps

STEPS, BATCH, MARGIN = 150, 64, 0.02


class TwinNetwork(nn.Sequential):
    """(B, S, S) pictures to (B, 128): two 5 x 5 convolutions of 32 and 64 channels with PReLU, pooling and dropout, then 512."""

    def __init__(self, side: int) -> None:
        inner = 64 * ((side // 2) // 4) ** 2
        super().__init__(
            nn.Unflatten(1, (1, -1)), nn.AvgPool2d(2), nn.BatchNorm2d(1),
            nn.Conv2d(1, 32, 5, padding=2), nn.PReLU(), nn.MaxPool2d(2), nn.Dropout2d(0.2),
            nn.Conv2d(32, 64, 5, padding=2), nn.PReLU(), nn.MaxPool2d(2), nn.Dropout2d(0.2),
            nn.Flatten(), nn.Linear(inner, 512), nn.PReLU(), nn.Linear(512, 128),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        return functional.normalize(super().forward(images), dim=1)


def semi_hard_loss(vectors: Tensor, classes: Tensor, margin: float = MARGIN) -> Tensor:
    """d(a, p)^2 - d(a, n)^2 + margin over all pairs of a class (Schroff et al. 2015, eq. 3), mean of the positive ones; n is the
    nearest negative that is farther than p, or the farthest one where none is. vectors (B, d) of unit norm, classes (B,)."""
    squared = (2 - 2 * vectors @ vectors.T).clamp_min(0)
    same = classes[:, None] == classes[None]
    positive = same & ~torch.eye(len(classes), dtype=torch.bool)
    anchors, partners = positive.nonzero(as_tuple=True)
    if not len(anchors) or same.all():
        return vectors.sum() * 0
    near, away = squared[anchors, partners], squared[anchors]
    negative = ~same[anchors]
    farther = away.masked_fill(~negative | (away <= near[:, None]), torch.inf).min(dim=1).values
    farthest = away.masked_fill(~negative, -torch.inf).max(dim=1).values
    losses = functional.relu(near - torch.where(farther.isinf(), farthest, farther) + margin)
    return losses.sum() / (losses > 0).sum().clamp_min(1)


def triplet_classes(images: NDArray[np.float32], rows: NDArray[np.int64], classes: NDArray, seed: int = 0) -> NDArray:
    """Class (N,) of each picture (N, S, S): that of the nearest support on average, after training on ``rows`` of ``classes``."""
    torch.manual_seed(seed)
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    names, number = np.unique(classes, return_inverse=True)
    model = TwinNetwork(images.shape[1])
    known, target = torch.from_numpy(images[rows]), torch.from_numpy(number)

    def loss() -> Tensor:
        chosen = batches(len(rows), BATCH, rng)
        return semi_hard_loss(model(_patched(random_turns(known[chosen], generator), generator)), target[chosen])

    train_steps("triplet", model, STEPS, 1e-3, loss)
    vectors = apply(model, images)
    closeness = vectors @ vectors[rows].T
    mean = np.stack([closeness[:, number == c].mean(axis=1) for c in range(len(names))], axis=1)
    return names[mean.argmax(axis=1)]


def _patched(images: Tensor, generator: torch.Generator, n_patches: int = 10) -> Tensor:
    """Pictures (B, S, S) with ten random squares of a twentieth of the side set to zero, the same ones for the whole batch."""
    out, side = images.clone(), max(1, images.shape[1] // 20)
    for y, x in torch.randint(images.shape[1] - side, (n_patches, 2), generator=generator).tolist():
        out[:, y : y + side, x : x + side] = 0
    return out
