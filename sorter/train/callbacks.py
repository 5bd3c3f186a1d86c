"""What happens around the training steps: curves, checkpoints, progress, the clock."""

from __future__ import annotations

import csv
import io
import math
import os
import time
from pathlib import Path
from typing import Any

import lightning

from sorter.io.progress import Progress
from sorter.io.whole import write_text_whole


class Curves(lightning.Callback):
    """Mean of each figure over every epoch (a fixed number of steps), kept in the checkpoint and written as CSV."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []
        self._sums: dict[str, float] = {}
        self._steps = 0

    def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
        """Add the step's figures."""
        self._steps += 1
        for name, value in module.metrics.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(value.detach())

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """One row more."""
        means = {name: total / max(self._steps, 1) for name, total in self._sums.items()}
        self.rows.append({"step": int(module.step_count), **means})
        self._sums, self._steps = {}, 0
        if not trainer.is_global_zero:
            return
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(self.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text_whole(self.path, text.getvalue())

    def state_dict(self) -> dict[str, Any]:
        """The rows so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Rows of the training that is gone on with."""
        self.rows = list(state_dict["rows"])


class Checkpoint(lightning.Callback):
    """Save the whole training after the first epoch and then at most every ``every_s`` seconds; whole or absent.

    Must come after the callbacks whose state it is to save.
    """

    def __init__(self, path: Path, every_s: float) -> None:
        self.path, self.every_s = path, every_s
        self._last = -math.inf

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """Save if it is time."""
        if not trainer.strategy.broadcast(time.monotonic() - self._last >= self.every_s):
            return
        partial = self.path.with_suffix(".partial")
        trainer.save_checkpoint(partial)
        if trainer.is_global_zero:
            os.replace(partial, self.path)
        self._last = time.monotonic()


class Clock(lightning.Callback):
    """Stop at the end of the epoch after ``minutes`` of training, those before an interruption counted; 0 never stops."""

    def __init__(self, minutes: float) -> None:
        self.minutes = minutes
        self.seconds = 0.0
        self._last = 0.0

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Start the clock."""
        self._last = time.monotonic()

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """Read the clock."""
        now = time.monotonic()
        self.seconds, self._last = trainer.strategy.broadcast(self.seconds + now - self._last), now
        if self.minutes and self.seconds >= 60 * self.minutes:
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        """Seconds spent."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Seconds spent before."""
        self.seconds = float(state_dict["seconds"])


class Steps(lightning.Callback):
    """Shows how far the training is."""

    def __init__(self, name: str, total_steps: int) -> None:
        self.name, self.total = name, total_steps
        self._bar: Progress | None = None

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Show the bar."""
        if trainer.is_global_zero:
            self._bar = Progress(f"train {self.name}", self.total, "steps", int(module.step_count))

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """Move on."""
        if self._bar is not None:
            self._bar.update(int(module.step_count) - self._bar.done)

    def teardown(self, trainer: Any, module: Any, stage: str) -> None:
        """Take the bar away, however the training ended."""
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None
