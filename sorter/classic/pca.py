"""Principal components of the frames as they are: what a person tries first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sorter.core.embedding import Embedding
from sorter.core.frames import FrameStore, regroup

#: Frames are binned until the longer side has at most this many pixels, so the covariance fits in memory.
MAX_SIDE_PX = 64
_BATCH = 512


def pca_embedding(store: FrameStore, n_dims: int = 50) -> Embedding:
    """Scores (N, n_dims) of the principal components of log(1 + counts) on the good pixels, as embedding "pca".

    Cartesian frames, no handling of rotation: each frame's mean logarithm is taken away, so brightness counts little, and the
    components are those of the run itself (Jolliffe, Principal Component Analysis, 2002). Two passes over the frames; the
    result does not depend on their order. Negative counts are taken as zero.
    """
    mean, covariance = _moments(store)
    if not np.ndim(covariance):  # no frame, or none that can be read
        return Embedding("pca", store.frame_ids[:0], np.empty((0, n_dims), np.float32))
    axes = _leading_axes(covariance, min(n_dims, len(covariance)))
    found = [(ids, (pixels - mean) @ axes) for ids, pixels in _pixels(store)]
    ids, scores = (np.concatenate(part) for part in zip(*found))
    meta = {"model": "pca", "n_dims": n_dims, "unreadable_frames": len(store.frame_ids) - len(ids)}
    return Embedding("pca", ids, scores.astype(np.float32), meta)


def _pixels(store: FrameStore):
    """Pairs of the ids (n,) of frames that can be read, and (n, p) float64: log(1 + counts) of the binned good pixels, each
    frame's mean taken away."""
    factor = -(-max(store.shape_px) // MAX_SIDE_PX)
    good = ~store.bad_pixels
    area = _binned(good.astype(np.float64)[None], factor)[0]
    used = area > 0
    for ids, frames in regroup(store.blocks(on_damage=lambda ids, why: None), _BATCH):
        counts = _binned(np.where(good, np.maximum(frames, 0), 0).astype(np.float64), factor)
        logs = np.log1p(counts[:, used] / area[used])
        yield ids, logs - logs.mean(axis=1, keepdims=True)


def _binned(frames: NDArray, factor: int) -> NDArray[np.float64]:
    ny, nx = (side // factor for side in frames.shape[1:])
    cut = frames[:, : ny * factor, : nx * factor]
    return cut.reshape(len(frames), ny, factor, nx, factor).sum(axis=(2, 4))


def _moments(store: FrameStore) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (p,) and covariance (p, p) of the pixels."""
    n, total, products = 0, 0.0, 0.0
    for _, pixels in _pixels(store):
        n += len(pixels)
        total = total + pixels.sum(axis=0)
        products = products + pixels.T @ pixels
    mean = total / max(n, 1)
    return mean, products / max(n, 1) - np.multiply.outer(mean, mean)


def _leading_axes(covariance: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """Eigenvectors (p, k) of the largest eigenvalues, largest first; each one's largest loading is positive."""
    from scipy.linalg import eigh

    p = len(covariance)
    _, axes = eigh(covariance, subset_by_index=(p - k, p - 1))
    axes = axes[:, ::-1]
    return axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(k)])
