"""The soft filling of a box by bodies: unions and layers of convex parts, sampled by columns."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from sim.particles.bodies import Bodies
from sim.scattering import columns
from sim.scattering.grids import Box


def fill(bodies: Bodies, box: Box, k: float, dtype: torch.dtype) -> Tensor:
    """Soft filling of ``box`` by each layer of each of M bodies, as steps from plane to plane.

    (L, planes, 2, half, 2, half, M), see `columns.soft_steps`.
    """
    x, y = box.pixel_positions(bodies.frame.device)
    near = torch.nonzero(torch.hypot(x, y) < box.radius + box.pixel)[:, 0]
    shifts = ((torch.arange(box.columns, dtype=x.dtype, device=x.device) + 0.5) / box.columns - 0.5) * box.pixel
    sy, sx = torch.meshgrid(shifts, shifts, indexing="ij")
    x, y = ((v[near] + s.reshape(-1, 1)).reshape(-1).to(dtype) for v, s in ((x, sx), (y, sy)))
    parts = columns.parts_of(bodies, k, dtype)
    found = columns.intervals(parts, x, y, box.pixel / box.columns, 2 * box.radius)
    found = tuple(v.unflatten(-1, (box.columns**2, len(near))) for v in found)
    covers = [
        columns.soft_steps(*_union(bodies, level, *found), near, 4 * box.half**2, box)
        for level in range(bodies.index.shape[1])
    ]
    visible = [c - above for c, above in pairwise(covers)] + covers[-1:]
    return torch.stack(visible).unflatten(2, (2, box.half, 2, box.half))


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
