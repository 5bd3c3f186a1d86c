"""Refine size and orientation through the forward model: Levenberg-Marquardt on the photon likelihood, many frames at once.

Fisher scoring: with the Jacobian J of the mean counts and their variances V, each step solves (J' V^-1 J + damping) d =
J' V^-1 (n - mu).
The Jacobian is taken by differences of the model (one more pattern per parameter; differentiating backwards would give the
gradient of one number for the price of several patterns). At the end the same matrix gives the errors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recon.shape.bank import signals
from recon.shape.harmonics import rotation
from recon.shape.likelihood import chi_square, deviance, fit_scale, variance
from recon.shape.solids import Solid
from sim.orientation import multiply
from sim.recipes.base import single_thread
from sim.scattering import FarFieldSettings
from sim.symmetry import to_fundamental
from sorter.core.config import require
from sorter.core.errors import InputError
from sorter.core.geometry import Geometry

#: Grid of the far field that is fitted with: not that of the recipes, so that simulated frames are not fitted with
#: what made them.
FIT_GRID = FarFieldSettings(pixel_wavelengths=0.28, slice_wavelengths=0.5)
#: Radii found with grids this fine differ by about this much, nm; added in squares to the statistical error.
GRID_ERROR_NM = 0.1
_TURN_RAD = 4e-3
_GROWTH = 3e-3
_POSE = 4


@dataclass(frozen=True)
class RefineConfig:
    """candidates: starting points tried per frame; starts: how many of them are followed for two steps before the best is kept;
    steps: most steps; rung and settings of the far field; model_error: how far the model is trusted, relative;
    fit_center: let the beam centre move; chi2_limit: above this chi^2 per degree of freedom (and 5 standard deviations)
    a frame is flagged as not explained; chunk: frames computed at once."""

    candidates: int = 6
    starts: int = 2
    steps: int = 8
    rung: str = "auto"
    settings: FarFieldSettings = FIT_GRID
    model_error: float = 0.02
    fit_center: bool = False
    chi2_limit: float = 1.5
    chunk: int = 32

    def __post_init__(self) -> None:
        require(
            1 <= self.starts <= self.candidates, f"starts = {self.starts}: need 1 .. candidates = {self.candidates}"
        )
        require(self.steps >= 1, f"steps = {self.steps}: need at least 1")
        require(0 <= self.model_error < 1, f"model_error = {self.model_error}: must lie in 0..1")


@dataclass(frozen=True)
class Refined:
    """Of N frames: radius_nm, quaternion (N, 4), their standard errors radius_error_nm (with that of the grid) and
    orientation_error_deg (root of the sum of
    squares over the three axes), scale (photons on the detector), background (per pixel), offset_px (N, 2) of the beam centre,
    chi2 per degree of freedom, chi2_excess in standard deviations, unexplained (bool), patterns: how many were computed
    in all."""

    radius_nm: NDArray[np.float64]
    quaternion: NDArray[np.float64]
    radius_error_nm: NDArray[np.float64]
    orientation_error_deg: NDArray[np.float64]
    scale: NDArray[np.float64]
    background: NDArray[np.float64]
    offset_px: NDArray[np.float64]
    chi2: NDArray[np.float64]
    chi2_excess: NDArray[np.float64]
    unexplained: NDArray[np.bool_]
    patterns: int

    def columns(self) -> dict[str, NDArray]:
        """All but ``patterns``."""
        return {k: v for k, v in vars(self).items() if k != "patterns"}


#: Columns of no frames.
_NOTHING: dict[str, NDArray] = {
    **dict.fromkeys(("radius_nm", "radius_error_nm", "orientation_error_deg", "scale", "background", "chi2", "chi2_excess"),
                    np.empty(0)),
    "quaternion": np.empty((0, 4)), "offset_px": np.empty((0, 2)), "unexplained": np.empty(0, bool),
}  # fmt: skip


@dataclass(frozen=True)
class _Fits:
    """M fits: row (M,) of the frame; radius_nm, q, offset (M, 2); level (M, 2) scale and background; pattern (M, P);
    cost, damping."""

    row: Tensor
    radius_nm: Tensor
    q: Tensor
    offset: Tensor
    level: Tensor
    pattern: Tensor
    cost: Tensor
    damping: Tensor

    def take(self, which: Tensor) -> _Fits:
        return _Fits(*(v[which] for v in vars(self).values()))

    def where(self, better: Tensor, other: _Fits) -> _Fits:
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return _Fits(*(torch.where(better.view(-1, *[1] * (a.ndim - 1)), b, a) for a, b in pairs))


class Refiner:
    """Refines frames of one geometry and mask. good: (ny, nx) bool."""

    def __init__(self, geometry: Geometry, good: NDArray[np.bool_], config: RefineConfig | None = None) -> None:
        self.geometry, self.config = geometry, config or RefineConfig()
        if not geometry.has_q:
            raise InputError("geometry: pixel size, distance, wavelength and beam centre are needed to refine")
        self.good_pixels = good
        self.good = torch.from_numpy(np.ascontiguousarray(good)).flatten().float()
        self.patterns = 0

    def refine(self, frames: NDArray, solids: Sequence[Solid], radius_nm: Tensor, q: Tensor) -> Refined:
        """Refine ``frames`` (N, ny, nx) of counts, one of ``solids`` each, from starts radius_nm (N, K) and q (N, K, 4).

        Raises InputError for a solid whose shape has a further parameter.
        """
        for solid in solids:
            require(
                solid.rigid,
                f"{solid.name}: its aspect is not known, so that it cannot be refined; see --label, --solid",
            )
        before, parts = self.patterns, [_NOTHING]
        for first in range(0, len(frames), self.config.chunk):
            rows = slice(first, first + self.config.chunk)
            with single_thread(), torch.no_grad():
                parts.append(self._refine(frames[rows], solids[rows], radius_nm[rows], q[rows]))
        columns = {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}
        return Refined(**columns, patterns=self.patterns - before)

    def chi2(self, frames: NDArray, solids: Sequence[Solid], radius_nm: Tensor, q: Tensor) -> NDArray[np.float64]:
        """chi^2 per degree of freedom (N,) of ``frames`` (N, ny, nx) as patterns of these sizes (N,) and orientations
        (N, 4), scale and background fitted; NaN for solids whose shape has a further parameter."""
        found = np.full(len(frames), np.nan)
        which = np.flatnonzero([s.rigid for s in solids])
        for rows in np.array_split(which, -(-len(which) // self.config.chunk) or 1):
            if len(rows):
                with single_thread(), torch.no_grad():
                    found[rows] = self._chi2(
                        self._counts(frames[rows]), [solids[i] for i in rows], radius_nm[rows], q[rows]
                    )
        return found

    def _chi2(self, counts, solids, radius_nm, q) -> NDArray[np.float64]:
        row, still = torch.arange(len(counts)), torch.zeros(len(counts), 2)
        fits = self._evaluated(counts, solids, row, radius_nm, q, still, torch.ones(len(counts)))
        mean = fits.level[:, :1] * fits.pattern + fits.level[:, 1:]
        return chi_square(counts, mean, self.good, self.config.model_error, _POSE + 2)[0].double().numpy()

    def _counts(self, frames: NDArray) -> Tensor:
        counts = torch.from_numpy(np.where(np.isfinite(frames), frames, 0).astype(np.float32)).flatten(1)
        return counts * self.good

    def _refine(self, frames, solids, radius_nm, q) -> dict[str, NDArray]:
        counts = self._counts(frames)
        fits = self._started(counts, solids, radius_nm, q)
        fits = self._best(fits, self.config.starts)
        for step in range(self.config.steps):
            fits = self._step(counts, solids, fits)
            if step == 1:
                fits = self._best(fits, 1)
        return self._result(counts, solids, fits)

    # -- the model -------------------------------------------------------------------------------------------------------
    def _pattern(self, solids, row: Tensor, radius_nm: Tensor, q: Tensor) -> Tensor:
        self.patterns += len(row)
        shapes = [solids[i].shape() for i in row.tolist()]
        shares = signals(shapes, radius_nm, q, self.geometry, self.config.rung, self.config.settings)
        return shares.flatten(1)

    def _moved(self, pattern: Tensor, offset: Tensor) -> Tensor:
        """Patterns (M, P) with the beam moved by ``offset`` (M, 2) pixels, bicubic in the amplitude."""
        if not self.config.fit_center or not bool(offset.any()):
            return pattern
        ny, nx = self.geometry.shape_px
        y = (torch.arange(ny) - offset[:, :1]) * (2 / (ny - 1)) - 1
        x = (torch.arange(nx) - offset[:, 1:]) * (2 / (nx - 1)) - 1
        grid = torch.stack([x[:, None].expand(-1, ny, -1), y[:, :, None].expand(-1, -1, nx)], -1).float()
        amplitude = pattern.sqrt().view(-1, 1, ny, nx)
        moved = torch.nn.functional.grid_sample(amplitude, grid, "bicubic", "border", align_corners=True)
        return moved.flatten(1).square()

    def _evaluated(self, counts, solids, row, radius_nm, q, offset, damping) -> _Fits:
        pattern = self._pattern(solids, row, radius_nm, q)
        seen = self._moved(pattern, offset)
        error = self.config.model_error
        level = fit_scale(counts[row], seen, self.good, error)
        mean = level[:, :1] * seen + level[:, 1:]
        cost = deviance(counts[row], mean, self.good, error)
        return _Fits(row, radius_nm, q, offset, level, pattern, cost, damping)

    # -- fitting ---------------------------------------------------------------------------------------------------------
    def _started(self, counts, solids, radius_nm, q) -> _Fits:
        candidates = min(self.config.candidates, q.shape[1])
        row = torch.arange(len(counts)).repeat_interleave(candidates)
        offset = torch.zeros(len(row), 2)
        return self._evaluated(
            counts, solids, row, radius_nm[:, :candidates].reshape(-1).double(),
            q[:, :candidates].reshape(-1, 4).double(), offset, torch.full((len(row),), 1e-2, dtype=torch.float64),
        )  # fmt: skip

    def _best(self, fits: _Fits, keep: int) -> _Fits:
        kept = []
        for row in fits.row.unique():
            mine = torch.nonzero(fits.row == row)[:, 0]
            kept.append(mine[fits.cost[mine].argsort()[:keep]])
        return fits.take(torch.cat(kept))

    def _step(self, counts, solids, fits: _Fits) -> _Fits:
        normal, slope = self._normal(counts, solids, fits)
        diagonal = normal.diagonal(dim1=1, dim2=2)
        damped = normal + torch.diag_embed(fits.damping[:, None] * diagonal + 1e-9 * diagonal.amax(1, keepdim=True))
        move = torch.linalg.solve(damped, slope[..., None])[..., 0]
        growth = torch.exp(move[:, 0].clamp(-0.05, 0.05))
        q = multiply(rotation(move[:, 1:_POSE].clamp(-0.1, 0.1)), fits.q)
        offset = fits.offset + move[:, _POSE + 2 :].float() if self.config.fit_center else fits.offset
        tried = self._evaluated(counts, solids, fits.row, fits.radius_nm * growth, q, offset, fits.damping / 8)
        worse = replace(fits, damping=fits.damping * 6)
        return worse.where(tried.cost < fits.cost, tried)

    def _normal(self, counts, solids, fits: _Fits) -> tuple[Tensor, Tensor]:
        """J' V^-1 J (M, D, D) and J' V^-1 (n - mu) (M, D) for log radius, three turns, log scale, background, offset."""
        seen = self._moved(fits.pattern, fits.offset)
        scale, background = fits.level[:, :1], fits.level[:, 1:]
        mean = scale * seen + background
        slopes = torch.stack([*self._pose_slopes(solids, fits), *self._level_slopes(seen, scale)], 1)
        weight = self.good / variance(mean, self.config.model_error).clamp_min(1e-7)
        weighted = slopes * weight[:, None]
        normal = (weighted @ slopes.mT).double()
        return normal, (weighted @ (counts[fits.row] - mean)[..., None])[..., 0].double()

    def _pose_slopes(self, solids, fits: _Fits) -> list[Tensor]:
        count = len(fits.row)
        growth = _growth(fits.radius_nm, self.geometry.wavelength_m)
        axes = torch.cat([torch.zeros(1, 3), torch.eye(3)]).double() * _TURN_RAD
        turned = multiply(rotation(axes)[:, None], fits.q[None]).reshape(-1, 4)
        radius = torch.cat([fits.radius_nm * torch.exp(growth), fits.radius_nm.repeat(3)])
        patterns = self._pattern(solids, fits.row.repeat(_POSE), radius, turned).unflatten(0, (_POSE, count))
        sizes = [growth, *[torch.full_like(growth, _TURN_RAD)] * 3]
        scale, here = fits.level[:, :1], self._moved(fits.pattern, fits.offset)
        return [
            scale * (self._moved(p, fits.offset) - here) / h[:, None].float()
            for p, h in zip(patterns, sizes, strict=True)
        ]

    def _level_slopes(self, seen: Tensor, scale: Tensor) -> list[Tensor]:
        slopes = [scale * seen, torch.ones_like(seen)]
        if self.config.fit_center:
            image = (scale * seen).view(-1, *self.geometry.shape_px)
            slopes += [-g.flatten(1) for g in torch.gradient(image, dim=(1, 2))]
        return slopes

    def _result(self, counts, solids, fits: _Fits) -> dict[str, NDArray]:
        normal, _ = self._normal(counts, solids, fits)
        covariance = torch.linalg.pinv(normal, hermitian=True, rtol=1e-10)
        seen = self._moved(fits.pattern, fits.offset)
        mean = fits.level[:, :1] * seen + fits.level[:, 1:]
        chi2, excess = chi_square(counts[fits.row], mean, self.good, self.config.model_error, normal.shape[1])
        spread = covariance.diagonal(dim1=1, dim2=2).clamp_min(0).sqrt()
        found = {
            "radius_nm": fits.radius_nm, "quaternion": _fundamental(fits.q, solids),
            "radius_error_nm": torch.hypot(spread[:, 0] * fits.radius_nm, torch.tensor(GRID_ERROR_NM)),
            "orientation_error_deg": torch.rad2deg(spread[:, 1:_POSE].norm(dim=1)), "scale": fits.level[:, 0],
            "background": fits.level[:, 1], "offset_px": fits.offset, "chi2": chi2, "chi2_excess": excess,
        }  # fmt: skip
        columns = {k: v.double().numpy() for k, v in found.items()}
        return columns | {"unexplained": (columns["chi2"] > self.config.chi2_limit) & (columns["chi2_excess"] > 5)}


def _fundamental(q: Tensor, solids: Sequence[Solid]) -> Tensor:
    return torch.stack([to_fundamental(one, s.symmetry) for one, s in zip(q, solids, strict=True)])


def _growth(radius_nm: Tensor, wavelength_m: float) -> Tensor:
    """Step of log radius for the derivative: to the side on which the far field keeps its grid (`sim.scattering.farfield`), whose
    change would drown the difference."""
    octaves = 5 * torch.log2(radius_nm * (2 * math.pi * 1e-9 / wavelength_m))
    inside = torch.ceil(octaves - 1e-9) - octaves > 5 * _GROWTH / math.log(2)
    return torch.where(inside, _GROWTH, -_GROWTH)
