"""Network, refinement and classical iteration on the same unseen crystals: errors, successes, times."""

from __future__ import annotations

import logging
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from recon.phase.data import CrystalData, centred_object, magnitudes, measured, noisy, padded, phase_rms_rad
from recon.phase.downsample import block_dct
from recon.phase.iterate import IterateConfig, Solutions, first_guess, iterate
from recon.phase.predict import Predictor
from recon.phase.problem import Problem, resized
from recon.phase.quality import object_errors
from recon.phase.refine import RefineConfig, refine, scaled
from sim.recipes.base import single_thread
from sorter.core.config import require
from sorter.core.seeds import child_seed

_log = logging.getLogger(__name__)
PHASED_RAD = 0.3
"""A crystal is phased where the phase inside is off by less (root mean square)."""
FREE_TOLERANCE = 1.05
"""A free log-likelihood is no worse than that of the iterative rival where it is at most this times that."""
METHODS = ("network", "refined", "unaided", "iterative")
STRAIN = ("crystal_phase_rms_rad", "flat_phase_error_rad")
COLUMNS = ("phase_error_rad", "shape_error", "chi2", "free_llk", "seconds")


@dataclass(frozen=True)
class PhaseEvaluateConfig:
    """crystals that all methods phase; network_crystals: for the distribution of the network's errors (strained and unstrained in
    turn); photons in a pattern (None: no noise); doses: for the network's errors against photons, with dose_crystals each (0:
    none). data, iterative, refined: what is phased and how. workers: processes, of one thread each."""

    crystals: int = 100
    network_crystals: int = 1000
    photons: float | None = 1e6
    doses: tuple[float, ...] = (1e4, 1e5, 1e6, 1e7)
    dose_crystals: int = 100
    data: CrystalData = field(default_factory=CrystalData)
    iterative: IterateConfig = field(default_factory=IterateConfig)
    refined: RefineConfig = field(default_factory=RefineConfig)
    workers: int = 2

    def __post_init__(self) -> None:
        require(self.crystals >= 1, f"crystals = {self.crystals}: need at least 1")
        require(self.network_crystals >= 2, f"network_crystals = {self.network_crystals}: need at least 2")
        require(self.dose_crystals >= 0, f"dose_crystals = {self.dose_crystals}: must be 0 or more")
        require(self.workers >= 1, f"workers = {self.workers}: need at least 1")
        require(self.photons is None or self.photons > 0, f"photons = {self.photons}: must be positive")
        require(self.data.oversampling >= 2, "oversampling must be at least 2: iteration needs it")


@dataclass(frozen=True)
class Evaluation:
    """figures: method -> (crystals, 5), columns as COLUMNS; "unaided" is the refinement from a random start instead of the
    network's answer. strain (crystals, 2): columns as STRAIN, see `Unseen`. distribution (network_crystals, 2): the
    network's shape and phase errors, strained and unstrained in turn. by_photons: dose -> (shape, phase) errors, medians.
    summary: JSON-ready."""

    figures: dict[str, NDArray[np.float64]]
    strain: NDArray[np.float64]
    distribution: NDArray[np.float64]
    by_photons: dict[float, tuple[float, float]]
    summary: dict[str, Any]


@dataclass(frozen=True)
class Unseen:
    """A test crystal: counts (n, n, n), the object behind them on the same grid, and how strained it is (see
    `recon.phase.data.phase_rms_rad`)."""

    counts: Tensor
    truth: Tensor
    phase_rms_rad: float

    def flat_phase_error_rad(self) -> float:
        """Phase error of the true shape without any phase: what an error is to be held against."""
        return object_errors(self.truth.abs().to(self.truth), self.truth).phase_error_rad

    @classmethod
    def drawn(cls, data: CrystalData, seed: int, index: int, photons: float | None, strained: bool = True) -> Unseen:
        """Crystal ``index`` of the stream "test" of ``seed``, which no training sees."""
        crystal = data.drawn(seed, "test", index)
        intensity, objects = measured(torch.from_numpy(centred_object(crystal, strained))[None], data.oversampling)
        generator = torch.Generator().manual_seed(child_seed(seed, "phase", "test noise", index))
        counts = noisy(intensity[0], photons, generator)
        return cls(counts, padded(objects[0], data.side), phase_rms_rad(crystal) if strained else 0.0)


