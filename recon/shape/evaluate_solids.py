"""Which solid? Confusion, calibration, and size and orientation of each solid in its own symmetry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from recon.shape.bank import GEOMETRY
from recon.shape.predict import Poses, Predictor
from recon.training.scores import ClassScores, class_scores
from sim.dataset import SimulatedFrames
from sim.symmetry import distance_rad
from sorter.core.config import require

#: Photons above which a frame counts as bright.
BRIGHT_PHOTONS = 1e4
_BINS = 10


@dataclass(frozen=True)
class SolidsEvaluation:
    """summary: JSON-ready; scores: of all frames; names: of the solids; truth, photons (N,); poses: of all frames."""

    summary: dict[str, Any]
    scores: ClassScores
    names: list[str]
    truth: NDArray[np.int64]
    photons: NDArray[np.float64]
    poses: Poses


def evaluate_solids(
    predictor: Predictor, count: int, seed: int, options: dict[str, Any] | None = None
) -> SolidsEvaluation:
    """Answers on ``count`` frames of the recipe `clusters` that holds the network's solids in equal shares, with the
    recipe's beam stop, gap and background; photons as the recipe draws them unless ``options`` say otherwise.

    Raises InputError where the weights know one solid only.
    """
    names = list(predictor.meta["solids"])
    require(
        len(names) > 1, f"{predictor.path.name}: knows {names[0]} only; give weights that tell solids apart (solids)"
    )
    mixture = {"blank_fraction": 0.0, "mixture": dict.fromkeys(names, 1.0), "views_per_particle": 1}
    source = SimulatedFrames("clusters", seed, mixture | (options or {}), count)
    blocks = list(source)
    frames = torch.cat([b["frames"] for b in blocks]).numpy()
    truth = np.array([names.index(name) for b in blocks for name in b["class"]])
    photons = torch.cat([b["photons"] for b in blocks]).double().numpy()
    q, radius_nm = (torch.cat([b[k] for b in blocks]) for k in ("quaternion_wxyz", "radius_m"))
    poses = predictor.predict([frames], np.asarray(source.recording.cxi_mask) == 0, GEOMETRY)
    scores = class_scores(truth, poses.solid, len(names))
    bright, right = photons >= BRIGHT_PHOTONS, poses.solid == truth
    summary = {
        "solids": names, "solids_frames": count, "seed": seed, "weights": predictor.path.name,
        "accuracy": float(right.mean()), "macro_f1": scores.macro_f1, "bright_frames": int(bright.sum()),
        "bright_accuracy": float(right[bright].mean()) if bright.any() else None,
        "calibration_error": calibration_error(poses.confidence, right),
        "mean_confidence": float(poses.confidence.mean()),
        "per_solid": {name: _of_solid(predictor, k, poses, truth, q, radius_nm * 1e9, bright) for k, name in enumerate(names)},
    }  # fmt: skip
    return SolidsEvaluation(summary, scores, names, truth, photons, poses)


def calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = _BINS) -> float:
    """Expected calibration error (Guo et al. 2017): mean distance of confidence and accuracy over equal bins of confidence."""
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        abs(confidence[which == b].mean() - right[which == b].mean()) * (which == b).mean() for b in np.unique(which)
    ]
    return float(np.sum(gaps))


def _of_solid(predictor, number: int, poses: Poses, truth, q, radius_nm, bright) -> dict[str, float | None]:
    """Median errors of size and orientation on the bright frames of a solid that were recognised."""
    rows = np.flatnonzero((truth == number) & (poses.solid == number) & bright)
    if not len(rows):
        return {"recognised": 0, "median_radius_error_nm": None, "median_angle_deg": None}
    symmetry = predictor.solids[number].symmetry
    angle = torch.rad2deg(distance_rad(torch.from_numpy(poses.quaternion[rows]), q[rows], symmetry))
    size = np.abs(poses.radius_nm[rows] - radius_nm[rows].numpy())
    return {
        "recognised": len(rows),
        "median_radius_error_nm": float(np.median(size)),
        "median_angle_deg": None if symmetry == "SO3" else float(angle.median()),
    }
