"""The rival of Stielow et al. 2020: Monte Carlo forward fits by the simplex method (Nelder and Mead), 50 starts of 50 steps."""

from __future__ import annotations

import json
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recon.shape.bank import signals
from recon.shape.errors import HIGH_NM, LOW_NM, pose_errors
from recon.shape.harmonics import rotation
from recon.shape.solids import Solid
from sim.orientation import multiply
from sim.recipes.base import single_thread
from sim.symmetry import random_in_fundamental
from sorter.core.errors import InputError
from sorter.core.seeds import child_rng

_log = logging.getLogger(__name__)
STARTS, STEPS = 50, 50
_SIZE = np.array([0.06 * (HIGH_NM - LOW_NM), 0.15, 0.15, 0.15])


@dataclass(frozen=True)
class SimplexFit:
    """Of one frame, after each step: radius_nm (STEPS + 1,) and quaternion (STEPS + 1, 4) of the best vertex of all starts;
    patterns (STEPS + 1,): how many were computed until then, over all starts."""

    radius_nm: NDArray[np.float64]
    quaternion: NDArray[np.float64]
    patterns: NDArray[np.int64]


def simplex_fit(
    frame: NDArray, solid: Solid, seed: int, number: int, starts: int = STARTS, steps: int = STEPS
) -> SimplexFit:
    """Fit one clean ``frame`` (ny, nx) of counts on the recipes' detector; ``number`` names its random stream.

    The distance is that of the grey images log(1 + counts), the pattern scaled to the photons of the frame, as the paper's images
    are. All starts take their steps together, so that their patterns are computed in one batch.
    """
    rng = child_rng(seed, "shape", "simplex", number)
    centre = random_in_fundamental(starts, solid.symmetry, rng)
    radius = rng.uniform(LOW_NM, HIGH_NM, starts)
    grey = torch.from_numpy(np.log1p(frame.astype(np.float32)))
    photons = float(frame.sum())
    counted = 0

    def cost(points: NDArray, which: NDArray[np.int64]) -> NDArray:
        """Costs (M,) of points (M, 4): radius and a rotation vector before the start's orientation."""
        nonlocal counted
        counted += len(points)
        q = _orientation(points, centre[which])
        inside = torch.from_numpy(np.clip(points[:, 0], 20.0, 170.0))
        with single_thread():
            shares = signals(solid.shape(), inside, q)
        distance = (torch.log1p(shares * photons) - grey).square().mean((1, 2)).numpy()
        return distance + 1e-3 * (points[:, 0] - inside.numpy()) ** 2

    first = np.concatenate([radius[:, None], np.zeros((starts, 3))], 1)
    simplex = np.repeat(first[:, None], 5, 1)
    simplex[:, 1:] += np.diag(_SIZE) * rng.choice([-1, 1], (starts, 4, 4))
    which = np.arange(starts)
    costs = cost(simplex.reshape(-1, 4), which.repeat(5)).reshape(starts, 5)
    trace = []
    for step in range(steps + 1):
        if step:
            simplex, costs = nelder_mead_step(simplex, costs, cost)
        best = np.unravel_index(costs.argmin(), costs.shape)
        point = simplex[best][None]
        trace.append((point[0, 0], _orientation(point, centre[best[0] : best[0] + 1])[0].numpy(), counted))
    radii, quaternions, patterns = (np.array(v) for v in zip(*trace, strict=True))
    return SimplexFit(radii, quaternions, patterns)


def _orientation(points: NDArray, centre: Tensor) -> Tensor:
    return multiply(rotation(torch.from_numpy(points[:, 1:])), centre)


def nelder_mead_step(simplex: NDArray, costs: NDArray, cost) -> tuple[NDArray, NDArray]:
    """One step of each of S simplices (S, D + 1, D) with costs (S, D + 1): reflection, expansion, contraction or
    shrinking with the
    usual factors 1, 2, 1/2, 1/2. cost(points (M, D), which (M,)) tells the costs of points of the simplices ``which``."""
    rows = np.arange(len(simplex))
    order = costs.argsort(1)
    simplex, costs = simplex[rows[:, None], order], costs[rows[:, None], order]
    middle = simplex[:, :-1].mean(1)
    away = middle - simplex[:, -1]
    reflected = middle + away
    reflected_cost = cost(reflected, rows)
    good, fair = reflected_cost < costs[:, 0], reflected_cost < costs[:, -2]
    # where the reflection is best, try twice as far; where it is poor, half as far on the better side
    factor = np.where(good, 2.0, np.where(reflected_cost < costs[:, -1], 0.5, -0.5))
    second, second_cost = reflected.copy(), reflected_cost.copy()
    todo = np.flatnonzero(good | ~fair)
    if len(todo):
        second[todo] = middle[todo] + factor[todo, None] * away[todo]
        second_cost[todo] = cost(second[todo], todo)
    use_second = second_cost < reflected_cost
    new, new_cost = np.where(use_second[:, None], second, reflected), np.minimum(second_cost, reflected_cost)
    taken = new_cost < costs[:, -1]
    simplex[taken, -1], costs[taken, -1] = new[taken], new_cost[taken]
    shrink = np.flatnonzero(~taken)
    if len(shrink):
        simplex[shrink, 1:] = (simplex[shrink, 1:] + simplex[shrink, :1]) / 2
        vertices = simplex.shape[1] - 1
        costs[shrink, 1:] = cost(simplex[shrink, 1:].reshape(-1, simplex.shape[2]), shrink.repeat(vertices)).reshape(
            -1, vertices
        )
    return simplex, costs


def simplex_errors(
    frames: NDArray,
    solid: Solid,
    q: Tensor,
    radius_nm: Tensor,
    seed: int,
    about: dict[str, Any],
    keep: Path | None = None,
) -> dict[str, Any]:
    """The simplex on ``frames`` (F, ny, nx) whose truth is q (F, 4) and radius_nm (F,).

    Returns errors (F, steps + 1) mean relative after each step, patterns (steps + 1,) computed until then and seconds, both means
    over frames. keep: file that each frame's result goes to, so that a run that was stopped goes on; ``about``, JSON-ready,
    says which frames these are. Raises InputError where the file is about others.
    """
    rows = _kept(keep, about)
    for number in range(len(rows), len(frames)):
        begin = time.perf_counter()
        fit = simplex_fit(frames[number], solid, seed, number)
        again = [number] * len(fit.radius_nm)
        found = pose_errors(
            torch.from_numpy(fit.quaternion),
            torch.from_numpy(fit.radius_nm),
            q[again],
            radius_nm[again],
            solid.symmetry,
        )
        rows.append(
            {"errors": found.mean.tolist(), "patterns": fit.patterns.tolist(), "seconds": time.perf_counter() - begin}
        )
        _log.info("simplex: frame %d of %d, error %.4f", number + 1, len(frames), found.mean[-1])
        _keep(keep, about, rows)
    errors, patterns, seconds = (
        np.array([row[k] for row in rows[: len(frames)]]) for k in ("errors", "patterns", "seconds")
    )
    return {"errors": errors, "patterns": patterns.mean(0), "seconds": float(seconds.mean())}


def _kept(path: Path | None, about: dict[str, Any]) -> list[dict[str, Any]]:
    if path is None or not path.exists():
        return []
    stored = json.loads(path.read_text())
    if stored["about"] != json.loads(json.dumps(about)):
        raise InputError(f"{path}: the simplex on other frames; delete it or choose another folder")
    return stored["frames"]


def _keep(path: Path | None, about: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    if path is None:
        return
    temporary = path.with_suffix(".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps({"about": about, "frames": rows}))
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another folder") from error
