"""Template classifiers: a frame belongs to the labelled frames that it looks most like.

Liu, van der Schot & Engblom, Opt. Express 27, 3884 (2019): the Eigen-Image classifier compares frames in the space spanned by the
leading components of the templates, the LogLikelihood classifier by the Poisson likelihood of the counts given a template,
brightness fitted. Both look for the best in-plane rotation; theirs used simulated templates, here labelled frames serve.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sorter.core.frames import FrameStore
from sorter.preprocess.polar import PolarMap, choose_grid

#: Counts per cell that a template is taken to have beside its own, so that no count is impossible.
_FLOOR = 0.3
_N_COMPONENTS = 40
_BLOCK = 64


def polar_counts(
    store: FrameStore, n_radii: int = 16, n_angles: int = 32
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Counts (N, R, T) of the cells of a polar map, negative ones as zero, and the good area (R, T) of each, pixels."""
    grid = choose_grid(store.geometry, store.bad_pixels, n_radii, n_angles)
    polar = PolarMap.of_store(store, grid)
    share = (grid.sectors / n_angles)[:, None].astype(
        np.float32
    )  # a sector's counts are spread over the cells that show it
    parts = [polar.expand(polar(frames)).numpy().clip(0) * share for _, frames in store.chunks(512)]
    area = polar.expand(polar.area).numpy() * share
    return np.concatenate(parts) if parts else np.empty((0, n_radii, n_angles), np.float32), area


def eigen_image(known: NDArray, classes: NDArray, other: NDArray) -> NDArray:
    """Classes of ``other`` (n, R, T) polar counts: that of the nearest of the ``known`` templates in the space of their 40
    leading components, over all rotations of the frame. Frames are logarithms of unit norm."""
    templates, frames = _unit(known), _unit(other)
    n_angles = known.shape[2]
    turned = np.concatenate([np.roll(templates, shift, axis=2) for shift in range(0, n_angles, 4)])
    mean = turned.reshape(len(turned), -1).mean(axis=0)
    _, _, axes = np.linalg.svd(turned.reshape(len(turned), -1) - mean, full_matrices=False)
    axes = axes[:_N_COMPONENTS]
    at = (templates.reshape(len(templates), -1) - mean) @ axes.T
    best = np.full((len(frames), len(templates)), np.inf)
    for shift in range(n_angles):
        place = (np.roll(frames, shift, axis=2).reshape(len(frames), -1) - mean) @ axes.T
        distance = (place**2).sum(axis=1)[:, None] - 2 * place @ at.T + (at**2).sum(axis=1)
        best = np.minimum(best, distance)
    return classes[best.argmin(axis=1)]


def _unit(counts: NDArray) -> NDArray[np.float64]:
    logs = np.log1p(counts.astype(np.float64))
    logs -= logs.mean(axis=(1, 2), keepdims=True)
    return logs / np.maximum(np.sqrt((logs**2).sum(axis=(1, 2), keepdims=True)), 1e-12)


def log_likelihood(known: NDArray, classes: NDArray, other: NDArray) -> NDArray:
    """Classes of ``other`` (n, R, T) polar counts by the largest Poisson likelihood over templates and rotations.

    With brightness fitted, log L = sum_i k_i log(t_i / sum_j t_j) + const, a circular correlation in the angle. A template is a
    labelled frame's counts, smoothed over neighbouring angles, plus a floor.
    """
    smooth = (np.roll(known, 1, 2) + 2.0 * known + np.roll(known, -1, 2)) / 4 + _FLOOR
    logs = np.log(smooth / smooth.sum(axis=(1, 2), keepdims=True))
    spectrum = np.fft.rfft(logs, axis=2)
    out = np.empty(len(other), np.int64)
    for start in range(0, len(other), _BLOCK):
        counts = np.fft.rfft(other[start : start + _BLOCK].astype(np.float64), axis=2)
        product = np.einsum("nrm,trm->ntm", counts, spectrum.conj(), optimize=True)
        out[start : start + _BLOCK] = np.fft.irfft(product, known.shape[2], axis=2).max(axis=2).argmax(axis=1)
    return classes[out]
