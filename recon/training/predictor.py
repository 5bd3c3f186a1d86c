"""What the predictors of all stages share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from recon.training.weights import pick_device


class TrainedNetwork:
    """A network with its weights, in eval mode on its device, ready to predict.

    load: reads network and meta from a file of weights; device: cpu, cuda or auto; told: entries of meta that tell which
    weights these are. Raises what ``load`` raises, and InputError where there is no such device.
    """

    def __init__(
        self,
        load: Callable[[Path], tuple[nn.Module, dict[str, Any]]],
        path: str | Path,
        device: str,
        told: tuple[str, ...],
    ) -> None:
        self.path, self.device, self._told = Path(path), pick_device(device), told
        self.model, self.meta = load(self.path)
        self.model.to(self.device)

    def describe(self) -> dict[str, Any]:
        """Which weights these are, JSON-ready."""
        return {"weights": self.path.name, **{name: self.meta[name] for name in self._told}}
