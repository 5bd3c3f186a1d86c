"""The soft filling of a box by bodies: unions and layers of convex parts, sampled by columns."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from sim.particles.bodies import Bodies
from sim.scattering import columns
from sim.scattering.grids import Box


def fill(bodies: Bodies, box: Box, k: float, dtype: torch.dtype, apart: bool = False) -> Tensor:
    """Soft filling of ``box`` by each layer of each of M bodies, as steps from plane to plane.

    (L, planes, 2, half, 2, half, M), averaged over the columns of a pixel, see `columns.soft_steps`; apart: not averaged, the
    last axis is M columns^2 with the columns of a body side by side.
    """
    near, levels = _cut(bodies, box, k, dtype)
    if apart:
        levels = [tuple(v.transpose(1, 2).flatten(0, 1)[:, :, None] for v in level) for level in levels]
    covers = [columns.soft_steps(*level, near, 4 * box.half**2, box) for level in levels]
    return torch.stack(_visible(covers)).unflatten(2, (2, box.half, 2, box.half))


def exit_wave(bodies: Bodies, box: Box, k: float, dtype: torch.dtype) -> Tensor:
    """Exit wave minus 1, (2, half, 2, half, M) complex, of M bodies as thin as their projection, averaged over each pixel."""
    near, levels = _cut(bodies, box, k, dtype)
    chords = [((high - low) * weight).sum(1) for low, high, weight in levels]
    phase = sum(1j * (n - 1)[:, None, None] * chord for n, chord in zip(bodies.index.T, _visible(chords), strict=True))
    wave = (torch.exp(phase) - 1).mean(1).T
    whole = wave.new_zeros(4 * box.half**2, len(bodies)).index_copy(0, near, wave)
    return whole.unflatten(0, (2, box.half, 2, box.half))


def _visible(covers: list[Tensor]) -> list[Tensor]:
    """What each layer fills, from what it and those above it fill together."""
    return [cover - above for cover, above in pairwise(covers)] + covers[-1:]


def _cut(bodies: Bodies, box: Box, k: float, dtype: torch.dtype) -> tuple[Tensor, list[tuple[Tensor, Tensor, Tensor]]]:
    """Pixels (K,) that bodies in ``box`` can meet and, per layer, intervals (M, S, columns^2, K) of it and those above."""
    x, y = box.pixel_positions(bodies.frame.device)
    near = torch.nonzero(torch.hypot(x, y) < box.radius + box.pixel)[:, 0]
    shifts = ((torch.arange(box.columns, dtype=x.dtype, device=x.device) + 0.5) / box.columns - 0.5) * box.pixel
    sy, sx = torch.meshgrid(shifts, shifts, indexing="ij")
    x, y = ((v[near] + s.reshape(-1, 1)).reshape(-1).to(dtype) for v, s in ((x, sx), (y, sy)))
    parts = columns.parts_of(bodies, k, dtype)
    found = columns.intervals(parts, x, y, box.pixel / box.columns, 2 * box.radius)
    found = tuple(v.unflatten(-1, (box.columns**2, len(near))) for v in found)
    return near, [_union(bodies, level, *found) for level in range(bodies.index.shape[1])]


def _union(bodies: Bodies, level: int, low: Tensor, high: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Disjoint intervals (M, S, ...) of the union of the parts of layer ``level`` and above, from those (P, ...) of the parts."""
    count = len(bodies)
    used = torch.nonzero(bodies.layer >= level)[:, 0]
    owner = bodies.owner[used]
    per_body = torch.bincount(owner, minlength=count)
    segments = int(per_body.max()) if len(used) else 1
    if segments == 1 and len(used) == count:
        return low[used][:, None], high[used][:, None], weight[used][:, None]
    start = per_body.cumsum(0) - per_body
    place = owner * segments + torch.arange(len(used), device=owner.device) - start[owner]
    padded = []
    for v in (low, high, weight):
        empty = v.new_zeros(count * segments, *v.shape[1:])
        padded.append(empty.index_copy(0, place, v[used]).unflatten(0, (count, segments)))
    return columns.merge(*padded)
