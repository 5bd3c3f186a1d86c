"""From embeddings to the few dimensions in which density means something."""

from __future__ import annotations

import logging
import warnings

import numpy as np
from numpy.typing import NDArray

from sorter.cluster.neighbours import nearest
from sorter.core.embedding import Embedding
from sorter.core.errors import InputError
from sorter.core.identity import rows_of

log = logging.getLogger(__name__)

Array = NDArray[np.float32]


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

    Exact, from the (d, d) covariance; each component's sign is fixed by its largest loading, so it is the same on every
    machine (Jolliffe, Principal Component Analysis, 2002).
    """
    vectors = np.asarray(vectors, np.float64)
    if n_dims == 0 or vectors.shape[1] <= n_dims or len(vectors) < 2:
        return vectors.astype(np.float32)
    centred = vectors - vectors.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, ::-1][:, :n_dims]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    return (centred @ axes).astype(np.float32)


def umap(vectors: NDArray, n_dims: int, n_neighbors: int, min_dist: float, seed: int, max_fit: int) -> Array:
    """UMAP coordinates (N, n_dims), float32 (McInnes, Healy & Melville 2018); the same for the same input and seed.

    Runs of more than ``max_fit`` frames are laid out from that many, drawn at random; the others take the mean place of
    their three nearest drawn ones, weighted by inverse distance. Needs N > n_dims + 1.
    """
    from umap import UMAP

    rng = np.random.default_rng(seed)
    n = len(vectors)
    fitted = np.arange(n) if n <= max_fit else np.sort(rng.choice(n, max_fit, replace=False))
    model = UMAP(
        n_components=n_dims, n_neighbors=min(n_neighbors, len(fitted) - 1), min_dist=min_dist,
        random_state=int(rng.integers(2**31)), init="spectral" if len(fitted) > 10 * n_dims else "random", n_jobs=1,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # spectral initialisation of a graph in pieces falls back to random, as it should
        placed = model.fit_transform(np.asarray(vectors[fitted], np.float32))
    if len(fitted) == n:
        return placed.astype(np.float32)
    out = np.empty((n, n_dims), np.float32)
    out[fitted] = placed
    rest = np.setdiff1d(np.arange(n), fitted)
    distance, rows = nearest(vectors[fitted], vectors[rest], 3)
    weight = 1 / np.maximum(distance, 1e-9)
    out[rest] = (placed[rows] * weight[..., None]).sum(1) / weight.sum(1)[:, None]
    return out
