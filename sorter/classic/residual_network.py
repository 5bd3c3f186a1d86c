"""The residual network of the published sorters, and how they are trained here."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from sorter.io.progress import Progress

log = logging.getLogger(__name__)


class PreActivationBlock(nn.Module):
    """Two 3 x 3 convolutions with normalisation and leaky ReLU(0.2) before each (He et al. 2016, identity mappings)."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.BatchNorm2d(n_in), nn.LeakyReLU(0.2), nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        )
        self.second = nn.Sequential(
            nn.BatchNorm2d(n_out), nn.LeakyReLU(0.2), nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        )
        same = n_in == n_out and stride == 1
        self.skip = nn.Identity() if same else nn.Conv2d(n_in, n_out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.skip(x) + self.second(self.first(x))


class ResNet18(nn.Sequential):
    """ResNet-18: pictures (B, S, S) to (B, n_out); ``width`` channels at first (published: 64), doubled three times."""

    def __init__(self, n_out: int, width: int = 16) -> None:
        widths = [width * 2**i for i in range(4)]
        parts: list[nn.Module] = [nn.Unflatten(1, (1, -1)), nn.Conv2d(1, width, 5, 2, 2, bias=False)]
        for n_in, n in zip([width, *widths[:3]], widths):
            parts += [PreActivationBlock(n_in, n, 1 if n == width else 2), PreActivationBlock(n, n, 1)]
        last = [
            nn.BatchNorm2d(widths[-1]),
            nn.LeakyReLU(0.2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(widths[-1], n_out),
        ]
        super().__init__(*parts, *last)


def random_turns(images: Tensor, generator: torch.Generator) -> Tensor:
    """(B, S, S) pictures, each turned by a multiple of 90 degrees and perhaps mirrored: the exact symmetries of a square."""
    out = images.clone()
    which = torch.randint(8, (len(images),), generator=generator)
    for k in range(8):
        rows = which == k
        turned = torch.rot90(images[rows], k % 4, (1, 2))
        out[rows] = turned.flip(2) if k >= 4 else turned
    return out


def batches(n: int, size: int, rng: np.random.Generator) -> Tensor:
    """Rows (min(size, n),) of a random batch without repeats."""
    return torch.from_numpy(rng.choice(n, min(size, n), replace=False))


def train_steps(name: str, model: nn.Module, steps: int, rate: float, loss: Callable[[], Tensor]) -> None:
    """``steps`` updates by AdamW (decay 1e-4) under a one-cycle schedule up to ``rate``; ``loss`` draws its own batch."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=max(steps, 2))
    model.train()
    with Progress(f"train {name}", steps, "steps") as bar:
        for _ in range(steps):
            optimiser.zero_grad()
            loss().backward()
            optimiser.step()
            schedule.step()
            bar.update(1)
    model.eval()


@torch.inference_mode()
def apply(model: nn.Module, images: np.ndarray, size: int = 256) -> np.ndarray:
    """Outputs (N, d) float32 of a model for pictures (N, S, S), in batches."""
    parts = [model(torch.from_numpy(images[start : start + size])) for start in range(0, len(images), size)]
    return torch.cat(parts).numpy() if parts else np.empty((0, 0), np.float32)
