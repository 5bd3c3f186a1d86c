"""Turn polar pictures into a common orientation."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def roll_angles(picture: Tensor, shift: Tensor) -> Tensor:
    """Turn each picture of (B, R, T) about the beam by its own ``shift`` (B,) int64 angle cells."""
    n_angles = picture.shape[-1]
    source = (torch.arange(n_angles, device=picture.device)[None] - shift[:, None]) % n_angles
    return picture.gather(-1, source[:, None, :].expand_as(picture))


def canonical_turn(picture: Tensor) -> Tensor:
    """Turn (B,) int64, in angle cells, that brings each picture (B, R, T) into its canonical orientation.

    The second angular harmonic, summed over the rings, gives the axis of elongation; the first decides which of its two
    ends comes first. Pictures without either (spheres) end up anywhere, and look the same everywhere.
    """
    n_angles = picture.shape[-1]
    harmonics = torch.fft.rfft(picture, dim=-1).sum(dim=-2)
    axis = -torch.angle(harmonics[:, 2]) / 2
    end = torch.cos(axis + torch.angle(harmonics[:, 1])) < 0
    angle = axis + math.pi * end
    return torch.round(-angle * n_angles / (2 * math.pi)).long() % n_angles


def canonical(picture: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures and their weights, (B, R, T) each, turned together into the canonical orientation."""
    turn = canonical_turn(picture)
    return roll_angles(picture, turn), roll_angles(weight, turn)