def phase_all_ways(
    predictor: Predictor, config: PhaseEvaluateConfig, seed: int, index: int
) -> tuple[dict[str, tuple[float, ...]], tuple[float, float]]:
    """COLUMNS of each method for one crystal, and its STRAIN. Times begin with the counts and include all preparation."""
    unseen = Unseen.drawn(config.data, seed, index, config.photons)

    def problem() -> Problem:
        return Problem.of(unseen.counts, seed=child_seed(seed, index), device=predictor.device)

    def network() -> Tensor:
        return predictor.objects(unseen.counts[None])

    def unaided() -> Solutions:
        here = problem()
        start, _ = first_guess(here.cropped(here.shape[0] // 2), config.iterative, index)
        return refine(here, resized(start, here.shape[0]), config.refined)

    found, seconds = {}, {}
    for name, run in (
        ("network", network),
        ("refined", lambda: refine(problem(), network(), config.refined)),
        ("unaided", unaided),
        ("iterative", lambda: iterate(problem(), config.iterative, child_seed(seed, index))),
    ):
        begin = time.perf_counter()
        found[name] = run()
        if predictor.device.type == "cuda":
            torch.cuda.synchronize()
        seconds[name] = time.perf_counter() - begin
    judge = problem()
    rows = {}
    for name, answer in found.items():
        obj = scaled(judge, answer) if isinstance(answer, Tensor) else answer.objects[:1]
        errors = object_errors(obj[0].cpu(), unseen.truth)
        rows[name] = (
            errors.phase_error_rad, errors.shape_error, float(judge.modulus().chi2(obj)[0]), float(judge.free_llk(obj)[0]),
            seconds[name],
        )  # fmt: skip
    return rows, (unseen.phase_rms_rad, unseen.flat_phase_error_rad())


def network_errors(
    predictor: Predictor, config: PhaseEvaluateConfig, seed: int, index: int, photons: float | None
) -> tuple[float, float]:
    """Shape and phase error of the network alone; odd crystals are the ones before them without strain."""
    unseen = Unseen.drawn(config.data, seed, index // 2, photons, index % 2 == 0)
    with torch.no_grad():
        small = block_dct(unseen.counts[None], predictor.input_side)
        obj = predictor.model(magnitudes(small).to(predictor.device)).cpu()[0]
    side = obj.shape[0]
    first = unseen.truth.shape[0] // 2 - side // 2
    inner = slice(first, first + side)
    errors = object_errors(obj, unseen.truth[inner, inner, inner].contiguous())
    return errors.shape_error, errors.phase_error_rad


_WORKER: dict[str, Any] = {}


def _start_worker(weights: str, device: str, config: PhaseEvaluateConfig, seed: int) -> None:
    torch.set_num_threads(1)
    _WORKER.update(predictor=Predictor(weights, device), config=config, seed=seed)


def _work(task: tuple[str, int, float | None]) -> Any:
    kind, index, photons = task
    if kind == "all":
        return phase_all_ways(_WORKER["predictor"], _WORKER["config"], _WORKER["seed"], index)
    return network_errors(_WORKER["predictor"], _WORKER["config"], _WORKER["seed"], index, photons)


def evaluate(predictor: Predictor, config: PhaseEvaluateConfig, seed: int = 0) -> Evaluation:
    """All figures, on crystals of the stream "test" of ``seed``, which no training sees."""
    tasks: list[tuple[str, int, float | None]] = [("all", i, None) for i in range(config.crystals)]
    tasks += [("network", i, config.photons) for i in range(config.network_crystals)]
    doses = config.doses if config.dose_crystals else ()
    tasks += [("network", 2 * i, dose) for dose in doses for i in range(config.dose_crystals)]
    found = _in_processes(tasks, predictor, config, seed)
    rows, strain = zip(*found[: config.crystals], strict=True)
    figures = {name: np.array([row[name] for row in rows]) for name in METHODS}
    distribution = np.array(found[config.crystals : config.crystals + config.network_crystals])
    rest = np.array(found[config.crystals + config.network_crystals :]).reshape(len(doses), config.dose_crystals, 2)
    by_photons = {dose: tuple(np.median(part, 0).tolist()) for dose, part in zip(doses, rest, strict=True)}
    summary = _summary(figures, distribution, by_photons, predictor, config, seed)
    strain = np.array(strain)
    summary |= dict(zip(STRAIN, np.median(strain, 0).tolist(), strict=True))
    summary["phased_flat"] = float((strain[:, 1] < PHASED_RAD).mean())
    return Evaluation(figures, strain, distribution, by_photons, summary)


def _in_processes(tasks: list, predictor: Predictor, config: PhaseEvaluateConfig, seed: int) -> list:
    arguments = (str(predictor.path), str(predictor.device), config, seed)
    bar = {"total": len(tasks), "unit": "crystal", "disable": not sys.stderr.isatty()}
    if config.workers == 1:
        with single_thread():
            _start_worker(*arguments)
            return [_work(task) for task in tqdm(tasks, **bar)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(config.workers, context, _start_worker, arguments) as pool:
        return list(tqdm(pool.map(_work, tasks, chunksize=4), **bar))


def _summary(
    figures: dict[str, NDArray], distribution: NDArray, by_photons: dict[float, tuple[float, float]], predictor: Predictor,
    config: PhaseEvaluateConfig, seed: int,
) -> dict[str, Any]:  # fmt: skip
    bar = FREE_TOLERANCE * figures["iterative"][:, COLUMNS.index("free_llk")]
    phased = {name: rows[:, 0] < PHASED_RAD for name, rows in figures.items()}
    found: dict[str, Any] = {
        "crystals": config.crystals,
        "seed": seed,
        "photons": config.photons,
        **predictor.describe(),
    }
    for name in METHODS:  # the iterative rival sets the bar, so its own successes are those of its phases
        fits = figures[name][:, COLUMNS.index("free_llk")] <= bar
        found[f"success_{name}"] = float((phased[name] & fits).mean())
        found[f"phased_{name}"] = float(phased[name].mean())
        for i, column in enumerate(COLUMNS):
            found[f"{name}_{column}"] = float(np.median(figures[name][:, i]))
    mean = {name: figures[name][:, -1].mean() for name in METHODS}
    for name in METHODS[:3]:
        found[f"{name}_speedup"] = float(mean["iterative"] / mean[name])
    found["network_crystals"] = len(distribution)
    for name, part in (("", distribution), ("strained_", distribution[::2]), ("unstrained_", distribution[1::2])):
        found[f"network_{name}shape_error"], found[f"network_{name}phase_error_rad"] = np.median(part, 0).tolist()
    found["network_phased_share"] = float((distribution[:, 1] < PHASED_RAD).mean())
    found["network_by_photons"] = [
        {"photons": dose, "shape_error": shape, "phase_error_rad": phase} for dose, (shape, phase) in by_photons.items()
    ]
    found["iterative_recipe"], found["refined_settings"] = config.iterative.recipe, asdict(config.refined)
    return found
