"""Iterative phasing: ER, HIO and RAAR with shrink-wrap, several starts at once, the best ones guiding the others."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from recon.phase.alignment import align
from recon.phase.coherence import GaussianCoherence
from recon.phase.constraints import STEPS, Modulus
from recon.phase.problem import Problem
from recon.phase.recipe import CLASSICAL, Step, n_iterations, parse_recipe
from recon.phase.support import GaussianBlur, autocorrelation_support, box_support, limit_volume, shrink_wrap
from sorter.core.config import require
from sorter.core.seeds import child_seed

_AXES = (-3, -2, -1)
LARGEST_SUPPORT = 1 / 8


@dataclass(frozen=True)
class IterateConfig:
    """recipe: see `recon.phase.recipe`; beta of HIO and RAAR. starts: random ones, side by side. support: first one, "box"
    (half of each axis) or "autocorrelation". shrink_every iterations (0: never) the support becomes what exceeds
    shrink_threshold of the largest modulus blurred by shrink_sigma_voxels, at most an eighth of the volume. average_last
    iterations are averaged. generations: guided ones (Chen et al. 2007): after each, every start is the geometric mean of
    itself and the best. coherence: fit a coherence function as well."""

    recipe: str = CLASSICAL
    beta: float = 0.9
    starts: int = 1
    support: str = "box"
    shrink_every: int = 20
    shrink_threshold: float = 0.2
    shrink_sigma_voxels: float = 1.0
    average_last: int = 20
    generations: int = 1
    coherence: bool = False

    def __post_init__(self) -> None:
        parse_recipe(self.recipe)
        require(0 < self.beta <= 1, f"beta = {self.beta}: must lie in 0..1")
        require(self.starts >= 1 and self.generations >= 1, "starts and generations must be at least 1")
        require(self.support in ("box", "autocorrelation"), f"support = {self.support}: box or autocorrelation")
        require(self.shrink_every >= 0 and self.average_last >= 0, "shrink_every and average_last must be 0 or more")
        require(0 < self.shrink_threshold < 1, f"shrink_threshold = {self.shrink_threshold}: must lie in 0..1")
        require(self.shrink_sigma_voxels > 0, f"shrink_sigma_voxels = {self.shrink_sigma_voxels}: must be positive")


@dataclass(frozen=True)
class Solutions:
    """objects (B, nz, ny, nx) complex64 and supports (B, nz, ny, nx) bool, best first; chi2 and free_llk (B,); seconds in all;
    iterations of each start; coherence_voxels: lengths, where they were fitted."""

    objects: Tensor
    supports: Tensor
    chi2: Tensor
    free_llk: Tensor
    seconds: float
    iterations: int
    coherence_voxels: tuple[float, ...] | None = None


def iterate(problem: Problem, config: IterateConfig, seed: int = 0) -> Solutions:
    """Phase ``problem`` from random starts; sorted by free log-likelihood (chi^2 where no pixels are kept out)."""
    begin = time.perf_counter()
    coherence = GaussianCoherence(problem.shape, problem.amplitude.device) if config.coherence else None
    modulus = problem.modulus(coherence)
    objects, supports = first_guess(problem, config, seed)
    first = supports.clone()
    steps = parse_recipe(config.recipe)
    total = config.generations * n_iterations(steps)
    with tqdm(total=total, unit="iteration", disable=not sys.stderr.isatty(), leave=False) as bar:
        for generation in range(config.generations):
            if generation:
                objects, supports = _guided(objects, modulus), first.clone()
            objects, supports = run_steps(objects, supports, modulus, steps, config, bar)
    return solutions(problem, objects, supports, time.perf_counter() - begin, total, coherence)


def first_guess(problem: Problem, config: IterateConfig, seed: int) -> tuple[Tensor, Tensor]:
    """Objects of random Fourier phases inside the first support, and that support, for each start."""
    shape, device = problem.shape, problem.amplitude.device
    if config.support == "autocorrelation":
        support = autocorrelation_support(problem.amplitude.square())
    else:
        support = box_support(shape, 0.5, device)
    generator = torch.Generator().manual_seed(child_seed(seed, "phase", "starts"))
    angle = 2 * torch.pi * torch.rand((config.starts, *shape), generator=generator).to(device)
    objects = torch.fft.ifftn(torch.polar(problem.amplitude.expand_as(angle), angle), dim=_AXES) * support
    return objects, support.expand(config.starts, *shape).clone()


def run_steps(
    objects: Tensor,
    supports: Tensor,
    modulus: Modulus,
    steps: tuple[Step, ...],
    config: IterateConfig,
    bar: tqdm | None = None,
) -> tuple[Tensor, Tensor]:
    """Go through ``steps``; returns objects (averaged over the last iterations) inside supports, and supports."""
    blur = GaussianBlur(tuple(objects.shape), config.shrink_sigma_voxels, objects.device)
    last = min(config.average_last, steps[-1].count)
    done, end = 0, n_iterations(steps)
    mean = torch.zeros_like(objects)
    for step in steps:
        algorithm = STEPS[step.algorithm]
        for _ in range(step.count):
            objects = algorithm(objects, modulus(objects), supports, config.beta)
            done += 1
            if config.shrink_every and done % config.shrink_every == 0 and done <= end - last:
                supports = _shrunk(objects, blur, config)
                if modulus.coherence is not None:
                    _update_coherence(modulus, objects, supports)
            if done > end - last:
                mean += objects
            if bar is not None:
                bar.update()
    return (mean / last if last else objects) * supports, supports


def _shrunk(objects: Tensor, blur: GaussianBlur, config: IterateConfig) -> Tensor:
    amplitude = objects.abs()
    return limit_volume(shrink_wrap(amplitude, blur, config.shrink_threshold), amplitude, LARGEST_SUPPORT)


def _update_coherence(modulus: Modulus, objects: Tensor, supports: Tensor) -> None:
    """Refit the coherence function to the start that agrees best."""
    inside = objects * supports
    best = inside[int(modulus.chi2(inside).argmin())]
    intensity = torch.view_as_real(torch.fft.fftn(best, dim=_AXES)).square().sum(-1)
    known = None if modulus.unknown is None else ~modulus.unknown
    modulus.coherence.update(intensity, modulus.amplitude, known)


def _guided(objects: Tensor, modulus: Modulus) -> Tensor:
    """Each start as the geometric mean of itself and the best, aligned to it."""
    best = objects[int(modulus.chi2(objects).argmin())]
    near = torch.stack([align(obj, best) for obj in objects])
    return _same_side(torch.sgn(near * best).sqrt() * (near.abs() * best.abs()).sqrt(), best)


def _same_side(root: Tensor, best: Tensor) -> Tensor:
    """Of the two square roots of a complex number, the one nearer to ``best``."""
    return torch.where((root * best.conj()).real < 0, -root, root)


def solutions(
    problem: Problem, objects: Tensor, supports: Tensor, seconds: float, iterations: int, coherence=None
) -> Solutions:
    """`Solutions` of these objects, judged and sorted."""
    chi2 = problem.modulus(coherence).chi2(objects)
    free = problem.free_llk(objects, coherence) if bool(problem.free.any()) else torch.full_like(chi2, torch.nan)
    order = (free if bool(torch.isfinite(free).all()) else chi2).argsort()
    lengths = coherence.lengths_voxels if coherence is not None else None
    return Solutions(objects[order], supports[order], chi2[order], free[order], seconds, iterations, lengths)
