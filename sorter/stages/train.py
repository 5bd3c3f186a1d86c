"""Train a network on the hits of a work folder."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sorter.core.clustering import NOISE
from sorter.core.config import config_to_dict, require
from sorter.core.geometry import Geometry
from sorter.core.hits import Hits, within_span
from sorter.core.identity import rows_of
from sorter.io.workfolder import WorkFolder
from sorter.io.zarr_store import ZarrFrameStore
from sorter.models.polar_model import PolarModel, load_model
from sorter.train.config import TrainConfig
from sorter.train.data import balanced_chances
from sorter.train.fit import MIN_FRAMES, fit
from sorter.train.parallel import is_first

__all__ = ["TrainConfig", "train"]

log = logging.getLogger(__name__)


def train(work: str | Path | WorkFolder, config: TrainConfig | None = None, force: bool = False) -> PolarModel | None:
    """Train the model that ``config`` names on the hits; stored under models/NAME.

    A training that was stopped goes on from its last checkpoint; a finished one with the same config and hits is returned as
    it is, unless ``force``. Of several processes that share a training (``config.devices``) the first one holds the folder and
    writes. With fewer than 32 hits nothing is trained: that is said, and None returned. Raises
    MissingResultError before the hits were found, InputError for a device that is not there.
    """
    config = config or TrainConfig()
    work = work if isinstance(work, WorkFolder) else WorkFolder.open(work)
    resolve_device(config.device)
    store, ids = work.frames(), _learned_from(work.read_hits(), config)
    inputs, chances = frames_inputs(store, ids), _chances(work, ids, config.balance)
    if chances is not None:
        inputs["chances_sha256"] = hashlib.sha256(chances.tobytes()).hexdigest()
    folder = work.model_path(config.model)
    if len(ids) < MIN_FRAMES:
        log.warning("train: %d hits are too few to train a network (need %d); use the features", len(ids), MIN_FRAMES)
        return None
    if not force and _up_to_date(work, config, inputs):
        log.info("train %s: up to date", config.model)
        return load_model(folder)
    if not is_first():
        return fit(store.select(ids), config, folder, inputs, chances)[0]
    with work.stage("train", config_to_dict(config), config.seed, inputs) as record:
        model, figures = fit(store.select(ids), config, folder, inputs, chances)
        record.outputs["model"] = config.model
        record.metrics.update({f"train/{name}": value for name, value in figures.items()})
    return model


def _learned_from(hits: Hits, config: TrainConfig) -> NDArray[np.uint64]:
    """Ids of the hits that a training takes (`TrainConfig.bright_span`); all of them where the bright ones are too few."""
    photons = hits.photons[hits.is_hit]
    if config.model != "contrastive" or config.bright_span == 0:
        return hits.hit_ids
    bright = hits.hit_ids[within_span(photons, config.bright_span)]
    return bright if len(bright) >= MIN_FRAMES else hits.hit_ids


def _chances(work: WorkFolder, ids: NDArray[np.uint64], balance: str) -> NDArray[np.float64] | None:
    """How often each of the hits ``ids`` is drawn; None: all alike. Raises MissingResultError for a clustering that is not
    there."""
    if not balance:
        return None
    if balance == "photons":
        hits = work.read_hits()
        return balanced_chances(np.floor(np.log2(np.maximum(hits.photons[rows_of(hits.frame_id, ids)], 1))))
    found = work.read_clustering(balance)
    rows = rows_of(found.frame_id, ids)
    return balanced_chances(np.where(rows < 0, NOISE, found.labels[rows]))


def resolve_device(device: str) -> str:
    """ "cpu" or "cuda": ``device``, or the better one that is here for "auto". Raises InputError where there is no GPU."""
    here = torch.cuda.is_available()
    require(device != "cuda" or here, "--device cuda: no GPU that PyTorch can use; give cpu or auto")
    return ("cuda" if here else "cpu") if device == "auto" else device


def frames_inputs(store: ZarrFrameStore, ids: np.ndarray) -> dict[str, Any]:
    """What decides the polar pictures of the frames ``ids``: which they are, the mask, the geometry."""
    digest = hashlib.sha256(ids.tobytes())
    digest.update(store.bad_pixels.tobytes())
    geometry: Geometry = store.geometry
    return {"hits": len(ids), "sha256": digest.hexdigest(), "beam_center_px": list(geometry.center_px())}


def _up_to_date(work: WorkFolder, config: TrainConfig, inputs: dict[str, Any]) -> bool:
    runs = [m for m in work.manifests("train") if m["outputs"].get("model") == config.model]
    same = bool(runs) and runs[-1]["config"] == config_to_dict(config) and runs[-1]["inputs"] == inputs
    return same and (work.model_path(config.model) / "config.json").is_file()
