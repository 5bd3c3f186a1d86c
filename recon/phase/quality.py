"""How good an answer is: against the truth, against another answer, against the pattern."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recon.phase.alignment import align

_AXES = (-3, -2, -1)


@dataclass(frozen=True)
class ObjectErrors:
    """shape_error: sum |a - t| / sum t of the moduli, scaled to each other; phase_error_rad: root mean square of the phase
    difference over the voxels where the truth is at least half its largest modulus; a voxel that is left empty counts as random
    phases do on average."""

    shape_error: float
    phase_error_rad: float


def object_errors(obj: Tensor, truth: Tensor) -> ObjectErrors:
    """Errors of ``obj`` (n, n, n) complex after the best twin, shift, global phase and scale."""
    found = align(obj, truth)
    modulus, wanted = found.abs(), truth.abs()
    scale = float((modulus * wanted).sum() / modulus.square().sum().clamp(min=1e-30))
    inside = wanted >= 0.5 * wanted.max()
    product = found[inside] * truth[inside].conj()
    angle = torch.angle(product * torch.sgn(product.sum()).conj())
    angle[product == 0] = torch.pi / 3**0.5
    return ObjectErrors(
        float((scale * modulus - wanted).abs().sum() / wanted.sum()), float(angle.square().mean().sqrt())
    )


def shells(shape: tuple[int, ...], device: torch.device | str = "cpu") -> Tensor:
    """(nz, ny, nx) int64: shell of each pixel in the order of the FFT, by |frequency|; the last shell is at Nyquist of the
    shortest axis, pixels beyond it have the number after it."""
    squares = [torch.fft.fftfreq(n, device=device) ** 2 for n in shape]
    radius = (squares[0][:, None, None] + squares[1][:, None] + squares[2]).sqrt()
    count = min(shape) // 2
    return (radius * 2 * count).round().long().clamp(max=count + 1)


def _shell_sum(values: Tensor, shell: Tensor, count: int) -> Tensor:
    return torch.zeros(count, dtype=torch.float64).index_add_(0, shell.flatten().cpu(), values.flatten().double().cpu())


def fourier_shell_correlation(first: Tensor, second: Tensor) -> NDArray[np.float64]:
    """(n // 2 + 1,) correlation of two objects (n, n, n), shell by shell from 0 to Nyquist; ``second`` is aligned first."""
    a = torch.fft.fftn(first, dim=_AXES)
    b = torch.fft.fftn(align(second, first), dim=_AXES)
    shell = shells(tuple(first.shape), first.device)
    count = int(shell.max()) + 1
    cross = _shell_sum((a * b.conj()).real, shell, count)
    power = _shell_sum(a.abs().square(), shell, count) * _shell_sum(b.abs().square(), shell, count)
    return (cross / power.sqrt().clamp(min=1e-30)).numpy()[: min(first.shape) // 2 + 1]


def phase_retrieval_transfer(objects: list[Tensor], amplitude: Tensor, known: Tensor) -> NDArray[np.float64]:
    """(n // 2 + 1,) PRTF: |mean of the Fourier transforms of several answers| over the measured modulus, by shells (Chapman
    2006).

    The first object is what the others are aligned to; amplitude and known in the order of the FFT.
    """
    aligned = [objects[0]]
    for other in objects[1:]:
        found = align(other, objects[0])
        aligned.append(found * (objects[0].abs().square().sum() / found.abs().square().sum()).sqrt())
    field = torch.stack([torch.fft.fftn(o, dim=_AXES) for o in aligned]).mean(0).abs()
    shell = shells(tuple(amplitude.shape), amplitude.device)
    count = int(shell.max()) + 1
    ratio = _shell_sum(field * known, shell, count) / _shell_sum(amplitude * known, shell, count).clamp(min=1e-30)
    return ratio.numpy()[: min(amplitude.shape) // 2 + 1]


def resolution_share(curve: NDArray[np.float64], level: float) -> float:
    """Where ``curve`` over shells first falls below ``level``, as a share of Nyquist (1: nowhere)."""
    below = np.flatnonzero(curve[1:] < level)
    return float((below[0] + 1) / (len(curve) - 1)) if len(below) else 1.0
