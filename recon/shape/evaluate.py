"""Measure networks, refinement and the simplex rival on simulated frames that no training has seen."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from recon.shape.bank import GEOMETRY
from recon.shape.data import TRAINING_SEEDS
from recon.shape.errors import HIGH_NM, LOW_NM, PoseErrors, pose_errors
from recon.shape.msft import msft_shares
from recon.shape.predict import Poses, Predictor
from recon.shape.pulls import Pulls, pulls, told_outliers
from recon.shape.refine import RefineConfig, Refined, Refiner
from recon.shape.rival import simplex_errors
from recon.shape.solids import solid
from sim.dataset import SimulatedFrames
from sim.symmetry import random_in_fundamental
from sorter.core.config import require
from sorter.core.seeds import child_rng

OUTLIER = 0.05
_SOLID = "icosahedron"
_SINGLE = 16


@dataclass(frozen=True)
class ShapeEvaluateConfig:
    """frames of the recipe `icosahedra` (options as for `shotsort sim`); refined: at most so many of them; rival: the
    first so many
    also by the simplex; model: "recipe" or "msft", frames by the 192-slice transform of `recon.shape.msft` with msft_photons."""

    frames: int = 5000
    refined: int = 100
    rival: int = 0
    model: str = "recipe"
    msft_photons: float = 1e6
    options: dict[str, Any] = field(default_factory=dict)
    refine: RefineConfig = field(default_factory=RefineConfig)

    def __post_init__(self) -> None:
        require(self.frames >= 1, f"frames = {self.frames}: need at least 1")
        require(self.refined >= 0 and self.rival >= 0, "refined, rival: must be 0 or more")
        require(self.model in ("recipe", "msft"), f"model = {self.model}: recipe or msft")


@dataclass(frozen=True)
class TestFrames:
    """frames (N, ny, nx) counts; quaternion (N, 4) and radius_nm (N,) of what they show; photons (N,)."""

    frames: NDArray
    quaternion: torch.Tensor
    radius_nm: torch.Tensor
    photons: NDArray


def recipe_frames(count: int, seed: int, options: dict[str, Any] | None = None) -> TestFrames:
    """Frames of `shotsort sim icosahedra --seed`."""
    blocks = list(SimulatedFrames("icosahedra", seed, options, count))
    return TestFrames(
        torch.cat([b["frames"] for b in blocks]).numpy(),
        torch.cat([b["quaternion_wxyz"] for b in blocks]),
        torch.cat([b["radius_m"] for b in blocks]) * 1e9,
        torch.cat([b["photons"] for b in blocks]).numpy(),
    )


def msft_frames(count: int, seed: int, photons: float) -> TestFrames:
    """Frames of the slice-by-slice transform, Poisson noise, the background of the recipe."""
    rng = child_rng(seed, "shape", "msft")
    q = random_in_fundamental(count, "I", rng)
    radius = rng.uniform(LOW_NM, HIGH_NM, count)
    shape = solid(_SOLID).shape()
    shares = np.stack([msft_shares(shape, r, turn, GEOMETRY) for r, turn in zip(radius, q, strict=True)])
    frames = rng.poisson(shares * photons + 0.02)
    return TestFrames(frames, q, torch.from_numpy(radius), np.full(count, photons))


@dataclass(frozen=True)
class Evaluation:
    """summary: JSON-ready figures; test: the frames; poses, errors, pulls: of the network; refined, refined_errors,
    refined_pulls: of the first frames (None where none was refined); rival: see `recon.shape.rival.simplex_errors`."""

    summary: dict[str, Any]
    test: TestFrames
    poses: Poses
    errors: PoseErrors
    pulls: Pulls | None
    refined: Refined | None
    refined_errors: PoseErrors | None
    refined_pulls: Pulls | None
    rival: dict[str, Any] | None


def evaluate(predictor: Predictor, config: ShapeEvaluateConfig, seed: int = 1, keep: Path | None = None) -> Evaluation:
    """Errors of the network and of the refinement that begins with its answers; the rival on the first frames (its results
    are kept in the file ``keep``, where one is given, and not computed again).

    Raises InputError for seeds of the range that trainings draw from and weights that do not know icosahedra.
    """
    require(0 <= seed < TRAINING_SEEDS, f"seed = {seed}: must lie in 0..2^40 - 1; training draws from beyond")
    predictor.number_of(_SOLID)
    test = (
        msft_frames(config.frames, seed, config.msft_photons)
        if config.model == "msft"
        else recipe_frames(config.frames, seed, config.options)
    )
    good = good_pixels(seed, config.options)
    begin = time.perf_counter()
    poses = predictor.predict([test.frames], good, GEOMETRY, known=_SOLID, candidates=config.refine.candidates)
    seconds = (time.perf_counter() - begin) / config.frames
    errors = pose_errors(
        torch.from_numpy(poses.raw), torch.from_numpy(poses.radius_nm), test.quaternion, test.radius_nm
    )
    summary: dict[str, Any] = {
        **_figures(errors),
        "frames": config.frames,
        "seconds_per_frame": seconds,
        "seconds_single_frame": _single(predictor, test, good),
        **{k: v for k, v in predictor.describe().items() if k in ("preset", "weights")},
        "model": config.model, "seed": seed, "device": str(predictor.device),
        "refined_frames": 0, "refined_median_mean_relative_error": None,
    }  # fmt: skip
    told = pulls(errors, poses.radius_error_nm, poses.orientation_error_deg)
    if told is not None:
        summary |= told.figures() | _outliers(errors, told, test)
    refined, refined_errors, refined_told, trace = None, None, None, None
    if config.refined:
        refined, refined_errors, figures = _refine(test, good, poses, config)
        refined_told = pulls(refined_errors, refined.radius_error_nm, refined.orientation_error_deg)
        summary |= figures | ({} if refined_told is None else refined_told.figures("refined_"))
    if config.rival:
        trace = _rival(test, config, seed, keep)
        summary |= _compared(trace, refined_errors, summary)
    return Evaluation(summary, test, poses, errors, told, refined, refined_errors, refined_told, trace)


def errors_of(predictor: Predictor, test: TestFrames) -> dict[str, Any]:
    """Median, 5 and 95 % of the mean relative error of other weights on whole, clean ``test`` frames, and what they were trained
    with."""
    good = np.ones(GEOMETRY.shape_px, bool)
    poses = predictor.predict([test.frames], good, GEOMETRY, known=_SOLID)
    mean = pose_errors(*map(torch.from_numpy, (poses.raw, poses.radius_nm)), test.quaternion, test.radius_nm).mean
    low, middle, high = (float(v) for v in np.percentile(mean, [5, 50, 95]))
    return {
        "weights": predictor.path.name, "frames": predictor.meta["config"]["data"]["frames"], "median": middle, "low": low,
        "high": high, "outlier_share": float((mean > OUTLIER).mean()),
    }  # fmt: skip


def good_pixels(seed: int, options: dict[str, Any]) -> NDArray[np.bool_]:
    """Good pixels (ny, nx) of the recipe's detector with these options."""
    mask = SimulatedFrames("icosahedra", seed, options, 1).recording.cxi_mask
    return np.asarray(mask) == 0


