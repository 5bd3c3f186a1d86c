"""Train a network to count disks."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recon.speckle.card import model_card
from recon.speckle.data import PatternConfig, SplitPool
from recon.speckle.loss import ordered_cross_entropy
from recon.speckle.network import ResNet50, SpeckleNet
from recon.training.loop import LoopConfig, fit
from recon.training.weights import load_into, n_parameters, pick_device, read_weights, save_weights, write_card
from sorter.core.config import config_from_dict, require
from sorter.core.errors import InputError
from sorter.core.seeds import child_rng, child_seed

_log = logging.getLogger(__name__)
KIND = "speckle"


@dataclass(frozen=True)
class SpeckleTrainConfig:
    """network: "small" or "resnet50"; width of its first layer (0 for "small": histograms and curves only, no convolution).
    data: what the patterns are. batch: patterns per step. patterns: how many different ones there are for training.
    before: how many are drawn before the first step, fresh: how many more with each step (small network; a batch is drawn from
    all that there are). ordinal: weight of the earth
    mover's distance in the loss. loop: see `LoopConfig`."""

    network: str = "small"
    width: int = 0
    data: PatternConfig = field(default_factory=lambda: PatternConfig(polydispersity=None))
    batch: int = 128
    patterns: int = 40000
    before: int = 2048
    fresh: int = 10
    ordinal: float = 0.2
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=3000, weight_decay=0.05, average=0.99))

    def __post_init__(self) -> None:
        require(self.network in ("small", "resnet50"), f"network = {self.network}: small or resnet50")
        require(self.width >= (1 if self.network == "resnet50" else 0), f"width = {self.width}: must be positive")
        require(
            self.batch >= 2 and self.patterns >= self.batch,
            f"batch = {self.batch}, patterns = {self.patterns}: too few",
        )


#: The paper's training: ResNet-50, Adam with Keras' default rate, cross-entropy, 200 epochs of 15,200 patterns in batches of 40.
_SHEN = SpeckleTrainConfig(
    "resnet50", 64, PatternConfig(), batch=40, patterns=15200, ordinal=0.0,
    loop=LoopConfig(steps=200 * 380, learning_rate=1e-3, warmup_steps=1, schedule="constant", weight_decay=0.0, average=0.0,
                    checkpoint_steps=380),
)  # fmt: skip
#: small: statistics of the map and curves through a perceptron, minutes on a CPU; wide: with convolutions on the map.
PRESETS = {
    "shen": _SHEN,
    "small": SpeckleTrainConfig(),
    "wide": SpeckleTrainConfig(width=8, batch=64, fresh=4, loop=LoopConfig(steps=8000)),
}


def build_network(
    network: str, n_classes: int, width: int, side_px: int, blocks: tuple[int, ...] = (3, 4, 6, 3)
) -> nn.Module:
    """An untrained network. Raises InputError for patterns too small for it."""
    if network == "resnet50":
        return ResNet50(n_classes, width, blocks)
    side = min(256, side_px - 1)
    require(side >= 32, f"patterns of {side_px} pixels: the small network needs at least 33")
    return SpeckleNet(n_classes, side - side % 2, width)


