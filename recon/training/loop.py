"""One training loop for all stages: fresh batches by step number, checkpoints, a killed run goes on where it stopped."""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from sorter.core.config import require
from sorter.core.errors import InputError

_log = logging.getLogger(__name__)
#: Share of the steps in the first of two cosines.
FIRST_PART = 2 / 3


@dataclass(frozen=True)
class LoopConfig:
    """steps of the optimiser; learning_rate: the highest (warmed up over warmup_steps, then a cosine down to a hundredth, or
    held where schedule is "constant", or one over FIRST_PART of the steps and another from half the rate where it is "two
    cosines", for data that change then; restarts: Loshchilov and Hutter 2017); weight_decay: AdamW (0: Adam); average: decay
    of the averaged weights that are kept (0: the last ones); checkpoint_steps between checkpoints."""

    steps: int = 10000
    learning_rate: float = 2e-3
    warmup_steps: int = 100
    schedule: str = "cosine"
    weight_decay: float = 0.01
    average: float = 0.998
    checkpoint_steps: int = 200

    def __post_init__(self) -> None:
        require(self.steps >= 1, f"steps = {self.steps}: need at least 1")
        require(self.learning_rate > 0, f"learning_rate = {self.learning_rate}: must be positive")
        known = ("cosine", "constant", "two cosines")
        require(self.schedule in known, f"schedule = {self.schedule}: one of {', '.join(known)}")
        require(0 <= self.average < 1, f"average = {self.average}: must lie in 0..1")
        require(self.checkpoint_steps >= 1, f"checkpoint_steps = {self.checkpoint_steps}: need at least 1")

    @property
    def turn(self) -> int:
        """Step at which the second cosine begins (0 where there is one only)."""
        return round(FIRST_PART * self.steps) if self.schedule == "two cosines" else 0

    def rate(self, step: int) -> float:
        """Learning rate at ``step``."""
        rate = self.learning_rate * min(1.0, (step + 1) / max(self.warmup_steps, 1))
        if self.schedule == "constant":
            return rate
        begin, end = (0, self.turn) if step < self.turn else (self.turn, self.steps)
        rate *= 0.5 if begin else 1.0
        return rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - begin) / (end - begin))))


class Average:
    """Running average of all floating-point tensors of a model; ramps up so that early steps are forgotten."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the model after ``step``."""
        keep = min(self.decay, (1 + step) / (10 + step)) if self.decay else 0.0
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                self.values[name].lerp_(value, 1 - keep)
            else:
                self.values[name].copy_(value)


def fit(
    model: nn.Module,
    loss: Callable[[nn.Module, int], Tensor],
    config: LoopConfig,
    folder: str | Path,
    identity: dict[str, Any],
    *,
    on_checkpoint: Callable[[nn.Module, int], dict[str, float]] | None = None,
    stop_at: int | None = None,
) -> list[dict[str, float]]:
    """Train ``model`` in place; afterwards it holds the averaged weights and is in eval mode.

    loss(model, step) draws the batch of ``step`` and returns the scalar loss. ``folder`` gets checkpoint.pt (tensors and plain
    values only); identity: JSON-ready facts that a checkpoint must agree in to be continued. on_checkpoint may return figures
    of the averaged model for the history. stop_at: step of the schedule after which to end before its time. Returns the
    history: step, loss (mean since the last entry), seconds, figures. Raises InputError where the folder holds a checkpoint of
    another run.
    """
    path = Path(folder) / "checkpoint.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    identity = json.loads(json.dumps({**identity, "loop": asdict(config)}))
    optimiser = _optimiser(model, config)
    average = Average(model, config.average)
    step, history = _restore(path, identity, model, optimiser, average)
    if step:
        _log.info("goes on at step %d of %d", step, config.steps)
    spent = history[-1]["seconds"] if history else 0.0
    begin, losses = time.monotonic(), []
    end = min(config.steps, stop_at or config.steps)
    model.train()
    bar = tqdm(total=end, initial=step, unit="step", disable=not sys.stderr.isatty())
    while step < end:
        for group in optimiser.param_groups:
            group["lr"] = config.rate(step)
        value = loss(model, step)
        if not torch.isfinite(value):
            raise InputError(f"training: loss is {value.item()} at step {step}; lower the learning rate")
        optimiser.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        average.update(model, step)
        losses.append(value.item())
        step += 1
        bar.update()
        if step % config.checkpoint_steps == 0 or step == end:
            row = {
                "step": step,
                "loss": sum(losses) / len(losses),
                "seconds": round(spent + time.monotonic() - begin, 1),
            }
            history.append(row | (_figures(model, average, on_checkpoint, step) if on_checkpoint else {}))
            _log.info(" ".join(f"{k} {v:.4g}" for k, v in history[-1].items()))
            losses = []
            _save(path, identity, model, optimiser, average, step, history)
    bar.close()
    model.load_state_dict(average.values)
    model.eval()
    return history


def _optimiser(model: nn.Module, config: LoopConfig) -> torch.optim.Optimizer:
    if config.weight_decay == 0:
        return torch.optim.Adam(model.parameters(), config.learning_rate)
    return torch.optim.AdamW(model.parameters(), config.learning_rate, weight_decay=config.weight_decay)


def _figures(model: nn.Module, average: Average, measure: Callable, step: int) -> dict[str, float]:
    """What ``measure`` says of the averaged model; the model itself is left as it was."""
    own = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(average.values)
    model.eval()
    with torch.no_grad():
        figures = measure(model, step)
    model.load_state_dict(own)
    model.train()
    return figures


def _save(path, identity, model, optimiser, average, step, history) -> None:
    state = {"identity": json.dumps(identity), "model": model.state_dict(), "optimiser": optimiser.state_dict(),
             "average": average.values, "step": step, "history": history}  # fmt: skip
    temporary = path.with_suffix(".partial")
    torch.save(state, temporary)
    os.replace(temporary, path)


def _restore(path, identity, model, optimiser, average) -> tuple[int, list[dict[str, float]]]:
    if not path.exists():
        return 0, []
    state = torch.load(path, weights_only=True)
    if json.loads(state["identity"]) != identity:
        raise InputError(f"{path}: checkpoint of a run with other settings; delete it or give another folder")
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    average.values = state["average"]
    return state["step"], state["history"]
