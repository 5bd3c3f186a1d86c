"""One vector per hit, from a trained model or by hand-made features."""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sorter.classic.pca import pca_embedding
from sorter.core.config import config_to_dict, require
from sorter.core.embedding import Embedding
from sorter.core.frames import find_rows, regroup
from sorter.embed.encode import Encoder, encode, features_encoder, model_encoder
from sorter.io.workfolder import WorkFolder
from sorter.io.zarr_store import ZarrFrameStore
from sorter.models.polar_model import PolarModel, load_model
from sorter.models.pretrained import PRETRAINED, SHIPPED, load_pretrained
from sorter.preprocess.polar import PolarGrid, PolarMap, choose_grid
from sorter.preprocess.scaling import choose_softening
from sorter.stages.train import frames_inputs, resolve_device
from sorter.stages.workers import Pool, ThisProcess
from sorter.train.config import DEVICES

__all__ = ["EmbedConfig", "bench_embedding", "embed"]

log = logging.getLogger(__name__)

_FEATURES, _PCA = "features", "pca"
#: What can be embedded without training a network on the run.
UNTRAINED = (PRETRAINED, _FEATURES, _PCA)


@dataclass(frozen=True)
class EmbedConfig:
    """Settings of `shotsort embed`.

    model: "pretrained" for the encoder that is shipped, "contrastive" or "factorvae" for a model trained in the work folder,
    "features" for hand-made features, "pca" for the principal components of the frames as they are (the baseline), or several
    joined by "+", each of which is stored under its own name. weights: file of another pre-trained encoder
    (`shotsort pretrain`), "" for the shipped one. batch: frames at a time. n_radii, n_angles: polar grid of the features.
    device: "auto", "cpu" or "cuda".
    """

    model: str = PRETRAINED
    weights: str = ""
    batch: int = 512
    n_radii: int = 32
    n_angles: int = 64
    device: str = "auto"

    def __post_init__(self) -> None:
        require(bool(self.model) and all(self.model.split("+")), f"--model {self.model!r}: name a model")
        require(
            not self.weights or PRETRAINED in self.model.split("+"),
            f"--weights {self.weights}: are of the pre-trained encoder, not of {self.model}; give --model {PRETRAINED}",
        )
        require(self.batch >= 1, f"--batch {self.batch}: must be at least 1")
        require(self.device in DEVICES, f"--device {self.device}: choose one of {', '.join(DEVICES)}")


def embed(
    work: str | Path | WorkFolder, config: EmbedConfig | None = None, force: bool = False, pool: Pool | None = None
) -> Embedding:
    """Embed the hits; stores an embedding per model of ``config.model`` and returns the last.

    The frames are shared out to ``pool``.

    Called again with the same model, hits and config it returns what is there, unless ``force``. No hits: an embedding
    without rows. Raises MissingResultError before the model was trained, and InputError where it was trained on other frames.
    """
    config = config or EmbedConfig()
    work = work if isinstance(work, WorkFolder) else WorkFolder.open(work)
    return [_embed_one(work, name, config, force, pool or ThisProcess()) for name in config.model.split("+")][-1]


def _embed_one(work: WorkFolder, name: str, config: EmbedConfig, force: bool, pool: Pool) -> Embedding:
    store, ids = work.frames(), work.read_hits().hit_ids
    inputs = frames_inputs(store, ids)
    if name not in (_FEATURES, _PCA):
        weights = _pretrained_path(config) if name == PRETRAINED else work.model_path(name) / "weights.safetensors"
        inputs["weights_sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest() if weights.is_file() else None
    values = {**config_to_dict(config), "model": name}
    if not force and _up_to_date(work, name, values, inputs):
        log.info("embed %s: up to date", name)
        return work.read_embedding(name)
    selected = store.select(ids)
    with work.stage("embed", values, None, inputs) as record:
        started = time.perf_counter()
        embedding = pca_embedding(selected) if name == _PCA else _encoded(work, name, selected, config, pool)
        seconds = time.perf_counter() - started
        work.write_embedding(embedding)
        record.outputs["embedding"] = name
        record.metrics.update({"embed/frames": len(ids), "embed/frames_per_s": round(len(ids) / seconds, 1)})
    return embedding


def _pretrained_path(config: EmbedConfig) -> Path:
    return Path(config.weights) if config.weights else SHIPPED


def _encoded(work: WorkFolder, name: str, store: ZarrFrameStore, config: EmbedConfig, pool: Pool) -> Embedding:
    meta = encoder_of(work, name, store, config)[2]
    rows = find_rows(work.frames().frame_ids, store.frame_ids)
    task = partial(_encode_rows, work.path.resolve(), name, config, meta)
    parts = pool.map(task, [rows[part.start : part.stop] for part in pool.parts(len(rows))])
    frame_id, vectors = (np.concatenate(part) for part in zip(*parts))
    return Embedding(name, frame_id, vectors, {"model": name, "unreadable_frames": len(store) - len(frame_id), **meta})


def _encode_rows(
    path: Path, name: str, config: EmbedConfig, meta: dict[str, Any], rows: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.float32]]:
    """Ids and vectors (n, d) of some rows of the store in the work folder ``path``: what a worker does. meta: `encoder_of`."""
    work = WorkFolder(path)
    store = ZarrFrameStore(work.frames_path, rows)
    polar, encoder, _ = encoder_of(work, name, store, config, meta)
    return encode(store, polar, encoder, config.batch, resolve_device(config.device), name)