def _figures(errors: PoseErrors) -> dict[str, Any]:
    raw = errors.raw.mean(1)
    return {
        "median_mean_relative_error": float(np.median(errors.mean)),
        "median_maximum_relative_error": float(np.median(errors.maximum)),
        "outlier_share": float((errors.mean > OUTLIER).mean()),
        "raw_median_mean_relative_error": float(np.median(raw)),
        "raw_outlier_share": float((raw > OUTLIER).mean()),
        "median_angle_deg": float(np.median(errors.angle_deg)),
        "median_radius_error_nm": float(np.median(np.abs(errors.radius_nm))),
    }


def _outliers(errors: PoseErrors, told: Pulls, test: TestFrames) -> dict[str, float | None]:
    """What the outliers are, and whether the network knew."""
    which = errors.mean > OUTLIER
    some = bool(which.any())
    return {
        "outliers_among_least_certain_5_percent": told_outliers(which, told.told_deg),
        "outlier_median_radius_nm": float(np.median(test.radius_nm.numpy()[which])) if some else None,
        "outlier_median_photons": float(np.median(test.photons[which])) if some else None,
    }


def _single(predictor: Predictor, test: TestFrames, good: NDArray[np.bool_]) -> float:
    """Seconds for a frame that comes alone (median)."""
    spent = []
    for frame in test.frames[:_SINGLE]:
        begin = time.perf_counter()
        predictor.predict([frame[None]], good, GEOMETRY, known=_SOLID)
        spent.append(time.perf_counter() - begin)
    return float(np.median(spent))


