"""Losses that do not feel what a pattern cannot tell: twin, shift and global phase."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_AXES = (-3, -2, -1)


def twin(objects: Tensor) -> Tensor:
    """The twins of ``objects`` (..., n, n, n): inverted about the middle (index n // 2) and conjugated; of equal |FFT|."""
    return torch.roll(objects.flip(_AXES), [1 - n % 2 for n in objects.shape[-3:]], _AXES).conj()


def aligned_error(predicted: Tensor, target: Tensor, reach: int = 1) -> Tensor:
    """(B,) sum |p - t|^2 / sum |t|^2 after the best global phase, shift of up to ``reach`` voxels along each axis, and twin.

    predicted, target (B, n, n, n) complex. For each twin and shift the best phase leaves |p|^2 + |t|^2 - 2 |<p, t>|, and all the
    inner products are one cross-correlation.
    """
    field = torch.fft.fftn(predicted, dim=_AXES).conj()
    best = []
    for candidate in (target, twin(target)):
        correlation = torch.fft.ifftn(field * torch.fft.fftn(candidate, dim=_AXES), dim=_AXES)
        best.append(_near_zero(correlation, reach).abs().amax(1))
    power = target.abs().square().sum(_AXES)
    return (predicted.abs().square().sum(_AXES) + power - 2 * torch.maximum(*best)) / power


def _near_zero(correlation: Tensor, reach: int) -> Tensor:
    """(B, (2 reach + 1)^3) values at shifts -reach .. reach."""
    for axis in _AXES:
        correlation = torch.cat(
            [correlation.narrow(axis, 0, reach + 1), correlation.narrow(axis, correlation.shape[axis] - reach, reach)],
            axis,
        )
    return correlation.flatten(1)


def magnitude_error(objects: Tensor, magnitude: Tensor, side: int) -> Tensor:
    """(B,) mean |m - magnitude| / mean magnitude, m the |FFT| of ``objects`` padded to ``side``, both of unit power.

    magnitude (B, side, side, side), zero frequency in the middle.
    """
    from recon.phase.data import padded

    field = torch.fft.fftn(padded(objects, side), dim=_AXES)
    found = torch.fft.fftshift(torch.view_as_real(field).square().sum(-1).add(1e-12).sqrt(), _AXES)
    found = found / found.square().sum(_AXES, keepdim=True).sqrt()
    wanted = magnitude / magnitude.square().sum(_AXES, keepdim=True).sqrt()
    return (found - wanted).abs().sum(_AXES) / wanted.sum(_AXES)


def shape_and_phase_errors(shape: Tensor, phase_rad: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Mean absolute errors (B,) of shape and phase as in Chan et al. 2020, for the better of target and twin.

    shape, phase_rad (B, n, n, n) real; target complex, its phase taken relative to the mean inside and zero outside.
    """
    found = []
    for candidate in (target, twin(target)):
        amplitude = candidate.abs()
        mean = torch.sgn((candidate * amplitude).sum(_AXES, keepdim=True))
        angle = torch.where(amplitude > 0.1, torch.angle(candidate * mean.conj()), 0.0)
        found.append(torch.stack([(shape - amplitude).abs().mean(_AXES), (phase_rad - angle).abs().mean(_AXES)]))
    first, second = found
    chosen = torch.where(first.sum(0) <= second.sum(0), first, second)
    return chosen[0], chosen[1]


def shape_cross_entropy(shape: Tensor, target: Tensor) -> Tensor:
    """(B,) mean binary cross-entropy of shape (B, n, n, n) in 0..1 against the modulus of the better of target and twin.

    A crystal fills a fifteenth of its field: by the mean absolute error an empty field is a good answer from which no gradient
    leads away (a sigmoid near 0 is flat); cross-entropy is steep there.
    """
    found = [
        functional.binary_cross_entropy(shape, candidate.abs().clamp(0, 1), reduction="none").mean(_AXES)
        for candidate in (target, twin(target))
    ]
    return torch.minimum(*found)
