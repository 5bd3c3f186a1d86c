"""Robustness: errors of network and refinement against what goes wrong in an experiment."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from recon.shape.bank import GEOMETRY
from recon.shape.errors import pose_errors
from recon.shape.evaluate import OUTLIER, good_pixels, recipe_frames
from recon.shape.predict import Predictor
from recon.shape.refine import RefineConfig, Refiner
from recon.shape.solids import solid
from sorter.core.geometry import Geometry

_log = logging.getLogger(__name__)
_BRIGHT = {"fluence.min_photons": 1e5, "fluence.max_photons": 1e5}


def _photons(number: float) -> dict[str, float]:
    return {"fluence.min_photons": number, "fluence.max_photons": number}


#: Curve -> points (value, options of the recipe, what the analysis is told of the geometry). 10^5 photons where nothing is said.
POINTS: dict[str, list[tuple[float, dict[str, Any], Geometry]]] = {
    "photons": [(10.0**p, _photons(10.0**p), GEOMETRY) for p in range(3, 8)],
    "background_photons": [(b, _BRIGHT | {"detector.background_photons": b}, GEOMETRY) for b in (0.0, 0.1, 0.5, 2.0)],
    "hole_radius_px": [(r, _BRIGHT | {"detector.hole_radius_px": r}, GEOMETRY) for r in (0.0, 5.0, 10.0, 15.0, 20.0)],
    "gap_px": [(g, _BRIGHT | {"detector.panels": (2, 2), "detector.gap_px": int(g)}, GEOMETRY) for g in (0, 4, 8, 16)],
    "center_offset_px": [
        (d, _BRIGHT, replace(GEOMETRY, beam_center_px=(63.5 + d, 63.5))) for d in (0.0, 0.25, 0.5, 1.0, 2.0)
    ],
    "wavelength_error": [
        (e, _BRIGHT, replace(GEOMETRY, wavelength_m=GEOMETRY.wavelength_m * (1 + e))) for e in (0.0, 0.01)
    ],
    "missing_panels": [(k, _BRIGHT, GEOMETRY) for k in (0, 1, 2)],
}


def curves(predictor: Predictor, count: int, refined: int, seed: int) -> dict[str, list[dict[str, float]]]:
    """Errors along each of `POINTS`, ``count`` frames a point, the first ``refined`` of them refined (the beam centre
    let free where it is
    wrong). Each point: the value, median_mean_relative_error, outlier_share, and of the refined ones the same.

    "missing_panels": quarters of the detector that are masked.
    """
    out: dict[str, list[dict[str, float]]] = {}
    for name, points in POINTS.items():
        out[name] = []
        for value, options, told in points:
            panels = int(value) if name == "missing_panels" else 0
            row = _point(predictor, count, refined, seed, options, told, panels, name == "center_offset_px")
            out[name].append({name: float(value), **row})
            _log.info("%s %g: %s", name, value, row)
    return out


def _point(
    predictor: Predictor, count: int, refined: int, seed: int, options: dict[str, Any], told: Geometry, panels: int,
    fit_center: bool
) -> dict[str, float]:  # fmt: skip
    test = recipe_frames(count, seed, options)
    good = good_pixels(seed, options) & _without(panels)
    config = RefineConfig(fit_center=fit_center)
    poses = predictor.predict([test.frames], good, told, known="icosahedron", candidates=config.candidates)
    errors = pose_errors(*map(torch.from_numpy, (poses.quaternion, poses.radius_nm)), test.quaternion, test.radius_nm)
    row = {
        "median_mean_relative_error": float(np.median(errors.mean)),
        "outlier_share": float((errors.mean > OUTLIER).mean()),
    }
    if refined:
        some = min(refined, count)
        starts = torch.from_numpy(poses.radius_nm[:some, None]).expand(-1, config.candidates)
        found = Refiner(told, good, config).refine(
            test.frames[:some], [solid("icosahedron")] * some, starts, torch.from_numpy(poses.candidates[:some])
        )
        after = pose_errors(*map(torch.from_numpy, (found.quaternion, found.radius_nm)), test.quaternion[:some],
                            test.radius_nm[:some])  # fmt: skip
        row |= {
            "refined_median_mean_relative_error": float(np.median(after.mean)),
            "refined_outlier_share": float((after.mean > OUTLIER).mean()),
            "refined_median_chi2": float(np.median(found.chi2)),
        }
    return row


def _without(panels: int) -> NDArray[np.bool_]:
    """Good pixels (ny, nx) when ``panels`` quarters of the detector are missing, neighbours first."""
    good = np.ones(GEOMETRY.shape_px, bool)
    half = GEOMETRY.shape_px[0] // 2
    quarters = [(slice(0, half), slice(0, half)), (slice(0, half), slice(half, None))]
    for quarter in quarters[:panels]:
        good[quarter] = False
    return good
