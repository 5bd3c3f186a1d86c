"""What is asked of a phase: measured moduli, the pixels that are known, and those kept out to judge the answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recon.phase.constraints import Modulus
from sorter.core.seeds import child_rng

_AXES = (-3, -2, -1)


@dataclass(frozen=True)
class Problem:
    """amplitude (nz, ny, nx) float32: square root of the counts; known, free (nz, ny, nx) bool: pixels that constrain the object,
    and pixels kept out of the constraint for `free_llk`. All in the order of the FFT."""

    amplitude: Tensor
    known: Tensor
    free: Tensor

    @classmethod
    def of(
        cls,
        intensity: NDArray | Tensor,
        bad_pixels: NDArray[np.bool_] | None = None,
        *,
        free_share: float = 0.03,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> Problem:
        """From counts (nz, ny, nx) with the peak in the middle; free_share of the pixels are kept out."""
        counts = torch.fft.ifftshift(torch.as_tensor(intensity, dtype=torch.float32, device=device).clamp(min=0))
        bad = torch.zeros_like(counts, dtype=torch.bool)
        if bad_pixels is not None:
            bad = torch.fft.ifftshift(torch.as_tensor(bad_pixels, device=device))
        free = torch.zeros_like(bad)
        if free_share:
            free = torch.fft.ifftshift(
                torch.as_tensor(free_pixels(tuple(counts.shape), free_share, seed), device=device)
            )
        free &= ~bad
        return cls(counts.sqrt(), ~(bad | free), free)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(nz, ny, nx)."""
        nz, ny, nx = self.amplitude.shape
        return nz, ny, nx

    def modulus(self, coherence=None) -> Modulus:
        """The projection on the known moduli."""
        return Modulus(self.amplitude, self.known, coherence)

    def free_llk(self, obj: Tensor, coherence=None) -> Tensor:
        """(B,) free log-likelihood per pixel of objects (B, nz, ny, nx); smaller is better, near 0.5 or less is as good as
        counts get.

        Poisson: sum(Ic - Io + Io ln(Io / Ic)) over the pixels kept out (Favre-Nicolin et al. 2020, eq. 3). NaN without such.
        """
        computed = torch.view_as_real(torch.fft.fftn(obj, dim=_AXES)).square().sum(-1)
        if coherence is not None:
            computed = coherence.blur(computed)
        computed = computed[:, self.free].double().clamp(min=1e-3)
        observed = self.amplitude[self.free].double().square()
        return (computed - observed + torch.special.xlogy(observed, observed.clamp(min=1e-12) / computed)).mean(1)

    def cropped(self, side: int) -> Problem:
        """The problem at lower resolution: the ``side``^3 pixels about the peak, so voxels of the object are larger."""
        return Problem(*(crop_spectrum(part, side) for part in (self.amplitude, self.known, self.free)))


def crop_spectrum(volume: Tensor, side: int) -> Tensor:
    """The lowest ``side`` frequencies along the last three axes, in the order of the FFT."""
    volume = torch.fft.fftshift(volume, _AXES)
    for axis in _AXES:
        volume = volume.narrow(axis, volume.shape[axis] // 2 - side // 2, side)
    return torch.fft.ifftshift(volume, _AXES).contiguous()


def resized(objects: Tensor, side: int) -> Tensor:
    """``objects`` (..., n, n, n) at another resolution, ``side`` voxels over the same field: their spectrum is cropped or
    padded."""
    field = torch.fft.fftshift(torch.fft.fftn(objects, dim=_AXES), _AXES)
    n = objects.shape[-1]
    if side < n:
        first = n // 2 - side // 2
        field = field[..., first : first + side, first : first + side, first : first + side]
    else:
        before = side // 2 - n // 2
        field = torch.nn.functional.pad(field, [before, side - n - before] * 3)
    return torch.fft.ifftn(torch.fft.ifftshift(field, _AXES), dim=_AXES)


def free_pixels(
    shape: tuple[int, ...], share: float, seed: int, radius: int = 2, center: float = 0.08
) -> NDArray[np.bool_]:
    """Balls of pixels at random, ``share`` of the volume in all, away from the middle ``center`` of each axis, as single pixels
    would be told by their neighbours."""
    rng = child_rng(seed, "phase", "free")
    ball = np.argwhere(np.ones((2 * radius + 1,) * 3)) - radius
    ball = ball[(ball**2).sum(1) <= radius**2]
    count = max(1, round(share * np.prod(shape) / len(ball)))
    found = np.zeros(shape, bool)
    centers = np.stack([rng.integers(0, n, 2 * count) for n in shape], 1)
    middle = np.array(shape) // 2
    outside = (np.abs(centers - middle) > center * np.array(shape) + radius).any(1)
    places = (centers[outside][:count, None] + ball) % np.array(shape)
    found[tuple(places.reshape(-1, 3).T)] = True
    return found
