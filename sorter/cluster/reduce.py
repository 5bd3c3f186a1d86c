"""From embeddings to the few dimensions in which density means something."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.cluster.neighbours import Found, searcher
from sorter.core.embedding import Embedding
from sorter.core.errors import InputError
from sorter.core.identity import rows_of

log = logging.getLogger(__name__)

Array = NDArray[np.float32]

#: Rows that are worked on at a time.
_BLOCK = 16_384
#: Neighbours whose mean place a further point takes.
_PLACED_BY = 3


def concatenate(embeddings: list[Embedding]) -> Embedding:
    """One embedding from several: the frames that all of them hold, each block centred and given unit total variance.

    Blocks are scaled as a whole and not column by column: a column that carries nothing (a latent that collapsed to its
    prior) must stay small. Columns are z-scored by whoever makes an embedding of unlike quantities.
    Returns name "a+b", frame_id ascending, vectors (N, d_a + d_b + ...). Raises InputError where no frame is in all of them.
    """
    ids = embeddings[0].frame_id
    for other in embeddings[1:]:
        ids = np.intersect1d(ids, other.frame_id)
    ids = np.sort(ids)
    names = "+".join(e.name for e in embeddings)
    if not len(ids) and any(len(e.frame_id) for e in embeddings):
        raise InputError(f"embeddings {names}: they have no frame in common; run 'shotsort embed' again")
    blocks = [scale_block(e.vectors[rows_of(e.frame_id, ids)]) for e in embeddings]
    return Embedding(names, ids, np.concatenate(blocks, axis=1), {e.name: e.meta for e in embeddings})


def scale_block(vectors: NDArray) -> Array:
    """``vectors`` (N, d) centred, divided by the root of their total variance. Raises InputError for NaN or infinity."""
    vectors = np.asarray(vectors, np.float64)
    if not np.isfinite(vectors).all():
        rows = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        raise InputError(f"embedding: {len(rows)} vectors are not finite; embed the run again")
    if not len(vectors):
        return vectors.astype(np.float32)
    centred = vectors - vectors.mean(axis=0)
    total = np.sqrt(centred.var(axis=0).sum())
    return (centred / total if total > 0 else centred).astype(np.float32)


def principal_components(vectors: NDArray, n_dims: int) -> Array:
    """Scores (N, min(n_dims, d, N)) of the leading principal components, float32; ``n_dims`` 0 returns the vectors.

    Exact, from the (d, d) covariance; see `_leading_axes` for the signs.
    """
    vectors = np.asarray(vectors, np.float64)
    if n_dims == 0 or vectors.shape[1] <= n_dims or len(vectors) < 2:
        return vectors.astype(np.float32)
    centred = vectors - vectors.mean(axis=0)
    return (centred @ _leading_axes(centred.T @ centred, n_dims)).astype(np.float32)


@dataclass(frozen=True)
class Projection:
    """From the vectors of the embeddings that are clustered together to points: each embedding given unit total variance, then
    the leading principal components. offset (d,), matrix (d, k) float64: points = (vectors - offset) @ matrix."""

    offset: NDArray[np.float64]
    matrix: NDArray[np.float64]

    @classmethod
    def of(cls, parts: Sequence[Any], n_dims: int) -> Projection:
        """From the vectors (N, d_i) of each embedding, rows in the same order; arrays, or anything that gives one when it is
        sliced, read block by block. ``n_dims`` 0 keeps all dimensions. Raises InputError for NaN or infinity."""
        widths = [part.shape[1] for part in parts]
        n, d = parts[0].shape[0], sum(widths)
        offset, total, products = np.zeros(d), np.zeros(d), np.zeros((d, d))
        for number, block in enumerate(_blocks(parts)):
            if not np.isfinite(block).all():
                wrong = int((~np.isfinite(block).all(axis=1)).sum())
                raise InputError(f"embedding: {wrong} vectors are not finite; embed the run again")
            offset = block.mean(axis=0) if number == 0 else offset  # near the mean: nothing cancels below
            total += (block - offset).sum(axis=0)
            products += (block - offset).T @ (block - offset)
        rest = total / max(n, 1)
        covariance = products / max(n, 1) - np.outer(rest, rest)
        ends = np.cumsum([0, *widths])
        spread = [np.sqrt(max(np.trace(covariance[a:b, a:b]), 0.0)) for a, b in pairwise(ends)]
        scale = np.repeat([1 / s if s > 0 else 1.0 for s in spread], widths) / np.sqrt(
            max(sum(s > 0 for s in spread), 1)
        )
        axes = np.eye(d)
        if n_dims and d > n_dims and n >= 2:
            axes = _leading_axes(covariance * np.outer(scale, scale), n_dims)
        return cls(offset + rest, scale[:, None] * axes)

    def __call__(self, parts: Sequence[Any]) -> Array:
        """Points (n, k) float32 of the vectors (n, d_i) of each embedding, these frames or others."""
        out = np.empty((parts[0].shape[0], self.matrix.shape[1]), np.float32)
        done = 0
        for block in _blocks(parts):
            out[done : done + len(block)] = (block - self.offset) @ self.matrix
            done += len(block)
        return out


def _blocks(parts: Sequence[Any]) -> Iterator[NDArray[np.float64]]:
    """Rows of all ``parts`` side by side, some at a time."""
    for start in range(0, parts[0].shape[0], _BLOCK):
        yield np.concatenate([np.asarray(part[start : start + _BLOCK], np.float64) for part in parts], axis=1)


def _leading_axes(covariance: NDArray[np.float64], n_dims: int) -> NDArray[np.float64]:
    """(d, n_dims) directions of largest variance; each one's largest loading is positive, so they are the same on every
    machine (Jolliffe, Principal Component Analysis, 2002)."""
    _, axes = np.linalg.eigh(covariance)
    axes = axes[:, ::-1][:, :n_dims]
    return axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])


def umap(
    vectors: NDArray, n_dims: int, n_neighbors: int, min_dist: float, seed: int, init: NDArray | None = None
) -> Array:
    """UMAP coordinates (N, n_dims), float32 (McInnes, Healy & Melville 2018); the same for the same input and seed.

    init (N, n_dims): places to start from; without them the spectrum of the graph says. Needs N > n_dims + 1.
    """
    from threadpoolctl import threadpool_limits
    from umap import UMAP

    start: Any = "spectral" if len(vectors) > 10 * n_dims else "random"
    model = UMAP(
        n_components=n_dims, n_neighbors=min(n_neighbors, len(vectors) - 1), min_dist=min_dist,
        random_state=int(np.random.default_rng(seed).integers(2**31)), init=start if init is None else init, n_jobs=1,
    )  # fmt: skip
    # numba, which UMAP calls, sets OpenMP's number of threads for the whole process, torch's included: it is put back at the end.
    with threadpool_limits(limits=None), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a spectrum of a graph in pieces falls back to random, as it should
        return model.fit_transform(np.asarray(vectors, np.float32)).astype(np.float32)


@dataclass(frozen=True)
class Placement:
    """Places further points in a layout: at the mean of their three nearest base points' places, weighted by inverse distance.

    base (B, k) float64 points; places (B, n_dims) float32 of them.
    """

    base: NDArray[np.float64]
    places: NDArray[np.float32]
    _search: Callable[[NDArray, int], Found] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_search", searcher(self.base))

    def __call__(self, points: NDArray, k: int = _PLACED_BY) -> tuple[Array, NDArray[np.float64]]:
        """Places (N, n_dims) of points (N, k), and the distance (N,) of each to its ``k``-th nearest base point."""
        out, core = np.empty((len(points), self.places.shape[1]), np.float32), np.empty(len(points))
        for start in range(0, len(points), _BLOCK):
            distance, rows = self._search(points[start : start + _BLOCK], max(k, _PLACED_BY))
            core[start : start + _BLOCK] = distance[:, min(k, distance.shape[1]) - 1]
            weight = 1 / np.maximum(distance[:, :_PLACED_BY], 1e-9)
            places = (self.places[rows[:, :_PLACED_BY]] * weight[..., None]).sum(1) / weight.sum(1)[:, None]
            out[start : start + _BLOCK] = places
        return out, core
