"""Bodies in the laboratory: shapes with size, orientation, position and material, batched over particles and frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sim import orientation
from sim.particles.shape import Shape, pad_faces, transform_quadrics
from sorter.core.errors import InputError


@dataclass(frozen=True)
class Bodies:
    """M particles in B frames, as flat lists of P convex parts about the particles' own centres; float64 until computed with.

    frame (M,) int64: the frame of each particle; n_frames: B. position_m (M, 3): centre in the laboratory, x and y across
    the beam, z along it. radius_m (M,): a sphere about the centre that holds the particle.
    index (M, L) complex: refractive index of each layer, 1 where there is none.
    owner (P,) int64: the particle of each part; layer (P,) int64. normals (P, F, 3), offsets_m (P, F),
    quadrics (P, 4, 4) in metres, grow (P, 3), has_quadric (P,): see `sim.particles.shape.Shape`.
    """

    frame: Tensor
    n_frames: int
    position_m: Tensor
    radius_m: Tensor
    index: Tensor
    owner: Tensor
    layer: Tensor
    normals: Tensor
    offsets_m: Tensor
    quadrics: Tensor
    grow: Tensor
    has_quadric: Tensor

    def __len__(self) -> int:
        return len(self.frame)

    def select(self, particles: Tensor) -> Bodies:
        """The ``particles`` (K,) int64 alone, in that order; frames keep their numbers."""
        rank = torch.full((len(self),), -1, dtype=torch.int64, device=self.frame.device)
        rank[particles] = torch.arange(len(particles), device=rank.device)
        parts = torch.nonzero(rank[self.owner] >= 0)[:, 0]
        parts = parts[torch.argsort(rank[self.owner[parts]], stable=True)]
        per_particle = {k: getattr(self, k)[particles] for k in ("frame", "position_m", "radius_m", "index")}
        fields = ("layer", "normals", "offsets_m", "quadrics", "grow", "has_quadric")
        per_part = {k: getattr(self, k)[parts] for k in fields}
        return replace(self, owner=rank[self.owner[parts]], **per_particle, **per_part)

    def to(self, device: torch.device | str) -> Bodies:
        """The same bodies with all tensors on ``device``."""
        moved = {k: v.to(device) for k, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, **moved)


def place(
    shapes: Shape | Sequence[Shape],
    size_m: Tensor | Sequence[float] | float,
    index: Tensor | complex | Sequence[complex],
    quaternion: Tensor | None = None,
    position_m: Tensor | None = None,
    frame: Tensor | Sequence[int] | None = None,
    n_frames: int | None = None,
) -> Bodies:
    """Put M ``shapes`` (or one shape, M times) into the laboratory.

    size_m: length of the shape's unit (its circumscribed radius), (M,) or () or, to stretch along the body axes, (M, 3).
    index: refractive index, (M, L), (M,) or one number; Im > 0 absorbs. quaternion (M, 4), default no rotation.
    position_m (M, 3), default the origin. frame (M,): which frame each particle is in, default one particle per frame.
    Gradients flow from size_m, index, quaternion and position_m. Raises InputError for impossible values.
    """
    size = torch.as_tensor(size_m, dtype=torch.float64)
    count = len(shapes) if not isinstance(shapes, Shape) else _batch(size, quaternion, position_m, frame)
    shapes = [shapes] * count if isinstance(shapes, Shape) else list(shapes)
    size = _sizes(size, count)
    q = orientation.normalize(_rows(quaternion, (1.0, 0.0, 0.0, 0.0), count))
    position = _rows(position_m, (0.0, 0.0, 0.0), count)
    frame = torch.arange(count) if frame is None else torch.as_tensor(frame, dtype=torch.int64)
    n_frames = (int(frame.max()) + 1 if count else 0) if n_frames is None else n_frames
    if count and not 0 <= int(frame.min()) <= int(frame.max()) < n_frames:
        raise InputError(f"particles are put into frames {int(frame.min())}..{int(frame.max())} of {n_frames}")
    owner = torch.repeat_interleave(torch.arange(count), torch.tensor([len(s.layers) for s in shapes]))
    faces = max(s.normals.shape[1] for s in shapes)
    padded = [pad_faces(s.normals, s.offsets, faces) for s in shapes]
    matrix = orientation.rotation_matrix(q)
    normals, offsets = _stretched_faces(
        torch.cat([n for n, _ in padded]), torch.cat([d for _, d in padded]), size[owner], matrix[owner]
    )
    return Bodies(
        frame=frame,
        n_frames=n_frames,
        position_m=position,
        radius_m=torch.tensor([s.extent for s in shapes]) * size.detach().amax(1),
        index=_layer_indices(index, count, max(s.n_layers for s in shapes)),
        owner=owner,
        layer=torch.cat([s.layers for s in shapes]),
        normals=normals,
        offsets_m=offsets,
        quadrics=transform_quadrics(
            torch.cat([s.quadrics for s in shapes]),
            (matrix * size[:, None])[owner],
            torch.zeros(len(owner), 3).double(),
        ),
        grow=(matrix[owner] @ torch.cat([s.grow for s in shapes])[..., None])[..., 0],
        has_quadric=torch.cat([s.has_quadric for s in shapes]),
    )


def _batch(
    size: Tensor, quaternion: Tensor | None, position: Tensor | None, frame: Tensor | Sequence[int] | None
) -> int:
    lengths = [len(v) for v in (quaternion, position, frame) if v is not None]
    return max([*lengths, 1 if size.ndim == 0 else len(size)])


def _sizes(size: Tensor, count: int) -> Tensor:
    if size.ndim < 2:
        size = size.expand(count)[:, None].expand(count, 3)
    if size.shape != (count, 3) or not bool((torch.isfinite(size) & (size > 0)).all()):
        raise InputError(f"particle sizes must be {count} positive lengths in metres")
    return size


def _rows(values: Tensor | None, default: tuple[float, ...], count: int) -> Tensor:
    rows = torch.tensor(default, dtype=torch.float64) if values is None else torch.as_tensor(values).double()
    try:
        return rows.expand(count, len(default))
    except RuntimeError as error:
        raise InputError(
            f"{count} particles need values of shape ({count}, {len(default)}), not {tuple(rows.shape)}"
        ) from error


def _layer_indices(index: Tensor | complex | Sequence[complex], count: int, layers: int) -> Tensor:
    value = torch.as_tensor(index, dtype=torch.complex128)
    if value.ndim == 1 and len(value) == count:
        value = value[:, None]
    try:
        value = value.expand(count, value.shape[-1] if value.ndim else layers)
    except RuntimeError as error:
        raise InputError(
            f"refractive indices {tuple(value.shape)} do not fit {count} particles; give (M,) or (M, layers)"
        ) from error
    if value.shape[1] < layers:
        raise InputError(f"a shape of {layers} layers needs {layers} refractive indices, not {value.shape[1]}")
    if not bool((torch.isfinite(value.real) & (value.imag >= 0)).all()):
        raise InputError("refractive indices must be finite with an imaginary part >= 0 (absorbing)")
    return value


def _stretched_faces(normals: Tensor, offsets: Tensor, size: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Half-spaces after stretching by ``size`` (P, 3) along the body axes and turning by ``matrix`` (P, 3, 3)."""
    slanted = normals / size[:, None]
    length = slanted.norm(dim=-1)
    length = torch.where(length > 0, length, torch.ones_like(length))
    return (slanted / length[..., None]) @ matrix.mT, offsets / length