def _refine(test: TestFrames, good, poses: Poses, config: ShapeEvaluateConfig) -> tuple[Refined, PoseErrors, dict]:
    count = min(config.refined, config.frames)
    begin = time.perf_counter()
    radius = torch.from_numpy(poses.radius_nm[:count, None]).expand(-1, config.refine.candidates)
    starts = torch.from_numpy(poses.candidates[:count])
    found = Refiner(GEOMETRY, good, config.refine).refine(test.frames[:count], [solid(_SOLID)] * count, radius, starts)
    seconds = (time.perf_counter() - begin) / count
    errors = pose_errors(torch.from_numpy(found.quaternion), torch.from_numpy(found.radius_nm),
                         test.quaternion[:count], test.radius_nm[:count])  # fmt: skip
    return found, errors, {
        "refined_frames": count,
        "refined_median_mean_relative_error": float(np.median(errors.mean)),
        "refined_outlier_share": float((errors.mean > OUTLIER).mean()),
        "refined_median_angle_deg": float(np.median(errors.angle_deg)),
        "refined_median_radius_error_nm": float(np.median(np.abs(errors.radius_nm))),
        "refined_seconds_per_frame": seconds,
        "refined_patterns_per_frame": found.patterns / count,
        "refined_unexplained_share": float(found.unexplained.mean()),
    }  # fmt: skip


# -- the rival -----------------------------------------------------------------------------------------------------------


def _rival(test: TestFrames, config: ShapeEvaluateConfig, seed: int, keep: Path | None) -> dict[str, Any]:
    """The simplex on the first frames, see `recon.shape.rival.simplex_errors`."""
    first = slice(0, config.rival)
    about = {"seed": seed, "model": config.model, "msft_photons": config.msft_photons, "options": config.options}
    return simplex_errors(
        test.frames[first], solid(_SOLID), test.quaternion[first], test.radius_nm[first], seed, about, keep
    )


def _compared(trace: dict[str, Any], refined: PoseErrors | None, summary: dict[str, Any]) -> dict[str, Any]:
    """The simplex at its end, and what the refinement costs against it on the same frames."""
    final = trace["errors"][:, -1]
    out: dict[str, Any] = {
        "rival_frames": len(final),
        "rival_median_mean_relative_error": float(np.median(final)),
        "rival_outlier_share": float((final > OUTLIER).mean()),
        "rival_seconds_per_frame": trace["seconds"],
        "rival_patterns_per_frame": float(trace["patterns"][-1]),
    }
    if refined is not None and len(refined.mean) >= len(final):
        same = float(np.median(refined.mean[: len(final)]))
        out |= {
            "rival_frames_refined_median_mean_relative_error": same,
            "rival_seconds_over_refined_seconds": trace["seconds"] / summary["refined_seconds_per_frame"],
        }
    return out
