"""Pre-train an encoder on patterns of known things; goes on where an interrupted training stopped."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning
import torch
from torch.utils.data import DataLoader

from sorter.core.config import config_to_dict
from sorter.core.seeds import child_seed
from sorter.models.contrastive import ContrastiveModel, ContrastiveModelConfig
from sorter.train.callbacks import Checkpoint, Clock, Curves, Steps
from sorter.train.config import PairConfig
from sorter.train.fit import run_training
from sorter.train.modules import PairTraining
from sorter.train.pairs import PairBatches, PatternBank
from sorter.views.shots import Detectors, ShotConfig, Shots

_STEPS_PER_EPOCH = 50
_CHECKPOINT_EVERY_S = 30.0


class _PairData(lightning.LightningDataModule):
    def __init__(self, bank: PatternBank, config: PairConfig) -> None:
        super().__init__()
        self.bank, self.config = bank, config

    def train_dataloader(self) -> DataLoader:
        first, config = int(self.trainer.lightning_module.step_count), self.config
        n_steps = min(_STEPS_PER_EPOCH, config.steps - first)
        seed = child_seed(config.seed, "order")
        batches = PairBatches(self.bank, config.shares, config.batch, config.views, seed, first, n_steps)
        return DataLoader(batches, batch_size=None)


def pretrain(
    bank: PatternBank, detectors: Detectors, shots: ShotConfig, config: PairConfig, folder: Path, inputs: dict[str, Any]
) -> tuple[ContrastiveModel, dict[str, Any]]:
    """Train on fresh shots of the patterns of ``bank`` on ``detectors``; returns the network and a record of the training.

    folder: curves.csv and, until it is done, the checkpoint go there. inputs: what decides the patterns, JSON-ready; with the
    configs it decides whether a checkpoint belongs to this training. Raises KeyboardInterrupt when stopped (the
    checkpoint stays).
    """
    torch.manual_seed(child_seed(config.seed, "weights"))
    sizes = ContrastiveModelConfig(config.n_radii, config.n_angles, tuple(config.channels), hidden=config.hidden)
    module = PairTraining(ContrastiveModel(sizes), config, bank, Shots(detectors, shots))
    settings = {"config": config_to_dict(config), "shots": config_to_dict(shots), **inputs}
    mark = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / f"training-{mark}.ckpt"
    curves, clock = Curves(folder / "curves.csv"), Clock(config.minutes)
    callbacks = [curves, clock, Steps("pretrained", config.steps), Checkpoint(checkpoint, _CHECKPOINT_EVERY_S)]
    n_epochs = -(-config.steps // _STEPS_PER_EPOCH)
    run_training(module, _PairData(bank, config), callbacks, n_epochs, "cpu", folder, checkpoint)
    for leftover in folder.glob("training-*"):
        leftover.unlink()
    record = {"steps": int(module.step_count), "patterns": len(bank), "seconds": round(clock.seconds, 1)}
    record |= {name: round(value, 4) for name, value in curves.rows[-1].items() if name != "step"}
    return module.network.eval(), {**record, **settings, "network": asdict(sizes)}
