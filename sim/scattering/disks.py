"""Far field of 2-D disks on a quadrant of k-space, exact: Bessel form factor times phase (no raster, no discrete transform).

The model of Shen et al., arXiv 2211.08194: pixels at k = (n_x, n_y) pi / BOX, n_x and n_y = 0 .. n_max. The far field of a
disk of radius r at c is 2 pi r^2 J1(k r) / (k r) exp(-i k.c), that of several their sum.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from sim.particles.disks import BOX, TOTAL_AREA, Disks
from sorter.core.errors import InputError

PIXEL = np.pi / BOX
"""Distance of neighbouring pixels in k, in radians per unit of length."""
LARGEST_RADIUS = float(np.sqrt(TOTAL_AREA / np.pi))
"""No disk can be larger than all of them together."""
BLOCKED = 11
"""Side of the blocked corner in pixels: n_x, n_y <= 10 (the paper's 11 x 11)."""


@lru_cache(maxsize=8)
def _radial(first: int, last: int) -> tuple[Tensor, Tensor]:
    """The different |k| of pixels n_x, n_y = first .. last, (U,) float64, and which of them each pixel has, (n, n) int64."""
    n = np.arange(first, last + 1)
    unique, inverse = np.unique(n[:, None] ** 2 + n[None, :] ** 2, return_inverse=True)
    return torch.from_numpy(np.sqrt(unique) * PIXEL), torch.from_numpy(inverse.reshape(len(n), len(n)))


def form_factor(k: Tensor, radius: float) -> Tensor:
    """Far field of a disk at the origin: 2 pi r^2 J1(k r) / (k r), pi r^2 at k = 0; k (...) in radians per unit length."""
    x = k * radius
    small = x < 1e-4
    value = torch.special.bessel_j1(torch.where(small, torch.ones_like(x), x)) / torch.where(
        small, torch.ones_like(x), x
    )
    return 2 * np.pi * radius**2 * torch.where(small, torch.full_like(x, 0.5), value)


@lru_cache(maxsize=4)
def _table(first: int, last: int, device: str) -> tuple[Tensor, Tensor]:
    """Form factors at Chebyshev nodes of the radius: nodes (M,) float64 and values (M, n^2) float32 on all pixels.

    As a function of r the form factor is band-limited by the largest k, so its interpolation polynomial converges
    faster than geometrically once M > k r_max / 2; 14 more nodes leave less than the rounding of float32.
    """
    distances, place = _radial(first, last)
    m = int(np.ceil(float(distances.max()) * LARGEST_RADIUS / 2)) + 14
    nodes = LARGEST_RADIUS * (1 - torch.cos((torch.arange(m, dtype=torch.float64) + 0.5) * np.pi / m)) / 2
    values = torch.stack([form_factor(distances, float(r)) for r in nodes])
    return nodes.to(device), values.float()[:, place.flatten()].to(device)


def _cardinal(radii: Tensor, nodes: Tensor) -> Tensor:
    """Weights (n, M) with f(radii) = weights @ f(nodes), barycentric (Berrut & Trefethen, SIAM Rev. 46, 501 (2004))."""
    m = len(nodes)
    sign = torch.sin((torch.arange(m, dtype=torch.float64, device=nodes.device) + 0.5) * np.pi / m)
    sign[1::2] *= -1
    difference = radii[:, None] - nodes
    weights = sign / torch.where(difference == 0, torch.full_like(difference, 1e-14), difference)
    return weights / weights.sum(1, keepdim=True)


def far_field(disks: Disks, last: int, first: int = 0, device: torch.device | str = "cpu") -> Tensor:
    """Far field of ``disks`` at pixels n_x, n_y = first .. last.

    Returns (last - first + 1,) * 2 complex64, axes (n_y, n_x), unit: length^2. Equal disks share their form factor and cost
    one matrix product; different ones take theirs from a table that interpolates in the radius to the rounding of float32.
    """
    k = torch.arange(first, last + 1, dtype=torch.float64, device=device) * PIXEL
    centres, radii = torch.from_numpy(disks.centres).to(device), torch.from_numpy(disks.radii).to(device)
    # exp(-i k.c) splits into a factor of n_x and one of n_y; their phases of up to thousands of radians need float64
    one = torch.ones(1, dtype=torch.float64, device=device)
    along_x = torch.polar(one, -centres[:, :1] * k).to(torch.complex64)
    along_y = torch.polar(one, -centres[:, 1:] * k).to(torch.complex64)
    if np.ptp(disks.radii) == 0:
        distances, place = _radial(first, last)
        form = form_factor(distances.float(), float(disks.radii[0]))[place].to(device)
        return (along_y.T @ along_x) * form
    nodes, table = _table(first, last, str(device))
    forms = (_cardinal(radii, nodes).float() @ table).view(-1, len(k), len(k))
    real, imag = torch.zeros_like(forms[0]), torch.zeros_like(forms[0])
    for form, x, y in zip(forms, along_x, along_y, strict=True):
        phase = torch.view_as_real(y[:, None] * x)
        real.addcmul_(form, phase[..., 0])
        imag.addcmul_(form, phase[..., 1])
    return torch.complex(real, imag)


def intensity(
    disks: Disks, n_max: int, coherence_length: float | None = None, device: torch.device | str = "cpu"
) -> Tensor:
    """|far field|^2 on the quadrant n_x, n_y = 0 .. n_max: (n_max + 1,) * 2 float32, unit: length^4.

    coherence_length: transverse coherence xi of Gaussian-Schell light, degree of coherence exp(-d^2 / (2 xi^2)); the pattern is
    then blurred by a Gaussian of standard deviation 1 / xi in k, sampled at the pixels and cut at 4 of these (good for xi
    below half the box; beyond that the blur is less than half a pixel).
    """
    if coherence_length is None:
        return far_field(disks, n_max, device=device).abs().square()
    if not coherence_length > 0:
        raise InputError(f"coherence_length = {coherence_length}: must be positive (units of the box)")
    sigma_px = 1 / (coherence_length * PIXEL)
    reach = int(np.ceil(4 * sigma_px))
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float32, device=device)
    kernel = torch.exp(-0.5 * (offsets / sigma_px) ** 2)
    kernel /= kernel.sum()
    wide = far_field(disks, n_max + reach, -reach, device).abs().square()[None, None]
    blurred = torch.nn.functional.conv2d(wide, kernel[None, None, :, None])
    return torch.nn.functional.conv2d(blurred, kernel[None, None, None, :])[0, 0]


