"""PCA of frames against a plain SVD."""

import numpy as np

from sorter.classic.pca import pca_embedding
from sorter.core.frames import ArrayFrameStore


def test_agrees_with_an_svd_and_ignores_masked_pixels():
    rng = np.random.default_rng(0)
    frames = rng.poisson(rng.gamma(1.0, 5.0, (40, 1, 1)) * rng.random((40, 12, 10)))
    bad = rng.random((12, 10)) < 0.2
    made = pca_embedding(ArrayFrameStore(frames, bad_pixels=bad), 5)
    logs = np.log1p(frames[:, ~bad])
    logs = logs - logs.mean(1, keepdims=True)
    u, s, _ = np.linalg.svd(logs - logs.mean(0), full_matrices=False)
    assert made.vectors.shape == (40, 5) and np.allclose(np.abs(made.vectors), np.abs(u[:, :5] * s[:5]), atol=1e-4)
    frames[:, bad] = 1000
    assert np.array_equal(pca_embedding(ArrayFrameStore(frames, bad_pixels=bad), 5).vectors, made.vectors)


def test_large_frames_are_binned_and_no_frames_are_no_rows():
    frames = np.random.default_rng(0).poisson(3.0, (20, 130, 129))
    assert pca_embedding(ArrayFrameStore(frames), 8).vectors.shape == (20, 8)
    assert pca_embedding(ArrayFrameStore(frames[:0]), 8).vectors.shape == (0, 8)
