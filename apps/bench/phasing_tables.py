"""The measurements of ``shotsort bench phasing``: each returns rows of figures."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from apps.bench import cohere
from recon.phase.data import CrystalData
from recon.phase.evaluate import Unseen
from recon.phase.iterate import IterateConfig, first_guess, iterate, run_steps
from recon.phase.prepare import PrepareConfig, prepare
from recon.phase.problem import Problem
from recon.phase.quality import object_errors
from recon.phase.recipe import CLASSICAL, parse_recipe
from recon.phase.refine import scaled
from recon.phase.scan import read_scan

if TYPE_CHECKING:
    from apps.bench.phasing import PhasingBenchConfig

_AXES = (-3, -2, -1)
_COHERE = {"cohere-core, our shrink-wrap": cohere.ALIKE, "cohere-core, the beamline's settings": cohere.BEAMLINE}
Answers = list[tuple[Tensor, int, float]]
"""Object, voxels of the support and seconds of each problem."""


def _per_second(count: int, repeats: int, call: Callable[[], object]) -> float:
    """How many of the ``count`` things that ``call`` does are done in a second, best of ``repeats``."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return count / min(times)


def rates(config: PhasingBenchConfig, side: int) -> list[dict[str, Any]]:
    """Pairs of bare transforms and iterations, without shrink-wrap, of one start."""
    counts = torch.poisson(torch.rand(side, side, side, generator=torch.Generator().manual_seed(config.seed)) * 100)
    problem = Problem.of(counts, free_share=0)
    n, steps = config.iterations, {name: f"{config.iterations}{name}" for name in ("ER", "HIO")}
    objects, supports = first_guess(problem, IterateConfig(), config.seed)
    calls: dict[str, Callable[[], object]] = {
        "bare transforms": lambda: [torch.fft.ifftn(torch.fft.fftn(objects, dim=_AXES), dim=_AXES) for _ in range(n)]
    }
    plain = IterateConfig(shrink_every=0, average_last=0)
    for name, recipe in steps.items():
        calls[name] = lambda r=recipe: run_steps(objects.clone(), supports, problem.modulus(), parse_recipe(r), plain)
    rows = [
        {"side": side, "what": name, "shotsort_per_s": _per_second(n, config.repeats, call)}
        for name, call in calls.items()
    ]
    if config.cohere_python:
        amplitude = torch.fft.fftshift(problem.amplitude).numpy()
        jobs = [cohere.Transforms(side, n)]
        jobs += [cohere.Job(amplitude, {"algorithm_sequence": f"{n}*{name}"}) for name in steps]
        found = [cohere.run(config.cohere_python, jobs) for _ in range(config.repeats)]
        for i, row in enumerate(rows):
            row["cohere_per_s"] = n / min(answers[i].seconds for answers in found)
    return rows


def crystals(config: PhasingBenchConfig) -> list[dict[str, Any]]:
    """Errors of each way against the truth, medians over the crystals; one start each, no pixels kept out."""
    made = [Unseen.drawn(CrystalData(), config.seed, i, config.photons) for i in range(config.crystals)]
    problems = [Problem.of(unseen.counts, free_share=0) for unseen in made]
    rows = []
    for name, answers in _all_ways(config, problems).items():
        errors = [object_errors(obj, unseen.truth) for (obj, *_), unseen in zip(answers, made, strict=True)]
        rows.append({
            "method": name,
            "phase_error_rad": float(np.median([e.phase_error_rad for e in errors])),
            "shape_error": float(np.median([e.shape_error for e in errors])),
            **_fit(problems, answers),
        })  # fmt: skip
    return rows


def scan(config: PhasingBenchConfig, path: str) -> list[dict[str, Any]]:
    """The measured scan: fit of each way, and how far it is from the first one."""
    pattern = prepare(read_scan(path), PrepareConfig(config.scan_side, threshold=config.scan_threshold))
    problems = [Problem.of(pattern.counts, pattern.bad_pixels, free_share=0)]
    rows, first = [], None
    for name, answers in _all_ways(config, problems).items():
        obj = answers[0][0]
        first = obj if first is None else first
        errors = object_errors(obj, first)
        apart = {"phase_apart_rad": errors.phase_error_rad, "shape_apart": errors.shape_error}
        rows.append({"method": name, **_fit(problems, answers), **apart})
    return rows


def _all_ways(config: PhasingBenchConfig, problems: list[Problem]) -> dict[str, Answers]:
    """Object, voxels of the support and seconds of each problem, by 620 iterations of each program."""
    answers: dict[str, Answers] = {"shotsort": []}
    for number, problem in enumerate(problems):
        found = iterate(problem, IterateConfig(CLASSICAL), config.seed + number)
        answers["shotsort"].append((found.objects[0], int(found.supports[0].sum()), found.seconds))
    if config.cohere_python:
        for name, settings in _COHERE.items():
            parameters = {"algorithm_sequence": CLASSICAL.replace("ER", "*ER").replace("HIO", "*HIO"), **settings}
            jobs = [
                cohere.Job(torch.fft.fftshift(p.amplitude).numpy(), parameters, config.seed + i, keep=True)
                for i, p in enumerate(problems)
            ]
            answers[name] = [
                _judged(p, a) for p, a in zip(problems, cohere.run(config.cohere_python, jobs), strict=True)
            ]
    return answers


def _judged(problem: Problem, answer: cohere.Answer) -> tuple[Tensor, int, float]:
    """cohere's answer, scaled to the counts; its transforms have the other sign, which is no matter after twins are taken off."""
    assert answer.image is not None and answer.support is not None
    image = torch.from_numpy(answer.image.conj().astype(np.complex64))
    return scaled(problem, image[None])[0], int(answer.support.sum()), answer.seconds


def _fit(problems: list[Problem], answers: Answers) -> dict[str, float]:
    chi2 = [float(p.modulus().chi2(obj[None])[0]) for p, (obj, *_) in zip(problems, answers, strict=True)]
    return {
        "chi2": float(np.median(chi2)),
        "support_voxels": float(np.median([voxels for _, voxels, _ in answers])),
        "seconds": float(np.median([seconds for *_, seconds in answers])),
    }
