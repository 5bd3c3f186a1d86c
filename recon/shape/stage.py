"""Size and orientation of the frames of a subset: predict, and refine where asked."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from recon.shape.predict import Predictor, check_geometry
from recon.shape.refine import RefineConfig, Refiner
from recon.shape.sheet import Row
from recon.shape.solids import solid
from sorter.core.errors import InputError
from sorter.core.frames import Unit
from sorter.core.geometry import Geometry
from sorter.io.progress import Progress

_log = logging.getLogger(__name__)
SHEET_ROWS = 8


@dataclass(frozen=True)
class ShapeResult:
    """columns: name -> (N, ...), a row per frame; sheet: the first frames with their answers; remarks: what was done to
    the frames or should be known."""

    columns: dict[str, NDArray]
    sheet: list[Row]
    remarks: list[str]


def reconstruct(
    predictor: Predictor,
    blocks: Iterable[NDArray],
    n_frames: int,
    good: NDArray[np.bool_],
    geometry: Geometry,
    unit: Unit = "photon",
    *,
    known: str | None = None,
    refine: RefineConfig | None = None,
    where: str = "frames",
) -> ShapeResult:
    """Size, orientation, errors and fit quality of frames in ``blocks`` (n, ny, nx), ``n_frames`` in all.

    known: the solid that all show (default: the network tells it for each). refine: settings of a refinement (None: the
    network's answer, chi2 of its pattern). Columns: solid, confidence, radius_nm, radius_error_nm, quaternion (N, 4) in
    the fundamental domain,
    orientation_error_deg, chi2 (NaN for solids whose aspect is not known, which are not refined) and, refined, those of
    `recon.shape.refine.Refined`.
    Raises InputError for what the network or the refinement cannot take.
    """
    _, remarks = check_geometry(geometry)
    for remark in remarks:
        _log.info("%s: %s", where, remark)
    if unit != "photon":
        remarks.append(f"frames in {unit}, not photons: chi2 is in units of the noise, errors are scaled by its root")
        _log.warning("%s: %s", where, remarks[-1])
    if refine is not None and known is not None and not solid(known).rigid:
        raise InputError(
            f"{known}: has a free aspect and cannot be refined; 'recon shape predict' gives the network's answer"
        )
    config = refine or RefineConfig()
    refiner = Refiner(geometry, good, config)
    parts, rows = [], []
    done = 0
    with Progress("shape", n_frames, "frames") as bar:
        for block in blocks:
            block = np.asarray(block)
            part = _block(predictor, refiner, block, done, known, refine is not None, unit, where)
            parts.append(part)
            rows += _sheet_rows(predictor, block, part, SHEET_ROWS - len(rows))
            done += len(block)
            bar.update(len(block))
    if not parts:
        raise InputError(f"{where}: no frames")
    columns = {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}
    return ShapeResult(columns, rows, remarks)


def _block(predictor, refiner: Refiner, block, first, known, refined, unit, where) -> dict[str, NDArray]:
    poses = predictor.predict(
        [block], refiner.good_pixels, refiner.geometry, known=known, where=where, first=first,
        candidates=refiner.config.candidates if refined else 1,
    )  # fmt: skip
    solids = [predictor.solids[number] for number in poses.solid]
    columns: dict[str, NDArray] = {
        "solid": poses.solid.astype(np.int32), "confidence": poses.confidence, "radius_nm": poses.radius_nm,
        "radius_error_nm": poses.radius_error_nm, "quaternion": poses.quaternion,
        "orientation_error_deg": poses.orientation_error_deg,
    }  # fmt: skip
    radius = torch.from_numpy(poses.radius_nm)
    if not refined:
        return columns | {"chi2": refiner.chi2(block, solids, radius, torch.from_numpy(poses.quaternion))}
    rows = np.flatnonzero([s.rigid for s in solids])
    starts = radius[rows, None].expand(-1, refiner.config.candidates)
    candidates = torch.from_numpy(poses.candidates[rows])
    found = refiner.refine(block[rows], [solids[i] for i in rows], starts, candidates).columns()
    if unit != "photon":
        noise = np.sqrt(found["chi2"])
        found |= {k: found[k] * noise for k in ("radius_error_nm", "orientation_error_deg")}
    return columns | {k: _spread(v, rows, columns.get(k), len(block)) for k, v in found.items()}


def _spread(values: NDArray, rows: NDArray[np.int64], before: NDArray | None, count: int) -> NDArray:
    """``values`` of the refined ``rows`` among ``count`` frames; others keep what was known ``before``, else NaN or False."""
    nothing = False if values.dtype == bool else np.nan
    out = np.full((count, *values.shape[1:]), nothing, values.dtype) if before is None else before.copy()
    out[rows] = values
    return out


def _sheet_rows(predictor: Predictor, block, part: dict[str, Any], wanted: int) -> list[Row]:
    rows = []
    for i in range(min(len(block), max(wanted, 0))):
        one = predictor.solids[part["solid"][i]]
        if not one.rigid:
            continue
        title = (
            f"{one.name}\n{part['radius_nm'][i]:.2f} ± {part['radius_error_nm'][i]:.2f} nm\nchi2 {part['chi2'][i]:.2f}"
        )
        rows.append(Row(title, block[i], one, float(part["radius_nm"][i]), part["quaternion"][i]))
    return rows
