"""From a prepared pattern to the network's object, on the pattern's own grid."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from recon.phase.data import magnitudes, padded
from recon.phase.downsample import block_dct
from recon.phase.iterate import LARGEST_SUPPORT, Solutions, solutions
from recon.phase.network import NETWORKS
from recon.phase.problem import Problem
from recon.phase.refine import scaled
from recon.phase.support import GaussianBlur, limit_volume, shrink_wrap
from recon.phase.train import load_network
from recon.training.predictor import TrainedNetwork

SHIPPED = Path(__file__).parent / "weights" / "small.safetensors"


class Predictor(TrainedNetwork):
    """A trained network, ready. weights: a file of `recon phase train` (None: the shipped ones); device: cpu, cuda or auto."""

    def __init__(self, weights: str | Path | None = None, device: str = "cpu") -> None:
        super().__init__(load_network, weights or SHIPPED, device, ("network",))
        self.input_side = NETWORKS[self.meta["network"]].input_side

    @torch.no_grad()
    def objects(self, counts: Tensor) -> Tensor:
        """Objects (B, n, n, n) complex64, of modulus at most 1, in the middle of the grid of patterns (B, n, n, n).

        Raises InputError for patterns smaller than the network reads.
        """
        small = block_dct(counts.to(self.device, torch.float32), self.input_side)
        return padded(self.model(magnitudes(small)), counts.shape[-1])

    def predict(self, counts: NDArray | Tensor, bad_pixels: NDArray[np.bool_], problem: Problem) -> Solutions:
        """The network's answer to one pattern (n, n, n), scaled to its counts; nothing is refined."""
        begin = time.perf_counter()
        obj = scaled(problem, self.objects(torch.as_tensor(filled(np.asarray(counts), bad_pixels))[None]))
        supports = limit_volume(
            shrink_wrap(obj.abs(), GaussianBlur(problem.shape, 0.7), 0.3), obj.abs(), LARGEST_SUPPORT
        )
        return solutions(problem, obj, supports, time.perf_counter() - begin, 0)


def filled(counts: NDArray, bad_pixels: NDArray[np.bool_]) -> NDArray[np.float32]:
    """``counts`` (n, n, n) with bad pixels replaced by the mean of good neighbours (a Gaussian of one pixel)."""
    counts = counts.astype(np.float32)
    if not bad_pixels.any():
        return counts
    weight = ndimage.gaussian_filter((~bad_pixels).astype(np.float32), 1.0)
    mean = ndimage.gaussian_filter(np.where(bad_pixels, 0, counts), 1.0) / np.maximum(weight, 1e-3)
    return np.where(bad_pixels, mean, counts)
