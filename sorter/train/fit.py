"""Train a network on frames; goes on where an interrupted training stopped."""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from sorter.core.config import config_to_dict
from sorter.core.errors import InputError
from sorter.core.frames import FrameStore
from sorter.core.seeds import child_seed
from sorter.models.contrastive import ContrastiveModelConfig
from sorter.models.factor_vae import FactorVAEConfig
from sorter.models.polar_model import ModelCard, PolarModel, build_network, save_model, seen_sectors
from sorter.preprocess.polar import PolarMap, choose_grid
from sorter.preprocess.scaling import choose_softening
from sorter.train.callbacks import Checkpoint, Clock, Curves, Steps
from sorter.train.config import DEFAULT_RATE, TrainConfig
from sorter.train.data import CountBatches, CountSource
from sorter.train.modules import ContrastiveTraining, FactorVAETraining
from sorter.train.parallel import is_first
from sorter.views.pipeline import PolarViews, ViewConfig

log = logging.getLogger(__name__)

#: Fewer frames than this do not train a network.
MIN_FRAMES = 32
_STEPS_PER_EPOCH = 25
_CHECKPOINT_EVERY_S = 20.0


class BatchData(lightning.LightningDataModule):
    """Batches for Lightning: an epoch is a fixed number of steps."""

    def __init__(
        self, source: CountSource, config: TrainConfig, batch: int, chances: NDArray[np.float64] | None
    ) -> None:
        super().__init__()
        self.source, self.config, self.batch, self.chances = source, config, batch, chances

    def train_dataloader(self) -> DataLoader:
        """The steps of the epoch that comes now."""
        first = int(self.trainer.lightning_module.step_count)
        n_steps = min(_STEPS_PER_EPOCH, self.config.total_steps - first)
        batches = CountBatches(
            self.source, self.batch, child_seed(self.config.seed, "order"), first, n_steps, chances=self.chances,
            share=(self.trainer.global_rank, self.trainer.world_size),
        )  # fmt: skip
        return DataLoader(batches, batch_size=None)


