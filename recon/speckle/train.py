"""Train a network to count disks."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recon.speckle.card import model_card
from recon.speckle.config import SpeckleTrainConfig, config_of
from recon.speckle.data import SplitPool
from recon.speckle.loss import ordered_cross_entropy
from recon.speckle.network import ResNet50, SpeckleNet
from recon.training.loop import fit
from recon.training.weights import load_into, n_parameters, pick_device, read_weights, save_weights, write_card
from sorter.core.config import require
from sorter.core.errors import InputError
from sorter.core.seeds import child_rng, child_seed

_log = logging.getLogger(__name__)
KIND = "speckle"


def build_network(config: SpeckleTrainConfig, blocks: tuple[int, ...] = (3, 4, 6, 3)) -> nn.Module:
    """An untrained network. Raises InputError for patterns too small for it."""
    n_classes, side_px = len(config.data.counts), config.data.side_px
    if config.network == "resnet50":
        return ResNet50(n_classes, config.width, blocks)
    side = min(256, side_px - 1)
    require(side >= 32, f"patterns of {side_px} pixels: the small network needs at least 33")
    return SpeckleNet(n_classes, side - side % 2, config.width, config.hidden, config.maps)


def load_network(path: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """The network in a file of weights, in eval mode, and its meta (see `train`)."""
    state, meta = read_weights(path, KIND)
    return load_into(build_network(config_of(meta), tuple(meta["blocks"])), state, path), meta


def train(
    to: str | Path,
    config: SpeckleTrainConfig,
    seed: int = 0,
    *,
    device: str = "cpu",
    start: str | Path | None = None,
    blocks: tuple[int, ...] = (3, 4, 6, 3),
    pool: str | Path | None = None,
) -> dict[str, Any]:
    """Train and write ``to`` (.safetensors); the run's files lie in the folder of the same name with ".run" and let it go on.

    start: weights to begin with; pool: folder of the patterns drawn, where several trainings share them. Returns meta of the
    weights: network, counts (numbers of disks, class by class), training, history. Raises InputError for impossible settings or
    weights of another shape.
    """
    to = Path(to)
    require(to.suffix == ".safetensors", f"{to}: weights end in .safetensors")
    torch.manual_seed(child_seed(seed, "speckle", "network"))
    counts, side_px = config.data.counts, config.data.side_px
    model = build_network(config, blocks).to(pick_device(device))
    if start is not None:
        _take_over(model, *read_weights(start, KIND), start, config)
    run = to.with_suffix(".run")
    begin = time.monotonic()
    source = (
        _pooled(config, seed, Path(pool or run / "pool"), model) if config.network == "small" else _fixed(config, seed)
    )
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
    given = config_of(meta)
    wider = config.network == "small" and given.width == 0
    same = (given.network, given.hidden, given.maps) == (config.network, config.hidden, config.maps)
    same &= given.width == config.width or wider
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
    split = type(network.split)(network.split.side, maps=network.split.maps)
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
