"""How the small network's score grows with the number of patterns, for several widths: would more data or a larger one help?"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recon.speckle.config import SpeckleTrainConfig
from recon.speckle.data import PAPER_POLYDISPERSITY, PatternConfig, read_pool
from recon.speckle.network import SpeckleNet
from recon.speckle.pattern import MAPS
from recon.speckle.train import load_network, train
from recon.training.scores import class_scores
from sorter.core.config import require

_log = logging.getLogger(__name__)
_BLOCK = 16


@dataclass(frozen=True)
class LearningCurveConfig:
    """patterns: how many each training has; hidden: units of the first layer of each width; maps: see `SpeckleTrainConfig`;
    steps of each training at least, epochs: how often it sees each pattern at least; test_patterns: unseen ones; polydispersity
    of the test and, unless they come from a pool, of the training."""

    patterns: tuple[int, ...] = (800, 1600, 3200, 6400)
    hidden: tuple[int, ...] = (64, 192, 768)
    maps: tuple[str, ...] = MAPS
    steps: int = 800
    epochs: float = 12.8
    test_patterns: int = 950
    polydispersity: float = PAPER_POLYDISPERSITY

    def __post_init__(self) -> None:
        require(
            len(self.patterns) > 0 and min(self.patterns) >= 128, f"patterns = {self.patterns}: at least 128 of them"
        )
        require(len(self.hidden) > 0, "hidden: give at least one width")
        require(self.test_patterns >= 19, f"test_patterns = {self.test_patterns}: need at least 19")

    @property
    def data(self) -> PatternConfig:
        """What the patterns are, unless they come from a pool."""
        return PatternConfig(polydispersity=self.polydispersity)

    def training(self, patterns: int, hidden: int, data: PatternConfig) -> SpeckleTrainConfig:
        """Settings of one training; all draw from one pool of patterns, each from its beginning."""
        base = SpeckleTrainConfig(
            hidden=hidden, maps=self.maps, data=data, patterns=max(self.patterns), before=patterns, fresh=0
        )
        steps = max(self.steps, math.ceil(self.epochs * patterns / base.batch))
        return replace(base, loop=replace(base.loop, steps=steps))


def learning_curve(
    folder: str | Path, config: LearningCurveConfig, seed: int = 0, pool: str | Path | None = None
) -> list[dict[str, Any]]:
    """One row for each number of patterns and each width: macro F1 and accuracy on unseen patterns.

    ``folder`` keeps patterns and weights; an interrupted call goes on there. pool: folder of patterns that a training has drawn
    (its ".run/pool"), to learn from these, with their settings, maps and seed. Raises InputError where it holds too few.
    """
    folder = Path(folder)
    data, training_seed, test = config.data, seed, None
    if pool is not None:
        data, training_seed, maps, held = read_pool(pool)
        most = max(config.patterns)
        require(most <= held, f"{pool}: holds {held} patterns, not {most}; ask for fewer or draw more")
        config = replace(config, maps=maps)
    rows = []
    for patterns in sorted(config.patterns):
        for hidden in config.hidden:
            weights = folder / f"{patterns}_patterns_{hidden}_units.safetensors"
            training = config.training(patterns, hidden, data)
            meta = train(weights, training, training_seed, pool=pool or folder / "pool")
            network, _ = load_network(weights)
            assert isinstance(network, SpeckleNet)
            test = test or _test_set(
                network, replace(data, polydispersity=config.polydispersity), config.test_patterns, seed
            )
            rows.append(
                {
                    "patterns": patterns,
                    "hidden": hidden,
                    "parameters": meta["parameters"],
                    "steps": training.loop.steps,
                    **_scores(network, test),
                }
            )
            _log.info("%d patterns, %d units: macro F1 %.3f", patterns, hidden, rows[-1]["macro_f1"])
    return rows


@torch.no_grad()
def _test_set(network: SpeckleNet, data: PatternConfig, n: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """form, statistics and classes of ``n`` unseen patterns, which all networks share."""
    parts = []
    for start in range(0, n, _BLOCK):
        patterns, labels = data.patterns(seed, "test curve", range(start, min(start + _BLOCK, n)))
        form, statistics, _ = network.split(patterns)
        parts.append((form, statistics, labels))
    return tuple(torch.cat(part) for part in zip(*parts, strict=True))


@torch.no_grad()
def _scores(network: SpeckleNet, test: tuple[Tensor, Tensor, Tensor]) -> dict[str, float]:
    form, statistics, labels = test
    logits = network.classify(form, statistics, torch.empty(len(labels), 1, 0, 0))
    scores = class_scores(labels.numpy(), logits.argmax(1).numpy().astype(np.int64), logits.shape[1])
    return {"macro_f1": scores.macro_f1, "accuracy": scores.accuracy, "beyond_one": scores.errors_beyond(1)}
