"""Physics features of a frame and a support vector machine on them.

Bobkov, Teslyuk, Kurta et al., J. Synchrotron Rad. 22, 1345 (2015): frames are described by their angular intensity
correlations and radial intensities, reduced by PCA, and sorted by an SVM that saw labelled ones.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from sorter.core.embedding import Embedding
from sorter.core.frames import FrameStore
from sorter.preprocess.features import ring_harmonics, ring_means
from sorter.preprocess.polar import PolarMap, choose_grid
from sorter.preprocess.scaling import choose_softening, log_scaled, polar_picture

_N_HARMONICS = 12
_BATCH = 512


def correlation_embedding(store: FrameStore, n_dims: int = 50, n_radii: int = 32, n_angles: int = 64) -> Embedding:
    """Principal components (N, n_dims) of radial profile and angular correlations, as embedding "correlations".

    Per ring of a polar map: the mean logarithm of the intensity, and the Fourier components |A_m|^2, m = 1..12, of its angular
    autocorrelation, by root; columns have unit variance before the PCA.
    """
    grid = choose_grid(store.geometry, store.bad_pixels, n_radii, n_angles)
    polar = PolarMap.of_store(store, grid)
    index = torch.from_numpy(grid.expand)
    sample = polar(store.read(store.frame_ids[:_BATCH]))
    softening = choose_softening(sample, polar.area, store.unit)
    parts = []
    for _, frames in store.chunks(_BATCH):
        rate, weight = polar_picture(polar(frames), polar.area, index)
        picture = log_scaled(rate, weight, softening)
        amplitude = ring_harmonics(picture, weight)[..., 1 : _N_HARMONICS + 1].abs()
        parts.append(torch.cat([ring_means(picture, weight), amplitude.flatten(1)], dim=1).numpy())
    values = np.concatenate(parts) if parts else np.empty((0, n_radii * (1 + _N_HARMONICS)), np.float32)
    meta = {"model": "correlations", "n_dims": n_dims}
    return Embedding("correlations", store.frame_ids, _components(values, n_dims), meta)


def _components(values: NDArray, n_dims: int) -> NDArray[np.float32]:
    """Scores of the leading principal components of columns of unit variance, (N, n_dims), zeros where there are fewer."""
    out = np.zeros((len(values), n_dims), np.float32)
    if len(values) > 1:
        scaled = (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-6)
        left, weight, _ = np.linalg.svd(scaled.astype(np.float64), full_matrices=False)
        scores = (left * weight)[:, :n_dims]
        out[:, : scores.shape[1]] = scores
    return out


def svm(known: NDArray, classes: NDArray, other: NDArray) -> NDArray:
    """Classes (n,) of ``other`` vectors by an SVM (radial basis functions, C = 10, scale from the variance) on the ``known``."""
    from sklearn.svm import SVC

    return SVC(C=10.0, gamma="scale", class_weight="balanced").fit(known, classes).predict(other)