def load_network(path: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """The network in a file of weights, in eval mode, and its meta (see `train`)."""
    state, meta = read_weights(path, KIND)
    model = build_network(meta["network"], len(meta["counts"]), meta["width"], meta["side_px"], tuple(meta["blocks"]))
    return load_into(model, state, path), meta


def train(
    to: str | Path,
    config: SpeckleTrainConfig,
    seed: int = 0,
    *,
    device: str = "cpu",
    start: str | Path | None = None,
    blocks: tuple[int, ...] = (3, 4, 6, 3),
) -> dict[str, Any]:
    """Train and write ``to`` (.safetensors); the run's files lie in the folder of the same name with ".run" and let it go on.

    start: weights to begin with. Returns meta of the weights: network, counts (numbers of disks, class by class), training,
    history. Raises InputError for impossible settings or weights of another shape.
    """
    to = Path(to)
    require(to.suffix == ".safetensors", f"{to}: weights end in .safetensors")
    torch.manual_seed(child_seed(seed, "speckle", "network"))
    counts, side_px = config.data.counts, config.data.side_px
    model = build_network(config.network, len(counts), config.width, side_px, blocks).to(pick_device(device))
    if start is not None:
        _take_over(model, *read_weights(start, KIND), start, config)
    run = to.with_suffix(".run")
    begin = time.monotonic()
    source = _pooled(config, seed, run / "pool", model) if config.network == "small" else _fixed(config, seed)
    history = fit(
        model, source, config.loop, run, {"config": asdict(config), "seed": seed, "start": start and str(start)}
    )
    meta = {
        "network": config.network, "width": config.width, "blocks": list(blocks), "side_px": side_px, "counts": counts,
        "parameters": n_parameters(model), "seed": seed, "config": asdict(config), "start": start and Path(start).name,
        "training": {"patterns_seen": config.loop.steps * config.batch, "seconds": history[-1]["seconds"], "history": history},
    }  # fmt: skip
    save_weights(model, to, KIND, meta)
    write_card(to.with_suffix(".md"), *model_card(meta, to.name))
    _log.info("%s: trained (%.0f s in this call)", to, time.monotonic() - begin)
    return meta


def _take_over(
    model: nn.Module, state: dict[str, Tensor], meta: dict[str, Any], path: str | Path, config: SpeckleTrainConfig
) -> None:
    """Begin with these weights. Those of width 0 may also start a network with convolutions, which come last in its head: their
    values fill the leading part of each larger tensor."""
    wider = config.network == "small" and meta["width"] == 0
    same = meta["network"] == config.network and (meta["width"] == config.width or wider)
    if meta["counts"] != config.data.counts or not same:
        raise InputError(f"{path}: weights of another network or other classes; start from nothing or give others")
    target = model.state_dict()
    for name, value in state.items():
        target[name][tuple(slice(n) for n in value.shape)] = value
    load_into(model, target, path)


def _fixed(config: SpeckleTrainConfig, seed: int):
    """The paper's way: epochs over a fixed set in random order; patterns are computed when asked for."""
    per_epoch = config.patterns // config.batch

    def loss(model: nn.Module, step: int) -> Tensor:
        order = child_rng(seed, "speckle", "epoch", step // per_epoch).permutation(config.patterns)
        rows = order[step % per_epoch * config.batch :][: config.batch]
        patterns, labels = config.data.patterns(seed, "train", rows)
        device = next(model.parameters()).device
        return ordered_cross_entropy(model(patterns.to(device)), labels.to(device), config.ordinal)

    return loss


def _pooled(config: SpeckleTrainConfig, seed: int, folder: Path, network: nn.Module):
    """New patterns without end (up to ``patterns``), each kept and seen again, with k_x and k_y exchanged half of the time."""
    split = type(network.split)(network.split.side)
    pool = SplitPool(folder, split, config.data, seed, config.patterns, config.width > 0)

    def loss(model: nn.Module, step: int) -> Tensor:
        held = min(config.patterns, config.before + config.fresh * step)
        pool.grow(held)
        rng = child_rng(seed, "speckle", "batch", step)
        rows = np.sort(rng.integers(0, held, config.batch))
        *parts, labels = pool.batch(rows, transpose=bool(step % 2))
        device = next(model.parameters()).device
        return ordered_cross_entropy(model.classify(*(p.to(device) for p in parts)), labels.to(device), config.ordinal)

    return loss


def preset(name: str, **changes: Any) -> SpeckleTrainConfig:
    """A preset with some of its settings changed; "data" and "loop" take dictionaries of changes.

    Raises InputError for an unknown preset or setting.
    """
    if name not in PRESETS:
        raise InputError(f"preset {name!r}: unknown; presets are {', '.join(PRESETS)}")
    base = PRESETS[name]
    for part, cls in (("data", PatternConfig), ("loop", LoopConfig)):
        if part in changes:
            changes[part] = config_from_dict(cls, {**asdict(getattr(base, part)), **changes[part]})
    return replace(base, **changes)
