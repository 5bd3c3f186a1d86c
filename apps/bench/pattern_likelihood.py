"""Frames named by the likelihood of their counts under simulated patterns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from apps.pretrain.config import FieldsConfig
from apps.pretrain.fields import make_fields, pretraining_recipe, wide_geometry
from sim.recipes import make_recipe
from sorter.core.seeds import child_rng
from sorter.io.progress import Progress
from sorter.io.workfolder import WorkFolder
from sorter.preprocess.polar import PolarMap, choose_grid
from sorter.views.shots import ring_means

#: The grid of the patterns on the run's own detector.
_RADII, _ANGLES = 32, 64
#: Brightness is rounded to this factor, so that frames share the tables of their logarithms.
_STEP = 0.25


def simulated_patterns(
    folder: Path, count: int, seed: int, kinds: NDArray[np.str_]
) -> tuple[Tensor, NDArray[np.str_], float]:
    """Log rates (P, R0, T) of simulated patterns of ``kinds``, their kinds, and how far out they reach, tan two_theta.

    ``count`` are computed, of all kinds of the recipe, and kept in ``folder``; seeds of runs make others.
    """
    own = int(child_rng(seed, "limit patterns").integers(2**31))
    bank = make_fields(folder, FieldsConfig(count, own, {"clusters": 1.0}))
    of_kinds = np.isin(bank.kind, kinds)
    wide = wide_geometry(pretraining_recipe("clusters", own))
    reach = wide.shape_px[0] / 2 * wide.pixel_size_m / wide.distance_m  # type: ignore[operator]
    return torch.from_numpy(bank.log_rate[of_kinds]).float(), bank.kind[of_kinds], reach


class PatternLikelihood:
    """Names frames by the likelihood of their counts: mean over patterns of a kind, their turns and mirror images.

    rate (P, R, T): noise-free patterns on the polar grid of the run; kinds (P,) text; background: photons per pixel.
    The counts of a frame, given their number, are multinomial with cell probabilities proportional to area times (rate,
    scaled to the frame's signal, plus background). Over all turns that is a circular correlation (Liu, van der Schot &
    Engblom, Opt. Express 27, 3884 (2019), who take the best instead of the mean).
    """

    def __init__(self, polar: PolarMap, rate: Tensor, kinds: NDArray[np.str_], background: float) -> None:
        self.polar, self.rate, self.background = polar, rate, background
        self.names, which = np.unique(kinds, return_inverse=True)
        self.members = [torch.from_numpy(np.flatnonzero(which == k)) for k in range(len(self.names))]
        self._cell = torch.from_numpy(polar.grid.expand)
        self._cells_of = torch.bincount(self._cell.flatten(), minlength=polar.grid.n_sectors).float()
        self._area = self._per_cell(polar.area)

    @classmethod
    def of_run(cls, work: WorkFolder, log_rate: Tensor, kinds: NDArray[np.str_], reach: float) -> PatternLikelihood:
        """For the frames of a work folder of the recipe ``clusters`` with its own detector; see `simulated_patterns`."""
        store = work.frames()
        geometry = store.geometry
        grid = choose_grid(geometry, store.bad_pixels, _RADII, _ANGLES, from_beam=True)
        share = grid.outer_px * geometry.pixel_size_m / geometry.distance_m / reach
        parts = [
            ring_means(torch.exp(part), torch.full((len(part),), share), torch.zeros(len(part), 2), _RADII)
            for part in log_rate.split(512)
        ]
        background = make_recipe("clusters", {}, 0).options.detector.background_photons  # type: ignore[attr-defined]
        return cls(PolarMap.of_store(store, grid), torch.cat(parts), kinds, background)

    def name(self, frames: NDArray) -> NDArray[np.str_]:
        """Most likely kind (B,) of frames (B, ny, nx) in photons, all kinds alike before the frame is seen."""
        counts = self.polar(np.asarray(frames))
        signal = (counts.sum(1) - self.background * self.polar.area.sum()).clamp_min(20)
        steps = torch.round(torch.log(signal) / _STEP).int()
        best = np.empty(len(counts), np.int64)
        with Progress("likelihood", len(counts), "hits") as bar:
            for step in steps.unique().tolist():
                rows = torch.nonzero(steps == step)[:, 0]
                tables = self._tables(float(np.exp(step * _STEP)))
                for row in rows.tolist():
                    per_pattern = self._log_likelihood(self._per_cell(counts[row]), *tables)
                    mean = [torch.logsumexp(per_pattern[m], 0) - np.log(len(m)) for m in self.members]
                    best[row] = int(torch.stack(mean).argmax())
                    bar.update(1)
        return self.names[best]

    def _per_cell(self, sectors: Tensor) -> Tensor:
        """(S,) sums of the sectors shared between the cells (R, T) that show them."""
        return (sectors / self._cells_of)[self._cell]

    def _tables(self, signal: float) -> tuple[Tensor, Tensor]:
        """Fourier transform (P, R, T // 2 + 1) of the log mean counts, and the log (P, T) of their sum, per turn."""
        scale = signal / (self.rate * self._area.mean(1, keepdim=True)).sum((1, 2))
        mean = self.rate * scale[:, None, None] + self.background
        total = torch.fft.irfft((torch.fft.rfft(mean) * torch.fft.rfft(self._area).conj()).sum(1), n=_ANGLES)
        return torch.fft.rfft(torch.log(mean)), torch.log(total)

    def _log_likelihood(self, counts: Tensor, spectrum: Tensor, log_total: Tensor) -> Tensor:
        """(P,) log of the likelihood of counts (R, T), summed over turns and mirror images."""
        turned = torch.fft.rfft(counts)
        both = [
            torch.fft.irfft((spectrum * one.conj()).sum(1), n=_ANGLES) - counts.sum() * log_total
            for one in (turned, turned.conj())
        ]
        return torch.logsumexp(torch.cat(both, dim=1), 1)
