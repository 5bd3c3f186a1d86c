"""Spectral clustering: the leading eigenvectors of a neighbour graph of the frames.

Yoon, Schwander, Abergel et al., Opt. Express 19, 16542 (2011): frames are compared by the Euclidean distance of their
intensities, a Gaussian kernel over the nearest neighbours is normalised, and its eigenvectors (those of a kernel PCA) tell the
classes apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sorter.classic.pca import pca_embedding
from sorter.core.embedding import Embedding
from sorter.core.frames import FrameStore

_NEIGHBORS = 30


def spectral_embedding(store: FrameStore, n_dims: int = 16, seed: int = 0) -> Embedding:
    """Eigenvectors (N, n_dims) of the normalised affinity of the frames, as embedding "spectral".

    Distances are taken between 50 principal components of log(1 + counts) (`pca_embedding`), which keeps those between frames and
    makes runs of some ten thousand frames possible. Frames of fewer than ``n_dims`` + 2 give no embedding but zeros.
    """
    vectors = pca_embedding(store).vectors
    n = len(vectors)
    meta = {"model": "spectral", "n_dims": n_dims}
    if n < n_dims + 2:
        return Embedding("spectral", store.frame_ids, np.zeros((n, n_dims), np.float32), meta)
    return Embedding("spectral", store.frame_ids, leading_eigenvectors(vectors, n_dims, seed), meta)


def leading_eigenvectors(vectors: NDArray, n_dims: int, seed: int) -> NDArray[np.float32]:
    """(N, n_dims): eigenvectors 2 .. n_dims + 1 of D^-1/2 W D^-1/2, times D^-1/2 and scaled to unit variance."""
    from scipy.sparse import coo_matrix, diags
    from scipy.sparse.linalg import eigsh
    from sklearn.neighbors import NearestNeighbors

    n, k = len(vectors), min(_NEIGHBORS, len(vectors) - 1)
    distance, near = NearestNeighbors(n_neighbors=k + 1).fit(vectors).kneighbors(vectors)
    distance, near = distance[:, 1:], near[:, 1:]
    width = max(float(np.median(distance[:, -1])), 1e-12)
    weight = np.exp(-((distance / width) ** 2))
    graph = coo_matrix((weight.ravel(), (np.repeat(np.arange(n), k), near.ravel())), (n, n)).tocsr()
    graph = graph.maximum(graph.T)
    root = 1 / np.sqrt(np.asarray(graph.sum(axis=1)).ravel() + 1e-12)
    start = np.random.default_rng(seed).normal(size=n)
    values, axes = eigsh(diags(root) @ graph @ diags(root), k=n_dims + 1, which="LA", v0=start)
    kept = axes[:, np.argsort(-values)][:, 1:] * root[:, None]
    return (kept / np.maximum(kept.std(axis=0), 1e-12)).astype(np.float32)
