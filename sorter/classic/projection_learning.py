"""Contrastive projection learning: a frame and its polar map as a positive pair.

Zimmermann, Beguet, Guthruf et al., npj Comput. Mater. 9, 24 (2023): SimCLR (NT-Xent at temperature 0.1) on pairs of which one
is the Cartesian frame and the other its projection on polar coordinates, both cropped and resized, flipped, turned, shifted, with
brightness changed and boxes erased; ResNet-18 and a head of three layers to 128. Published training: 1,000 epochs on four GPUs
at 224 x 224. Here: 48 x 48, a quarter of the channels, `STEPS` updates, no squeeze-and-excitation.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sorter.classic.pictures import pictures
from sorter.classic.residual_network import ResNet18, apply, batches, train_steps
from sorter.core.embedding import Embedding
from sorter.core.frames import FrameStore
from sorter.losses.nt_xent import nt_xent

STEPS, BATCH, TEMPERATURE = 150, 64, 0.1
_FEATURES = 128


def projection_embedding(store: FrameStore, steps: int = STEPS, seed: int = 0) -> Embedding:
    """Features (N, 128) of the Cartesian frames before the head, as embedding "projection"; trained on the same frames."""
    images = pictures(store, 48)
    torch.manual_seed(seed)
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    encoder = ResNet18(_FEATURES)
    head = nn.Sequential(*(part for _ in range(2) for part in (nn.ReLU(), nn.Linear(_FEATURES, _FEATURES))))
    model = nn.ModuleList([encoder, head])
    known = torch.from_numpy(images)

    def loss() -> Tensor:
        chosen = known[batches(len(known), BATCH, rng)]
        first, second = augmented(chosen, False, generator), augmented(chosen, True, generator)
        return nt_xent(head(encoder(first)), head(encoder(second)), TEMPERATURE)

    if len(images) > 1:
        train_steps("projection", model, steps, 2e-3, loss)
    meta = {"model": "projection", "steps": steps, "batch": BATCH, "seed": seed}
    vectors = apply(encoder, images) if len(images) else np.empty((0, _FEATURES), np.float32)
    return Embedding("projection", store.frame_ids, vectors, meta)


def augmented(images: Tensor, polar: bool, generator: torch.Generator) -> Tensor:
    """One augmented copy of each of (B, S, S) pictures, of the frame or of its polar projection, values in [0, 1].

    Crop of 20 to 100 % of the area, turn by up to a quarter, mirror, shift by up to an eighth, brightness by up to 0.5, contrast
    by up to 0.2, one erased box of 5 to 30 % of the area.
    """
    n = len(images)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=generator)

    zoom, shift = uniform(0.2, 1.0).sqrt(), torch.stack([uniform(-0.25, 0.25), uniform(-0.25, 0.25)], dim=1)
    mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    grid = _sampling_grid(images.shape[1], polar) * zoom[:, None, None, None] + shift[:, None, None]
    if polar:
        grid = _from_polar(grid, uniform(0, 2 * math.pi), mirror)
    else:
        angle = uniform(-math.pi / 2, math.pi / 2)
        turn = torch.stack([angle.cos() * mirror, -angle.sin(), angle.sin() * mirror, angle.cos()], dim=1).view(
            n, 1, 1, 2, 2
        )
        grid = (turn @ grid[..., None])[..., 0]
    out = functional.grid_sample(images[:, None], grid, align_corners=False)[:, 0]
    out = out * (1 + uniform(-0.2, 0.2))[:, None, None] + uniform(-0.5, 0.5)[:, None, None]
    return _erase(out.clamp(0, 1), uniform(0.05, 0.3).sqrt(), uniform(0, 1), uniform(0, 1))


def _sampling_grid(side: int, polar: bool) -> Tensor:
    """(S, S, 2) places (x, y) of a picture's pixels in [-1, 1]; for a polar picture (angle, radius)."""
    steps = (torch.arange(side) + 0.5) / side * 2 - 1
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    return torch.stack([x, y], dim=-1)


def _from_polar(grid: Tensor, start: Tensor, mirror: Tensor) -> Tensor:
    """Cartesian places of polar ones: columns are angles from ``start``, rows radii from 0 to 1."""
    angle = math.pi * grid[..., 0] * mirror[:, None, None] + start[:, None, None]
    radius = (grid[..., 1] + 1) / 2
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=-1)


def _erase(images: Tensor, side: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Pictures with a box of relative ``side`` (B,) set to zero, its corner at shares ``y``, ``x`` of what is left."""
    place = (torch.arange(images.shape[1]) + 0.5) / images.shape[1]
    inside = [
        (place >= (start * (1 - side))[:, None]) & (place < (start * (1 - side) + side)[:, None]) for start in (y, x)
    ]
    return images.masked_fill(inside[0][:, :, None] & inside[1][:, None, :], 0.0)