def detect(pattern: Tensor, photons: float, rng: np.random.Generator, blocked: int = BLOCKED) -> Tensor:
    """Poisson counts of a pattern (n, n) with ``photons`` expected on the pixels outside the blocked corner."""
    open_pixels = pattern.double().clone()
    open_pixels[:blocked, :blocked] = 0
    mean = open_pixels * (photons / open_pixels.sum())
    return torch.from_numpy(rng.poisson(mean.cpu().numpy())).to(pattern)


def standardise(patterns: Tensor, blocked: int = BLOCKED) -> Tensor:
    """Patterns (..., n, n) with the corner n_x, n_y < ``blocked`` set to 0, then mean 0 and variance 1 each (section 2).

    Raises InputError for a pattern that is constant outside the corner.
    """
    result = patterns.clone().to(torch.float64)
    opened = torch.ones(result.shape[-2:], dtype=torch.bool, device=result.device)
    opened[:blocked, :blocked] = False
    seen = result[..., opened]
    if not bool((seen.amax(-1) > seen.amin(-1)).all()):
        raise InputError("pattern: constant outside the blocked corner, cannot be standardised; leave such frames out")
    result = torch.where(opened, result, 0)
    result -= result.mean((-2, -1), keepdim=True)
    return (result / result.square().mean((-2, -1), keepdim=True).sqrt()).to(torch.float32)
