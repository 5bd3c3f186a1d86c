"""Count the disks in patterns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from recon.speckle.check import check_shape, check_standardised, check_varies
from recon.speckle.train import load_network
from recon.training.predictor import TrainedNetwork
from sim.scattering.disks import BLOCKED, standardise

SHIPPED = Path(__file__).parent / "weights" / "small.safetensors"


@dataclass(frozen=True)
class Counts:
    """counts (C,): the numbers of disks that the weights tell apart; probability (N, C) float32."""

    counts: NDArray[np.int64]
    probability: NDArray[np.float32]

    @property
    def best(self) -> NDArray[np.int64]:
        """(N,) the most probable number of disks."""
        return self.counts[self.probability.argmax(1)]

    @property
    def mean(self) -> NDArray[np.float64]:
        """(N,) expected number of disks."""
        return self.probability @ self.counts

    @property
    def deviation(self) -> NDArray[np.float64]:
        """(N,) standard deviation of the number of disks under the predicted probabilities."""
        return np.sqrt(np.maximum(self.probability @ self.counts.astype(float) ** 2 - self.mean**2, 0))


class Predictor(TrainedNetwork):
    """A trained network, ready. weights: a file of `recon speckle train` (None: the shipped ones); device: cpu, cuda or auto."""

    def __init__(self, weights: str | Path | None = None, device: str = "cpu") -> None:
        super().__init__(load_network, weights or SHIPPED, device, ("network", "seed", "parameters"))
        self.counts = np.array(self.meta["counts"], np.int64)
        self.smallest_px = int(self.meta["side_px"])

    @torch.no_grad()
    def logits(self, patterns: torch.Tensor) -> torch.Tensor:
        """Logits (B, C) of standardised patterns (B, n, n); nothing is checked."""
        return self.model(patterns.to(self.device)).float().cpu()

    def predict(
        self, patterns: NDArray, where: str = "patterns", *, standardise_first: bool = False, batch: int = 64
    ) -> Counts:
        """Count the disks in ``patterns`` (N, n, n), n at least ``smallest_px``, each of mean 0 and variance 1.

        standardise_first: block the corner and standardise here. Raises InputError for another shape, patterns that are constant,
        not finite or not standardised; ``where`` names them in the message.
        """
        return self.predict_stream([patterns], where, standardise_first=standardise_first, batch=batch)

    def predict_stream(
        self, blocks: Iterable[NDArray], where: str = "patterns", *, standardise_first: bool = False, batch: int = 64
    ) -> Counts:
        """`predict` for blocks (N_i, n, n) of patterns that come one after the other."""
        found, first = [np.empty((0, len(self.counts)), np.float32)], 0
        for part in _parts(blocks, batch):
            check_shape(part.shape, self.smallest_px, where)
            if standardise_first:
                check_varies(part, where, first, BLOCKED)
                part = standardise(torch.from_numpy(part.astype(np.float32))).numpy()
            check_standardised(part, where, first)
            first += len(part)
            found.append(self.logits(torch.from_numpy(part.astype(np.float32))).softmax(1).numpy())
        return Counts(self.counts, np.concatenate(found))


def _parts(blocks: Iterable[NDArray], batch: int) -> Iterator[NDArray]:
    for block in blocks:
        block = np.asarray(block)
        yield from (block[i : i + batch] for i in range(0, len(block), batch))
