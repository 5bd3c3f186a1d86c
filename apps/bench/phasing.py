"""Iterative phasing beside bare Fourier transforms and cohere-core: iterations a second, and errors on the same patterns."""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from apps.bench import cohere
from recon.phase.data import CrystalData
from recon.phase.evaluate import unseen_pattern
from recon.phase.iterate import IterateConfig, first_guess, iterate, run_steps
from recon.phase.problem import Problem
from recon.phase.quality import object_errors
from recon.phase.recipe import CLASSICAL, parse_recipe
from recon.phase.refine import scaled
from sorter.core.config import require

log = logging.getLogger(__name__)

HELP = "Iterative phasing: iterations a second and errors, beside bare Fourier transforms and (if given) cohere-core."
EXAMPLE = """  shotsort bench phasing
  shotsort bench phasing --cohere-python ~/cohere/bin/python --json
  shotsort bench phasing --cohere-python ~/cohere/bin/python --sides --crystals 0 --scan scan54/ --scan-threshold 2
"""
_AXES = (-3, -2, -1)
_COHERE = {"cohere-core, our shrink-wrap": cohere.ALIKE, "cohere-core, the beamline's settings": cohere.BEAMLINE}


@dataclass(frozen=True)
class PhasingBenchConfig:
    """sides: of the cubes that rates are measured on, best of ``repeats`` runs of ``iterations``; crystals: unseen ones of 64^3
    voxels and ``photons`` that all phase with 620 iterations; scan: a measured one, cut to scan_side, smaller counts than
    scan_threshold being background; threads of torch; cohere_python: interpreter with cohere-core (None: left out)."""

    sides: tuple[int, ...] = (64, 128)
    iterations: int = 20
    repeats: int = 3
    crystals: int = 4
    photons: float = 1e6
    scan: str | None = None
    scan_side: int = 128
    scan_threshold: float = 0.0
    threads: int = 1
    cohere_python: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        require(all(side >= 32 and side % 2 == 0 for side in self.sides), f"sides {self.sides}: even, at least 32")
        require(self.iterations >= 1 and self.repeats >= 1, "iterations and repeats must be at least 1")
        require(self.crystals >= 0, f"crystals = {self.crystals}: must be 0 or more")
        require(self.threads >= 1, f"threads = {self.threads}: need at least 1")


def bench_phasing(config: PhasingBenchConfig) -> dict[str, Any]:
    """All tables, as JSON-ready values."""
    before = torch.get_num_threads()
    torch.set_num_threads(config.threads)
    try:
        result: dict[str, Any] = {"threads": config.threads, "torch": torch.__version__, "seed": config.seed}
        result["rates"] = [row for side in config.sides for row in _rates(config, side)]
        if config.crystals:
            result["crystals"] = _crystals(config)
        if config.scan:
            result["scan"] = _scan(config)
        return result
    finally:
        torch.set_num_threads(before)


def _per_second(count: int, repeats: int, call: Callable[[], object]) -> float:
    """How many of the ``count`` things that ``call`` does are done in a second, best of ``repeats``."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return count / min(times)


def _rates(config: PhasingBenchConfig, side: int) -> list[dict[str, Any]]:
    """Pairs of bare transforms and iterations, without shrink-wrap, of one start."""
    log.info("rates at %d^3", side)
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


def _crystals(config: PhasingBenchConfig) -> list[dict[str, Any]]:
    """Errors of each way against the truth, medians over the crystals; one start each, no pixels kept out."""
    log.info("%d crystals", config.crystals)
    made = [unseen_pattern(CrystalData(), config.seed, i, config.photons) for i in range(config.crystals)]
    problems = [Problem.of(counts, free_share=0) for counts, _ in made]
    rows = []
    for name, answers in _all_ways(config, problems).items():
        errors = [object_errors(obj, truth) for (obj, *_), (_, truth) in zip(answers, made, strict=True)]
        rows.append({
            "method": name,
            "phase_error_rad": float(np.median([e.phase_error_rad for e in errors])),
            "shape_error": float(np.median([e.shape_error for e in errors])),
            **_fit(problems, answers),
        })  # fmt: skip
    return rows


def _scan(config: PhasingBenchConfig) -> list[dict[str, Any]]:
    """The measured scan: fit of each way, and how far it is from the first one."""
    from recon.phase.prepare import PrepareConfig, prepare
    from recon.phase.scan import read_scan

    log.info("%s", config.scan)
    pattern = prepare(read_scan(config.scan), PrepareConfig(config.scan_side, threshold=config.scan_threshold))
    problems = [Problem.of(pattern.counts, pattern.bad_pixels, free_share=0)]
    rows, first = [], None
    for name, answers in _all_ways(config, problems).items():
        obj = answers[0][0]
        first = obj if first is None else first
        errors = object_errors(obj, first)
        apart = {"phase_apart_rad": errors.phase_error_rad, "shape_apart": errors.shape_error}
        rows.append({"method": name, **_fit(problems, answers), **apart})
    return rows


Answers = list[tuple[Tensor, int, float]]


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


def table_text(result: dict[str, Any]) -> str:
    """The tables for a person."""
    titles = {
        "rates": "Iterations (pairs of transforms) a second",
        "crystals": "620 iterations of ER/HIO on unseen crystals, medians",
        "scan": "620 iterations on the measured scan",
    }
    parts = []
    for key, title in titles.items():
        if rows := result.get(key):
            lines = [" | ".join(rows[0])]
            lines += [" | ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values()) for row in rows]
            parts.append("\n".join([title, *(f"| {line} |" for line in lines)]))
    return "\n\n".join(parts)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    from apps.cli.output import add_json

    default = PhasingBenchConfig()
    parser.add_argument("--sides", type=int, nargs="*", default=default.sides, help="of the cubes (default: 64 128)")
    for name, meaning in (
        ("iterations", "in a timing"), ("repeats", "best of so many timings"), ("crystals", "unseen, all ways; 0: none"),
        ("threads", "of torch"), ("scan-side", "cube about the peak of the scan"), ("seed", "root of all random numbers"),
    ):  # fmt: skip
        value = getattr(default, name.replace("-", "_"))
        parser.add_argument(f"--{name}", type=int, default=value, help=f"{meaning} (default: {value})")
    parser.add_argument("--photons", type=float, default=default.photons, help="in a pattern (default: 1e6)")
    parser.add_argument("--scan", metavar="SCAN", help="a measured scan as well")
    parser.add_argument("--scan-threshold", type=float, default=0.0, help="smaller counts are background (default: 0)")
    parser.add_argument("--cohere-python", metavar="PATH", help="python of an environment with cohere-core")
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    from apps.cli.output import print_json, print_text

    values = {name: getattr(args, name) for name in PhasingBenchConfig.__dataclass_fields__}
    result = bench_phasing(PhasingBenchConfig(**values | {"sides": tuple(args.sides)}))
    if args.json:
        print_json(result)
    else:
        print_text(table_text(result))
    return 0
