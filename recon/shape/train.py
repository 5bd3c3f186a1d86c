"""Train a network for size and orientation."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from recon.shape.bank import make_bank
from recon.shape.calibrate import calibrate
from recon.shape.card import model_card
from recon.shape.data import TRAINING_SEEDS, Batches, ShapeDataConfig
from recon.shape.loss import answer_loss, fundamental_loss, nearest_loss
from recon.shape.network import DenseNet, ShapeNet
from recon.shape.network_stielow import BLOCKS, FILTERS, ResNet34Tanh
from recon.shape.solids import ALL_SOLIDS, solid
from recon.shape.stielow import StielowImages
from recon.training.loop import LoopConfig, fit
from recon.training.weights import load_into, n_parameters, pick_device, read_weights, save_weights, write_card
from sorter.core.config import config_from_dict, require
from sorter.core.errors import InputError
from sorter.core.seeds import child_seed

_log = logging.getLogger(__name__)
KIND = "shape"
#: Frames for calibration come from the stream of this many seeds further.
CALIBRATION = 2**20
_CALIBRATION_FRAMES = 768
REPRESENTATIONS = ("harmonics", "fundamental", "nearest")


@dataclass(frozen=True)
class ShapeTrainConfig:
    """network: "small" (polar maps) or "resnet34" (the paper's, with the paper's data); solids that it tells apart;
    representation of the orientation: "harmonics" (no seams), "fundamental" (the paper's quaternion), "nearest" (a quaternion,
    the loss of the nearest equivalent); the last two for the icosahedron alone. width: channels of the first layer of the small
    network; filters, blocks: of the ResNet. batch: frames per step. data: see `ShapeDataConfig` (resnet34 uses its ``frames``
    alone)."""

    network: str = "small"
    solids: tuple[str, ...] = ("icosahedron",)
    representation: str = "harmonics"
    width: int = 16
    filters: tuple[int, ...] = FILTERS
    blocks: tuple[int, ...] = BLOCKS
    batch: int = 64
    data: ShapeDataConfig = field(default_factory=ShapeDataConfig)
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=4000, learning_rate=3e-3, average=0.995))

    def __post_init__(self) -> None:
        require(self.network in ("small", "resnet34"), f"network = {self.network}: small or resnet34")
        known = ", ".join(REPRESENTATIONS)
        require(self.representation in REPRESENTATIONS, f"representation = {self.representation}: one of {known}")
        require(
            self.representation == "harmonics" or self.solids == ("icosahedron",),
            f"representation = {self.representation}: for the icosahedron alone",
        )
        require(self.network == "small" or self.representation == "fundamental", "resnet34: representation fundamental")
        require(self.batch >= 2 and self.width >= 1, f"batch = {self.batch}, width = {self.width}: too small")
        for name in self.solids:
            solid(name)


def _loop(steps: int, schedule: str = "cosine") -> LoopConfig:
    return LoopConfig(steps=steps, learning_rate=3e-3, schedule=schedule, average=0.995, checkpoint_steps=50)


#: small, augmented, solids: those of the shipped weights, less than an hour of one core each; augmented sees clean frames first,
#: as small does, then clean and augmented ones. stielow2020: the paper's network, data, augmentation and loss; 60 passes over its
#: 11-fold set.
PRESETS = {
    "small": ShapeTrainConfig(width=32, data=ShapeDataConfig(frames=16384), loop=_loop(4500)),
    "augmented": ShapeTrainConfig(
        width=32, data=ShapeDataConfig(frames=16384, augmented=0.5), loop=_loop(6750, "two cosines")
    ),
    "solids": ShapeTrainConfig(
        solids=ALL_SOLIDS, width=24, data=ShapeDataConfig(frames=6144, min_photons=1e2), loop=_loop(2000)
    ),
    "stielow2020": ShapeTrainConfig(
        "resnet34", representation="fundamental", batch=64, data=ShapeDataConfig(frames=25058),
        loop=LoopConfig(steps=60 * 11 * 20047 // 64, learning_rate=1e-3, warmup_steps=1, schedule="constant", weight_decay=0.0,
                        average=0.0, checkpoint_steps=1000),
    ),
}  # fmt: skip


def preset(name: str, **changes: Any) -> ShapeTrainConfig:
    """A preset with some of its settings changed; "data" and "loop" take dictionaries of changes.

    Raises InputError for an unknown preset or setting.
    """
    if name not in PRESETS:
        raise InputError(f"preset {name!r}: unknown; presets are {', '.join(PRESETS)}")
    base = PRESETS[name]
    for part, cls in (("data", ShapeDataConfig), ("loop", LoopConfig)):
        if part in changes:
            changes[part] = config_from_dict(cls, {**asdict(getattr(base, part)), **changes[part]})
    return replace(base, **changes)


def build_network(config: dict[str, Any]) -> nn.Module:
    """An untrained network of a `ShapeTrainConfig` as a dictionary."""
    if config["network"] == "resnet34":
        return ResNet34Tanh(tuple(config["filters"]), tuple(config["blocks"]))
    if config["representation"] == "harmonics":
        return ShapeNet([solid(name) for name in config["solids"]], config["width"])
    return DenseNet(5, config["width"])


def load_network(path: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """The network in a file of weights, in eval mode, and its meta (see `train`)."""
    state, meta = read_weights(path, KIND)
    return load_into(build_network(meta["config"]), state, path), meta


def train(
    to: str | Path, config: ShapeTrainConfig, seed: int = 0, *, device: str = "cpu", preset_name: str = "small",
    bank: str | Path | None = None, stop_at: int | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Train and write ``to`` (.safetensors) with its card; the run's files lie in the folder of the same name with ".run" and
    let it go on. bank: folder for the noise-free frames, to share them between trainings (default: that of the run). stop_at:
    stop after so many steps of the schedule.

    Returns meta of the weights. Raises InputError for impossible settings.
    """
    to = Path(to)
    require(to.suffix == ".safetensors", f"{to}: weights end in .safetensors")
    root = TRAINING_SEEDS + seed
    torch.manual_seed(child_seed(root, "shape", "network"))
    plain = asdict(config)
    model = build_network(plain).to(pick_device(device))
    run = to.with_suffix(".run")
    folder = Path(bank) if bank is not None else run / "bank"
    loss, figures = _source(config, root, folder)
    require(stop_at is None or stop_at >= 1, f"stop_at = {stop_at}: need at least 1")
    identity = {"config": {k: v for k, v in plain.items() if k != "loop"}, "seed": seed}
    history = fit(model, loss, config.loop, run, identity, on_checkpoint=figures, stop_at=stop_at)
    calibration = _calibration(model, config, root, folder) if config.representation == "harmonics" else {}
    meta = {
        "preset": preset_name, "network": config.network, "config": plain, "solids": list(config.solids), "seed": seed,
        "parameters": n_parameters(model), "calibration": calibration,
        "training": {"steps": (steps := history[-1]["step"]), "frames_seen": steps * config.batch,
                     "seconds": history[-1]["seconds"], "history": history},
    }  # fmt: skip
    save_weights(model, to, KIND, meta)
    write_card(to.with_suffix(".md"), *model_card(meta, to.name))
    return meta


