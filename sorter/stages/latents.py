"""What a FactorVAE says of a run: which latent follows what, and which frames it cannot make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sorter.core.errors import InputError
from sorter.core.identity import rows_of
from sorter.embed.encode import Encoder, encode
from sorter.io.workfolder import WorkFolder
from sorter.models.disentanglement import Disentanglement, disentanglement
from sorter.models.factor_vae import FactorVAE
from sorter.models.polar_model import PolarModel, load_model
from sorter.preprocess.angular import make_rings, twofold_angle
from sorter.preprocess.properties import frame_properties

STRANGENESS = "strangeness"
#: Latents with a smaller spread over the run fell back to the prior.
LEAST_SPREAD = 0.1
#: Frames that the factors are measured on, and neighbours in brightness that a frame's error is compared with.
_SAMPLE, _NEIGHBORS = 1000, 101


def latents(work: str | Path | WorkFolder, model: str = "factorvae") -> Disentanglement:
    """Which latent of a trained FactorVAE follows brightness, size, ellipticity, orientation and the other properties of frames.

    On up to 1,000 hits spread over the run; ellipticity is the two-fold contrast, orientation the angle of the two-fold axis in
    [0, pi). A simulated run adds the true radius. Raises MissingResultError before the model was trained and embedded.
    """
    work = work if isinstance(work, WorkFolder) else WorkFolder.open(work)
    embedding, store = work.read_embedding(model), work.frames()
    n = len(embedding.frame_id)
    rows = np.unique(np.linspace(0, max(n - 1, 0), min(n, _SAMPLE)).astype(np.int64))
    ids, vectors = embedding.frame_id[rows], embedding.vectors[rows]
    factors = frame_properties(store, ids)
    rings = make_rings(store.geometry, store.bad_pixels)
    factors["orientation_rad"] = np.array(
        [twofold_angle(rings, store.read(ids[i : i + 1])[0]) for i in range(len(ids))]
    )
    if "radius_m" in store.truth:
        factors["true_radius_m"] = np.asarray(store.truth["radius_m"], float)[rows_of(store.frame_ids, ids)]
    spread = embedding.vectors.std(axis=0) if n else np.zeros(embedding.vectors.shape[1])
    order = np.argsort(-spread, kind="stable")
    return disentanglement(vectors, factors, order[spread[order] >= LEAST_SPREAD])


def strangeness(
    work: str | Path | WorkFolder, model: str = "factorvae"
) -> tuple[NDArray[np.uint64], NDArray[np.float32]]:
    """How badly a FactorVAE makes each hit, compared with hits of like brightness; stored as the score "strangeness".

    Returns frame_id (N,) and score (N,): the logarithm of the mean squared error of the reconstruction, less the median over the
    101 hits nearest in brightness, in units of their spread (1.48 times the median absolute deviation). Raises MissingResultError
    before the model was trained, InputError for a model of another kind.
    """
    work = work if isinstance(work, WorkFolder) else WorkFolder.open(work)
    trained = load_model(work.model_path(model))
    if not isinstance(trained.network, FactorVAE):
        raise InputError(f"model '{model}': makes no pictures; strangeness needs a factorvae")
    hits = work.read_hits()
    store = work.frames().select(hits.hit_ids)
    with work.stage("strangeness", {"model": model}, None, {"hits": len(hits.hit_ids)}) as record:
        ids, error = encode(store, trained.map_for(store), error_encoder(trained), name="strangeness")
        photons = hits.photons[rows_of(hits.frame_id, ids)]
        score = against_neighbours(np.log(error[:, 0] + 1e-12) if len(ids) else np.empty(0), photons)
        work.write_score(STRANGENESS, ids, score, {"model": model})
        record.outputs["score"] = STRANGENESS
    return ids, score


def error_encoder(model: PolarModel) -> Encoder:
    """From sector counts to the mean squared error (B, 1) of the reconstruction of the posterior's mean, measured cells only."""
    network: Any = model.network

    def encode_error(counts: Tensor, area: Tensor) -> Tensor:
        picture, weight = model.pictures(counts, area)
        made = network.decode(network.encode(picture, weight))
        return ((weight * (made - picture) ** 2).sum((1, 2)) / weight.sum((1, 2)).clamp_min(1))[:, None]

    return torch.inference_mode()(encode_error)


def against_neighbours(values: NDArray[np.floating], beside: NDArray[np.floating]) -> NDArray[np.float32]:
    """``values`` (N,) less the median of the 101 values nearest in the order of ``beside`` (N,), over their robust spread."""
    from scipy.ndimage import median_filter

    n = len(values)
    if n == 0:
        return np.empty(0, np.float32)
    order = np.argsort(beside, kind="stable")
    sorted_values = np.asarray(values, np.float64)[order]
    width = min(_NEIGHBORS, n if n % 2 else n - 1) or 1
    rest = sorted_values - median_filter(sorted_values, width, mode="reflect")
    spread = 1.4826 * median_filter(np.abs(rest), width, mode="reflect")
    out = np.empty(n, np.float32)
    out[order] = rest / np.maximum(spread, 1e-9)
    return out
