"""Make a network's own errors and probabilities honest on frames that it was not trained with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from recon.shape.data import Batch
from recon.shape.network import Answer
from recon.shape.pulls import MEDIAN_1, MEDIAN_3
from recon.shape.solids import Solid
from sim.symmetry import CONTINUOUS, distance_rad


@torch.no_grad()
def calibrate(model: nn.Module, batches: Sequence[Batch], solids: Sequence[Solid]) -> dict[str, float]:
    """temperature that the logits are divided by (least cross-entropy; Guo et al. 2017); factors radius_error and
    orientation_error that make the median of error over predicted error that of a normal distribution."""
    logits, numbers, sizes, turns = [], [], [], []
    for batch in batches:
        answer = model(batch.maps)
        logits.append(answer.logits)
        numbers.append(batch.solid)
        rows = torch.arange(len(batch.solid))
        error = (answer.radius_nm[rows, batch.solid] - batch.radius_nm).abs()
        sizes.append(error / answer.radius_error_nm[rows, batch.solid])
        turns += [_turns(answer, batch, k, solid) for k, solid in enumerate(solids)]
    ratio = torch.cat(turns)
    return {
        "temperature": best_temperature(torch.cat(logits), torch.cat(numbers)),
        "radius_error": float(torch.cat(sizes).median() / MEDIAN_1),
        "orientation_error": float(ratio.median() / MEDIAN_3) if len(ratio) else 1.0,
    }


def _turns(answer: Answer, batch: Batch, number: int, solid: Solid) -> Tensor:
    """Error of the orientation over the predicted one, for frames of a solid of finite symmetry."""
    mine = torch.nonzero(batch.solid == number)[:, 0]
    if solid.symmetry in CONTINUOUS or not len(mine):
        return torch.empty(0, dtype=torch.float64)
    q, _ = solid.harmonics.orientations(answer.coefficients[number][mine])
    error = distance_rad(q[:, 0], batch.quaternion[mine], solid.symmetry)
    return error / answer.turn_error_rad(number, solid)[mine]


def best_temperature(logits: Tensor, numbers: Tensor) -> float:
    """The number by which logits (N, K) are divided for the least cross-entropy with the classes ``numbers`` (N,)."""
    if logits.shape[1] < 2:
        return 1.0
    trials = np.geomspace(0.2, 5, 81)
    losses = [float(functional.cross_entropy(logits / t, numbers)) for t in trials]
    return float(trials[int(np.argmin(losses))])