def encoder_of(
    work: WorkFolder, name: str, store: ZarrFrameStore, config: EmbedConfig, before: dict[str, Any] | None = None
) -> tuple[PolarMap, Encoder, dict[str, Any]]:
    """What embeds frames of ``store`` as ``name``: polar map, encoder, and how it was made.

    before: how an embedding was made (`Embedding.meta`) whose like is wanted; without it hand-made features, and the pre-trained
    encoder where frames are not in photons, look at the frames for their scale. Raises what `embed` raises.
    """
    if name == _FEATURES:
        grid = choose_grid(store.geometry, store.bad_pixels, config.n_radii, config.n_angles)
        grid = PolarGrid(**before["grid"]) if before else grid
        polar = PolarMap.of_store(store, grid)
        softening = before["softening"] if before else _softening(store, polar)
        return polar, features_encoder(grid, softening), {"softening": softening, "grid": grid.to_dict()}
    model, polar = _model(work, name, store, config, before)
    device = torch.device(resolve_device(config.device))
    card = model.card
    meta = {"kind": card.kind, "softening": card.softening, "grid": card.grid, "training": card.training}
    return polar, model_encoder(model, device), meta


def _model(
    work: WorkFolder, name: str, store: ZarrFrameStore, config: EmbedConfig, before: dict[str, Any] | None = None
) -> tuple[PolarModel, PolarMap]:
    """The network ``name`` and the polar map of the frames onto its grid; before: see `encoder_of`."""
    if name == PRETRAINED:
        pretrained = load_pretrained(_pretrained_path(config))
        return pretrained.for_store(store, lambda polar: before["softening"] if before else _softening(store, polar))
    model = load_model(work.model_path(name))
    return model, model.map_for(store)


def _softening(store: ZarrFrameStore, polar: PolarMap) -> float:
    readable = regroup(store.blocks(on_damage=lambda ids, why: None), 512)
    _, sample = next(readable, (None, np.empty((0, *store.shape_px), store.dtype)))
    return choose_softening(polar(sample), polar.area, store.unit)


def _up_to_date(work: WorkFolder, name: str, values: dict[str, Any], inputs: dict[str, Any]) -> bool:
    runs = [m for m in work.manifests("embed") if m["outputs"].get("embedding") == name]
    same = bool(runs) and runs[-1]["config"] == values and runs[-1]["inputs"] == inputs
    return same and name in work.result_names("embeddings")


def bench_embedding(
    work: str | Path | WorkFolder, config: EmbedConfig | None = None, repeats: int = 5
) -> dict[str, Any]:
    """Frames per second of embedding frames from disk, and of the bare network on pictures that are already in memory.

    All frames of the folder are embedded, blanks too, so that each frame read is a frame counted. Both are measured in
    turn, ``repeats`` times, and the medians are compared; nothing is stored.
    """
    config = config or EmbedConfig()
    work = work if isinstance(work, WorkFolder) else WorkFolder.open(work)
    require(
        config.model not in (_FEATURES, _PCA) and "+" not in config.model,
        f"--bench --model {config.model}: name one network",
    )
    store = work.frames()
    device = resolve_device(config.device)
    model, polar = _model(work, config.model, store, config)
    model = model.to(device)
    counts = polar(store.read(store.frame_ids[: config.batch])).to(device)
    rates: dict[str, list[float]] = {"embed": [], "network": []}
    for _ in range(repeats):
        rates["network"].append(_network_rate(model, counts, polar.area.to(device), len(store)))
        started = time.perf_counter()
        encode(store, polar, model, config.batch, device, config.model)
        rates["embed"].append(len(store) / (time.perf_counter() - started))
    embed_rate, network_rate = (float(np.median(rates[name])) for name in ("embed", "network"))
    return {
        "model": config.model,
        "frames": len(store),
        "embed_frames_per_s": round(embed_rate, 1),
        "network_frames_per_s": round(network_rate, 1),
        "share_of_network_rate": round(embed_rate / network_rate, 3),
    }


@torch.inference_mode()
def _network_rate(model: PolarModel, counts: torch.Tensor, area: torch.Tensor, n_frames: int) -> float:
    """Frames per second of `encode` alone, for about as many frames as the run has."""
    picture, weight = model.pictures(counts, area)
    repeats = max(1, n_frames // len(counts))
    started = time.perf_counter()
    for _ in range(repeats):
        vectors = model.network.encode(picture, weight)  # type: ignore[operator]
    vectors.cpu()
    return repeats * len(counts) / (time.perf_counter() - started)
