"""The training data of Stielow et al. 2020: grey images of a fixed set of frames, each under the eleven filters of Appendix D."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from recon.shape.errors import scaled_targets
from sim.dataset import SimulatedFrames
from sim.detector.stielow import FILTERS, apply_filter
from sorter.core.seeds import child_rng

_log = logging.getLogger(__name__)
_VALIDATION_IMAGES = 512


def grey(frames: NDArray) -> NDArray[np.float32]:
    """Logarithm of frames (B, ny, nx) of counts over the logarithm of their maximum, in [0, 1]."""
    logs = np.log1p(np.maximum(np.asarray(frames, np.float32), 0))
    return logs / np.maximum(logs.max((1, 2), keepdims=True), 1e-6)


class StielowImages:
    """``frames`` frames of the recipe `icosahedra`, a fifth of them kept for validation; batches of randomly drawn frames and
    filters. The grey images lie in ``folder`` and are not computed again."""

    def __init__(self, folder: Path, frames: int, seed: int, batch: int) -> None:
        self.seed, self.batch = seed, batch
        self.images, self.targets = _stored(folder, frames, seed)
        self.first_validation = frames - frames // 5

    def loss(self, model: nn.Module, step: int) -> Tensor:
        """Mean square deviation of the five scaled outputs; see `recon.shape.errors.scaled_targets`."""
        rng = child_rng(self.seed, "shape", "stielow", step)
        rows = rng.integers(0, self.first_validation, self.batch)
        names = rng.choice(list(FILTERS), self.batch)
        images = np.stack([apply_filter(self.images[r], str(n), rng) for r, n in zip(rows, names, strict=True)])
        return functional.mse_loss(*self._pair(model, images.astype(np.float32), rows))

    def validation(self, model: nn.Module, step: int) -> dict[str, float]:
        """Loss on images that are not trained with, as they are."""
        rows = np.arange(self.first_validation, min(self.first_validation + _VALIDATION_IMAGES, len(self.images)))
        parts = [functional.mse_loss(*self._pair(model, self.images[r].astype(np.float32), r)) for r in
                 np.array_split(rows, -(-len(rows) // self.batch))]  # fmt: skip
        return {"validation": float(torch.stack(parts).mean())}

    def _pair(self, model: nn.Module, images: NDArray[np.float32], rows: NDArray) -> tuple[Tensor, Tensor]:
        device = next(model.parameters()).device
        return model(torch.from_numpy(images).to(device)), torch.from_numpy(self.targets[rows]).to(device)


def _stored(folder: Path, frames: int, seed: int) -> tuple[NDArray[np.float16], NDArray[np.float32]]:
    folder.mkdir(parents=True, exist_ok=True)
    image_path, target_path, done_path = (folder / f"{name}.npy" for name in ("grey", "targets", "frames_done"))
    source = SimulatedFrames("icosahedra", seed, {}, frames)
    shape = (frames, *source.recording.frame_shape)
    new = not done_path.exists() or np.load(image_path, mmap_mode="r").shape != shape
    images = np.lib.format.open_memmap(image_path, "w+" if new else "r+", np.float16, shape)
    targets = np.lib.format.open_memmap(target_path, "w+" if new else "r+", np.float32, (frames, 5))
    done = 0 if new else int(np.load(done_path))
    if done < frames:
        for block in SimulatedFrames("icosahedra", seed, {}, frames, done // source.block_frames * source.block_frames):
            rows = block["index"].numpy()
            images[rows] = grey(block["frames"].numpy())
            targets[rows] = scaled_targets(block["quaternion_wxyz"], block["radius_m"] * 1e9).numpy()
            np.save(done_path, rows[-1] + 1)
            _log.info("frames: %d of %d", rows[-1] + 1, frames)
    return images, targets
