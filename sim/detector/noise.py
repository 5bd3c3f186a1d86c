"""Random numbers of the detector stage: one stream per frame on the CPU, one per block on a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: Below this many expected photons they are placed one by one, which is faster than a draw per pixel.
SPARSE_PHOTONS = 1500


class Noise(Protocol):
    """What the detector stage draws; every method returns (B, ...) float32 on the device of the noise."""

    def poisson(self, mean: Tensor) -> Tensor:
        """Poisson numbers of the (B, ny, nx) means."""
        ...

    def flat_poisson(self, mean: Tensor, shape_px: tuple[int, int]) -> Tensor:
        """(B, ny, nx) Poisson numbers of one mean per frame, (B,)."""
        ...

    def normal(self, *shape: int) -> Tensor:
        """(B, *shape) standard normal numbers."""
        ...


def poisson_frame(rng: np.random.Generator, mean: NDArray[np.floating]) -> NDArray[np.float32]:
    """Poisson numbers of a whole (ny, nx) image of means; exact for faint and bright images alike.

    A faint image: the total is Poisson, and each photon falls on a pixel with probability mean / total (the multinomial split
    of a Poisson process), found in the cumulative sum.
    """
    if float(mean.sum()) >= SPARSE_PHOTONS:
        return rng.poisson(mean).astype(np.float32)
    cumulative = np.cumsum(mean, dtype=np.float64).ravel()
    where = rng.random(rng.poisson(cumulative[-1])) * cumulative[-1]
    pixel = np.searchsorted(cumulative, where, side="right")
    return np.bincount(pixel, minlength=mean.size).reshape(mean.shape).astype(np.float32)


class FrameNoise:
    """One numpy generator per frame: a frame's noise depends on its own stream only."""

    def __init__(self, rngs: Sequence[np.random.Generator]) -> None:
        self.rngs = list(rngs)

    def poisson(self, mean: Tensor) -> Tensor:
        """See `Noise`."""
        return torch.from_numpy(np.stack([poisson_frame(r, m) for r, m in zip(self.rngs, mean.numpy(), strict=True)]))

    def flat_poisson(self, mean: Tensor, shape_px: tuple[int, int]) -> Tensor:
        """See `Noise`."""
        out = np.empty((len(self.rngs), *shape_px), np.float32)
        for image, rng, level in zip(out, self.rngs, mean.tolist(), strict=True):
            if level * image.size < SPARSE_PHOTONS:
                pixel = rng.integers(image.size, size=rng.poisson(level * image.size))
                image[:] = np.bincount(pixel, minlength=image.size).reshape(shape_px)
            else:
                image[:] = rng.poisson(level, shape_px)
        return torch.from_numpy(out)

    def normal(self, *shape: int) -> Tensor:
        """See `Noise`."""
        return torch.from_numpy(np.stack([r.standard_normal(shape, np.float32) for r in self.rngs]))


class DeviceNoise:
    """One torch generator for a block of ``n_frames`` frames on ``device``."""

    def __init__(self, seed: int, n_frames: int, device: torch.device) -> None:
        self.n_frames, self.device = n_frames, device
        self.generator = torch.Generator(device).manual_seed(seed)

    def poisson(self, mean: Tensor) -> Tensor:
        """See `Noise`."""
        return torch.poisson(mean, generator=self.generator)

    def flat_poisson(self, mean: Tensor, shape_px: tuple[int, int]) -> Tensor:
        """See `Noise`."""
        return self.poisson(mean[:, None, None].expand(-1, *shape_px).contiguous())

    def normal(self, *shape: int) -> Tensor:
        """See `Noise`."""
        return torch.randn(self.n_frames, *shape, generator=self.generator, device=self.device)
