"""Far field of 2-D disks on a quadrant of k-space, exact: Bessel form factor times phase (no raster, no discrete transform).

The model of Shen et al., arXiv 2211.08194: pixels at k = (n_x, n_y) pi / BOX, n_x and n_y = 0 .. n_max. The far field of a
disk of radius r at c is 2 pi r^2 J1(k r) / (k r) exp(-i k.c), that of several their sum.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from sim.particles.disks import BOX, Disks
from sorter.core.errors import InputError

PIXEL = np.pi / BOX
"""Distance of neighbouring pixels in k, in radians per unit of length."""
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


def far_field(disks: Disks, last: int, first: int = 0, device: torch.device | str = "cpu") -> Tensor:
    """Far field of ``disks`` at pixels n_x, n_y = first .. last.

    Returns (last - first + 1,) * 2 complex64, axes (n_y, n_x), unit: length^2. Disks of one radius share their form
    factor, so equal disks cost one matrix product.
    """
    distances, place = _radial(first, last)
    distances, place = distances.to(device, torch.float32), place.to(device)
    k = torch.arange(first, last + 1, dtype=torch.float64, device=device) * PIXEL
    centres = torch.from_numpy(disks.centres).to(device)
    # exp(-i k.c) splits into a factor of n_x and one of n_y; their phases of up to thousands of radians need float64
    along_x = torch.polar(torch.ones(1, dtype=torch.float64, device=device), -centres[:, :1] * k).to(torch.complex64)
    along_y = torch.polar(torch.ones(1, dtype=torch.float64, device=device), -centres[:, 1:] * k).to(torch.complex64)
    total = torch.zeros(len(k), len(k), dtype=torch.complex64, device=device)
    radii, group = np.unique(disks.radii, return_inverse=True)
    for number, radius in enumerate(radii):
        members = torch.from_numpy(np.flatnonzero(group == number)).to(device)
        phases = along_y[members].T @ along_x[members]
        total.addcmul_(phases, form_factor(distances, float(radius))[place].to(torch.complex64))
    return total


def intensity(
    disks: Disks, n_max: int, coherence_length: float | None = None, device: torch.device | str = "cpu"
) -> Tensor:
    """|far field|^2 on the quadrant n_x, n_y = 0 .. n_max: (n_max + 1,) * 2 float32, unit: length^4.

    coherence_length: transverse coherence xi of Gaussian-Schell light, degree of coherence exp(-d^2 / (2 xi^2)); the pattern is
    then blurred by a Gaussian of standard deviation 1 / xi in k, exactly up to the cut of the kernel at 4 of these.
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
    result[..., :blocked, :blocked] = 0
    result -= result.mean((-2, -1), keepdim=True)
    deviation = result.square().mean((-2, -1), keepdim=True).sqrt()
    if not bool((deviation > 0).all()):
        raise InputError("pattern: constant outside the blocked corner, cannot be standardised; leave such frames out")
    return (result / deviation).to(torch.float32)
