"""Downsampling by discrete cosine transforms of blocks (Salazar & Tran 2004), as Chan et al. 2020 prepare measured patterns."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sorter.core.errors import InputError


def block_dct(volume: Tensor, side: int) -> Tensor:
    """``volume`` (..., n, n, n) with ``side`` voxels along each axis, n a multiple of a divisor: dct, crop, inverse dct,
    blockwise.

    Blocks of p voxels become blocks of q, p / q = n / side in lowest terms; the sum over the volume is kept. q = 1 is the sum
    over blocks. Raises InputError where the pattern is smaller than ``side``.
    """
    for axis in (-3, -2, -1):
        n = volume.shape[axis]
        if n < side:
            raise InputError(f"a pattern of {n} voxels along an axis is smaller than the {side} that the network reads")
        if n != side:
            common = math.gcd(n, side)
            volume = _along(volume, axis, _matrix(n // common, side // common).to(volume))
    return volume


def _along(volume: Tensor, axis: int, matrix: Tensor) -> Tensor:
    moved = volume.movedim(axis, -1)
    blocks = moved.unflatten(-1, (-1, matrix.shape[1])) @ matrix.T
    return blocks.flatten(-2).movedim(-1, axis)


def _matrix(p: int, q: int) -> Tensor:
    """(q, p): inverse DCT of q of the first q coefficients of the DCT of p, scaled so that sums are kept."""
    return _dct(q).T @ _dct(p)[:q] * math.sqrt(p / q)


def _dct(n: int) -> Tensor:
    """Orthonormal DCT-II (n, n), float64."""
    k, x = torch.arange(n, dtype=torch.float64)[:, None], torch.arange(n, dtype=torch.float64)
    matrix = torch.cos(torch.pi * (2 * x + 1) * k / (2 * n)) * math.sqrt(2 / n)
    matrix[0] /= math.sqrt(2)
    return matrix
