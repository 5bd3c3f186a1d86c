"""From recorded frames to what is stored of them: hit score, embedding, cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sorter.core.clustering import Placed
from sorter.preprocess.hits import Background
from sorter.preprocess.polar import PolarMap


@dataclass(frozen=True)
class Part:
    """One of the embeddings that are clustered together. encoder: sector counts (B, S), areas (S,) to vectors (B, d)."""

    name: str
    polar: PolarMap
    encoder: Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Sorted:
    """Of n frames: frame_id, photons, score, is_hit (n,); of the m hits among them, in their order: vectors, name of the
    embedding -> (m, d); points (m, k); placement."""

    frame_id: NDArray[np.uint64]
    photons: NDArray[np.float64]
    score: NDArray[np.float32]
    is_hit: NDArray[np.bool_]
    vectors: dict[str, NDArray[np.float32]]
    points: NDArray[np.float32]
    placement: Placed

    @property
    def hit_ids(self) -> NDArray[np.uint64]:
        """Ids of the hits."""
        return self.frame_id[self.is_hit]


class FrameSorter:
    """Sorts frames as they lie in the store, by what an earlier run has shown.

    A frame's result depends on that frame alone, not on those that it came with. project: vectors of all parts to points.
    """

    def __init__(
        self,
        background: Background,
        threshold: float,
        parts: list[Part],
        project: Callable[[list[NDArray]], NDArray[np.float32]],
        assign: Callable[[NDArray], Placed],
        device: str = "cpu",
    ) -> None:
        self._background, self._threshold, self._parts = background, threshold, parts
        self._project, self._assign, self._device = project, assign, device
        self._area = {part.name: part.polar.area.to(device) for part in parts}
        # one blank frame goes all the way: what is compiled or loaded at first use costs no recorded frame its time
        blank = np.zeros((1, *background.tiles.good.shape), np.float32)
        background.score(background.tiles.sums(blank))
        vectors = {part.name: self._encode(part, blank) for part in parts}
        self._assign(self._project(list(vectors.values())))
        self._empty = {name: values[:0] for name, values in vectors.items()}  # transforms of nothing are refused

    @torch.inference_mode()
    def __call__(self, frame_id: NDArray[np.uint64], frames: NDArray) -> Sorted:
        """Sort frames (n, ny, nx)."""
        sums = self._background.tiles.sums(frames)
        score = self._background.score(sums)
        is_hit = score > self._threshold
        hits = frames[is_hit]
        vectors = {part.name: self._embed(part, hits) for part in self._parts}
        points = self._project(list(vectors.values()))
        return Sorted(frame_id, sums.sum(1), score, is_hit, vectors, points, self._assign(points))

    def _embed(self, part: Part, frames: NDArray) -> NDArray[np.float32]:
        return self._encode(part, frames) if len(frames) else self._empty[part.name]

    @torch.inference_mode()
    def _encode(self, part: Part, frames: NDArray) -> NDArray[np.float32]:
        return part.encoder(part.polar(frames).to(self._device), self._area[part.name]).cpu().numpy()
