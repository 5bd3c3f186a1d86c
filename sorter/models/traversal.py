"""What each latent of a FactorVAE means, as pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from sorter.core.errors import InputError
from sorter.core.geometry import Geometry
from sorter.models.factor_vae import FactorVAE
from sorter.models.polar_model import PolarModel
from sorter.preprocess.polar import to_cartesian


@dataclass(frozen=True)
class Traversal:
    """Latent traversals. latents (K,) int: which latents, most active first; values (V,) in standard deviations of each
    latent over the run; polar (K, V, R, T) float32 decoded pictures, logarithmic scale about the frame's mean."""

    latents: NDArray[np.int64]
    values: NDArray[np.float32]
    polar: NDArray[np.float32]


@torch.inference_mode()
def latent_traversals(
    model: PolarModel, vectors: NDArray[np.float32], n_latents: int = 8, values: tuple[float, ...] = (-2, -1, 0, 1, 2)
) -> Traversal:
    """Decode pictures while one latent moves and the others stay at their median.

    vectors (N, d): the run's embedding by this model; latents come in order of their spread over the run, which is near 1
    for those in use and near 0 for those that fell back to the prior. Raises InputError for another kind of model.
    """
    network = model.network
    if not isinstance(network, FactorVAE):
        raise InputError(f"model '{model.card.kind}': latent traversals need a factorvae")
    spread = vectors.std(0)
    order = np.argsort(-spread, kind="stable")[:n_latents]
    points = np.tile(np.median(vectors, axis=0), (len(order), len(values), 1)).astype(np.float32)
    for k, latent in enumerate(order):
        points[k, :, latent] += np.asarray(values, np.float32) * spread[latent]
    decoded = network.decode(torch.from_numpy(points).flatten(0, 1)).unflatten(0, points.shape[:2])
    return Traversal(order.astype(np.int64), np.asarray(values, np.float32), decoded.numpy())


def traversal_pictures(traversal: Traversal, model: PolarModel, geometry: Geometry) -> NDArray[np.float32]:
    """Traversals as they would look on the detector, (K, V, ny, nx) float32, NaN outside the polar grid."""
    return to_cartesian(traversal.polar, geometry, model.grid)