def fingerprint(config: TrainConfig, inputs: dict[str, Any]) -> str:
    """Short hash of everything that decides a training, the network's own sizes included."""
    text = json.dumps([config_to_dict(config), _network(config), inputs], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def fit(
    store: FrameStore, config: TrainConfig, folder: Path, inputs: dict[str, Any],
    chances: NDArray[np.float64] | None = None,
) -> tuple[PolarModel, dict[str, float]]:  # fmt: skip
    """Train on all frames of ``store``; writes weights.safetensors, config.json and curves.csv into ``folder``.

    inputs: what the frames are, JSON-ready; with the config it decides whether a checkpoint in ``folder`` belongs to this
    training. chances (N,): of each frame to be drawn, None: all alike. Of several processes the first writes. Returns the model
    and figures. Raises InputError for fewer than MIN_FRAMES frames, and KeyboardInterrupt when stopped (the checkpoint stays).
    """
    n = len(store.frame_ids)
    if n < MIN_FRAMES:
        raise InputError(f"{n} frames are too few to train on (need {MIN_FRAMES}); use the hand-made features")
    torch.manual_seed(child_seed(config.seed, "weights"))
    grid = choose_grid(store.geometry, store.bad_pixels, config.n_radii, config.n_angles)
    polar = PolarMap.of_store(store, grid)
    source = CountSource(store, polar, config.memory_mb)
    model = PolarModel(_card(store, config, polar, _softening(source)), build_network(*_network(config)))
    module = _training(model, polar, config)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / f"training-{fingerprint(config, inputs)}.ckpt"
    curves, clock = Curves(folder / "curves.csv"), Clock(config.minutes)
    callbacks = [curves, clock, Steps(config.model, config.total_steps), Checkpoint(checkpoint, _CHECKPOINT_EVERY_S)]
    n_epochs = -(-config.total_steps // _STEPS_PER_EPOCH)
    batch = min(config.batch, n)
    data = BatchData(source, config, batch - batch % config.n_processes, chances)
    if config.compile:
        model.network.compile()
    run_training(
        module,
        data,
        callbacks,
        n_epochs,
        config.device,
        folder,
        checkpoint,
        config.precision,
        config.devices,
        config.nodes,
    )
    record = {
        "steps": int(module.step_count),
        "frames": n,
        "seconds": round(clock.seconds, 2),
        "config": config_to_dict(config),
    }
    model = PolarModel(ModelCard(**{**asdict(model.card), "training": record}), module.network).cpu().eval()
    if is_first():
        save_model(folder, model)
        for leftover in folder.glob("training-*"):
            leftover.unlink()
    return model, {"steps": record["steps"], "seconds": record["seconds"], **curves.rows[-1]}


def _softening(source: CountSource) -> float:
    return choose_softening(source.block(0, min(len(source), 512)), source.polar.area, source.store.unit)


def _network(config: TrainConfig) -> tuple[str, dict[str, Any]]:
    size = {"n_radii": config.n_radii, "n_angles": config.n_angles}
    if config.model == "contrastive":
        return config.model, asdict(ContrastiveModelConfig(**size, invariant="orientation" not in config.kept))
    vae = FactorVAEConfig(
        **size,
        n_latents=config.n_latents,
        discriminator_layers=config.discriminator_layers,
        discriminator_width=config.discriminator_width,
    )
    return config.model, asdict(vae)


def _card(store: FrameStore, config: TrainConfig, polar: PolarMap, softening: float) -> ModelCard:
    align = config.model == "factorvae" and "orientation" not in config.kept
    kind, network = _network(config)
    grid, shape_px = polar.grid.to_dict(), tuple(store.shape_px)
    return ModelCard(kind, network, grid, shape_px, store.unit, softening, align, seen=seen_sectors(polar))


def _training(model: PolarModel, polar: PolarMap, config: TrainConfig) -> ContrastiveTraining | FactorVAETraining:
    if config.learning_rate == 0:
        config = TrainConfig(**{**config_to_dict(config), "learning_rate": DEFAULT_RATE[config.model]})
    if config.model == "factorvae":
        return FactorVAETraining(model.network, config, model, polar.area)
    defaults = ViewConfig()
    views = ViewConfig(
        rotate="orientation" not in config.kept, log_zoom=0.0 if "size" in config.kept else defaults.log_zoom
    )
    made = PolarViews(polar.grid, polar.area, model.card.softening, model.card.unit == "photon", views)
    return ContrastiveTraining(model.network, config, made, config.total_steps)


def run_training(
    module: lightning.LightningModule, data: lightning.LightningDataModule, callbacks: list[lightning.Callback],
    n_epochs: int, device: str, folder: Path, checkpoint: Path, precision: str = "32", devices: int = 1, nodes: int = 1,
) -> None:  # fmt: skip
    """Fit ``module``, from ``checkpoint`` on where that is there; precision, devices, nodes: see `TrainConfig`. Raises
    KeyboardInterrupt when stopped."""
    _quiet_lightning()
    trainer = lightning.Trainer(
        accelerator=device, devices=devices, num_nodes=nodes, strategy="ddp" if devices * nodes > 1 else "auto",
        precision="bf16-mixed" if precision == "bf16" else "32-true", max_epochs=n_epochs, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        reload_dataloaders_every_n_epochs=1, default_root_dir=folder, callbacks=callbacks,
    )  # fmt: skip
    goes_on = checkpoint if checkpoint.is_file() else None
    if goes_on:
        log.info("train: going on from %s", checkpoint.name)
    try:
        trainer.fit(module, datamodule=data, ckpt_path=goes_on, weights_only=True)
    except SystemExit as stopped:
        # Lightning turns Ctrl-C into SystemExit.
        raise KeyboardInterrupt from stopped
    if trainer.interrupted:
        raise KeyboardInterrupt


def _quiet_lightning() -> None:
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