def _calibration(model: nn.Module, config: ShapeTrainConfig, root: int, folder: Path) -> dict[str, float]:
    """What makes the network's errors and probabilities honest, from frames that were not trained with."""
    solids = [solid(name) for name in config.solids]
    count = min(_CALIBRATION_FRAMES, config.data.frames)
    bank = make_bank(folder.with_name(folder.name + "_calibration"), solids, count, root + CALIBRATION)
    batches = Batches(bank, config.data, root + CALIBRATION, upright=True)
    return calibrate(model.cpu(), [batches.batch(n, config.batch) for n in range(-(-count // config.batch))], solids)


def _source(config: ShapeTrainConfig, root: int, folder: Path) -> tuple[Callable, Callable | None]:
    if config.network == "resnet34":
        images = StielowImages(folder, config.data.frames, root, config.batch)
        return images.loss, images.validation
    solids = [solid(name) for name in config.solids]
    bank = make_bank(folder, solids, config.data.frames, root)
    batches = Batches(bank, config.data, root, augmented_from=config.loop.turn)

    def loss(model: nn.Module, step: int) -> Tensor:
        batch = batches.batch(step, config.batch)
        found = model(batch.maps.to(next(model.parameters()).device))
        if config.representation == "harmonics":
            return answer_loss(found, batch, solids)
        return (fundamental_loss if config.representation == "fundamental" else nearest_loss)(found, batch)

    return loss, None
