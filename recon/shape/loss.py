"""What training makes small: answers of the small network, and the representations of orientation that it is compared with."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from recon.shape.data import Batch, mirrored_coefficients
from recon.shape.errors import scaled_targets
from recon.shape.network import Answer
from recon.shape.solids import MAX_RADIUS_NM, MIN_RADIUS_NM, Solid
from sim.orientation import normalize
from sim.symmetry import equivalents

_HALF_NM = (MAX_RADIUS_NM - MIN_RADIUS_NM) / 2


def answer_loss(answer: Answer, batch: Batch, solids: list[Solid]) -> Tensor:
    """Class (cross-entropy), size and orientation (squares) of the true solid, and how large these errors are.

    The errors are learned from residuals without gradient, so that they do not disturb what is learned.
    """
    rows = torch.arange(len(batch.solid))
    size = (answer.radius_nm[rows, batch.solid] - batch.radius_nm.float()) / _HALF_NM
    total = 4 * functional.smooth_l1_loss(size, torch.zeros_like(size), beta=0.1)
    total = total + 0.1 * _surprise(size.square(), answer.log_radius_error[rows, batch.solid]).mean()
    if len(solids) > 1:
        total = total + functional.cross_entropy(answer.logits, batch.solid)
    for number, solid in enumerate(solids):
        chosen = torch.nonzero(batch.solid == number)[:, 0]
        if not solid.harmonics.size or not len(chosen):
            continue
        truth = _seen_coefficients(batch, solid, chosen).float()
        square = (answer.coefficients[number][chosen] - truth).square()
        share = len(chosen) / len(rows)
        total = total + share * square.sum(1).mean()
        surprise = _surprise(square.mean(1), answer.log_turn_error[chosen, number])
        total = total + 0.1 * share * surprise.mean()
    return total


def _surprise(square: Tensor, log_deviation: Tensor) -> Tensor:
    """Negative log likelihood of residuals whose squares are given, under a normal distribution of this width."""
    return log_deviation + 0.5 * square.detach().clamp_min(1e-8) * torch.exp(-2 * log_deviation)


def _seen_coefficients(batch: Batch, solid: Solid, chosen: Tensor) -> Tensor:
    harmonics = solid.harmonics
    plain = harmonics.of(batch.quaternion[chosen])
    return mirrored_coefficients(plain, harmonics.degrees, batch.mirrored[chosen], batch.turn_rad[chosen])


def fundamental_loss(outputs: Tensor, batch: Batch) -> Tensor:
    """The paper's: squares of the deviation from the fundamental quaternion and the radius, w and radius scaled to [0, 1]."""
    return functional.mse_loss(outputs, scaled_targets(batch.centrosymmetric_quaternion(), batch.radius_nm))


def nearest_loss(outputs: Tensor, batch: Batch) -> Tensor:
    """Squares of the deviation from the nearest of the 120 quaternions (60 rotations, two signs) that look the same."""
    q = equivalents(batch.centrosymmetric_quaternion(), "I").float()
    given = normalize(outputs[:, :4] + 1e-6)
    nearest = (q @ given[..., None])[..., 0].abs().amax(1)
    radius = scaled_targets(batch.quaternion, batch.radius_nm)[:, 4]
    return (2 - 2 * nearest).mean() + functional.mse_loss(outputs[:, 4], radius)
