"""A residual network trained on labelled frames, several labels per frame.

Zimmermann, Langbehn, Cucini et al., Phys. Rev. E 99, 063309 (2019): pre-activation ResNet-18, sigmoid cross-entropy over the
labels, 7,264 labelled frames of 224 x 224 pixels. Here: 64 x 64, a quarter of the channels, and what labelled frames there are.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from sorter.classic.residual_network import ResNet18, apply, batches, random_turns, train_steps

STEPS, BATCH = 200, 32


def resnet_probabilities(
    images: NDArray[np.float32], rows: NDArray[np.int64], member: NDArray[np.bool_], seed: int = 0, steps: int = STEPS
) -> NDArray[np.float32]:
    """Probability (N, C) of each label for pictures (N, S, S), trained on ``rows`` (n,) with ``member`` (n, C) bool.

    Batches of ``steps`` updates are turned and mirrored at random. The same input, seed and thread number give the same result.
    """
    torch.manual_seed(seed)
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    model = ResNet18(member.shape[1])
    known, target = torch.from_numpy(images[rows]), torch.from_numpy(member.astype(np.float32))

    def loss() -> torch.Tensor:
        chosen = batches(len(rows), BATCH, rng)
        return functional.binary_cross_entropy_with_logits(
            model(random_turns(known[chosen], generator)), target[chosen]
        )

    train_steps("resnet-18", model, steps, 3e-3, loss)
    return 1 / (1 + np.exp(-apply(model, images)))


def resnet_classes(
    images: NDArray[np.float32], rows: NDArray[np.int64], classes: NDArray, seed: int = 0, steps: int = STEPS
) -> NDArray:
    """The likeliest class (N,) of each picture, trained on ``rows`` (n,) with one class each, ``classes`` (n,)."""
    names = np.unique(classes)
    return names[resnet_probabilities(images, rows, classes[:, None] == names, seed, steps).argmax(axis=1)]
