"""Refinement on the full-size pattern, from a network's answer (or any other): a few iterations at half resolution, then
gradients.

The gradients are those of automatic differentiation through the Fourier transform (Chan et al. 2020): Adam, then L-BFGS.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from recon.phase.iterate import LARGEST_SUPPORT, IterateConfig, Solutions, run_steps, solutions
from recon.phase.problem import Problem, resized
from recon.phase.recipe import parse_recipe
from recon.phase.support import GaussianBlur, limit_volume, shrink_wrap
from sorter.core.config import require

_AXES = (-3, -2, -1)
_TINY = 1e-12


@dataclass(frozen=True)
class RefineConfig:
    """coarse: recipe at half resolution, where an iteration costs an eighth ("": none). loss: "amplitude" or "poisson".
    parameters: "complex" (the object itself) or "polar" (modulus and phase). rounds of shrink-wrap and gradients: adam_steps at
    adam_rate (of the largest modulus), then lbfgs_steps. penalty: weight of what lies outside the support in the loss (None:
    nothing may)."""

    coarse: str = "50RAAR 20ER"
    loss: str = "amplitude"
    parameters: str = "complex"
    rounds: int = 2
    adam_steps: int = 0
    adam_rate: float = 0.02
    lbfgs_steps: int = 8
    penalty: float | None = None
    beta: float = 0.9
    shrink_threshold: float = 0.15
    shrink_sigma_voxels: float = 1.0

    def __post_init__(self) -> None:
        if self.coarse:
            parse_recipe(self.coarse)
        require(self.loss in LOSSES, f"loss = {self.loss}: must be one of {', '.join(LOSSES)}")
        require(self.parameters in ("complex", "polar"), f"parameters = {self.parameters}: complex or polar")
        require(min(self.rounds, self.adam_steps, self.lbfgs_steps) >= 0, "rounds and steps must be 0 or more")
        require(self.penalty is None or self.penalty > 0, f"penalty = {self.penalty}: must be positive, or none")
        require(0 < self.shrink_threshold < 1, f"shrink_threshold = {self.shrink_threshold}: must lie in 0..1")


def refine(problem: Problem, start: Tensor, config: RefineConfig | None = None) -> Solutions:
    """Refine objects ``start`` (B, n, n, n) complex on ``problem``; sorted as by `recon.phase.iterate.iterate`."""
    config = config or RefineConfig()
    begin = time.perf_counter()
    objects = scaled(problem, start)
    iterations = 0
    if config.coarse:
        objects, iterations = _coarse(problem, objects, config)
    blur = GaussianBlur(problem.shape, config.shrink_sigma_voxels, start.device)
    supports = _support(objects, blur, config)
    for _ in range(config.rounds):
        objects = descend(problem, objects, supports, config)
        supports = _support(objects, blur, config)
        iterations += config.adam_steps + config.lbfgs_steps
    return solutions(problem, objects * supports, supports, time.perf_counter() - begin, iterations)


def scaled(problem: Problem, objects: Tensor) -> Tensor:
    """``objects`` times what makes their moduli fit the measured ones best."""
    modulus = torch.fft.fftn(objects, dim=_AXES).abs() * problem.known
    factor = (modulus * problem.amplitude).sum(_AXES) / modulus.square().sum(_AXES).clamp(min=1e-30)
    return objects * factor[:, None, None, None]


def _coarse(problem: Problem, objects: Tensor, config: RefineConfig) -> tuple[Tensor, int]:
    """Iterations of ``config.coarse`` on the inner half of the pattern; the answer at full resolution."""
    side = problem.shape[0] // 2
    steps = parse_recipe(config.coarse)
    settings = IterateConfig(
        config.coarse, config.beta, shrink_every=10, shrink_threshold=config.shrink_threshold,
        shrink_sigma_voxels=config.shrink_sigma_voxels, average_last=10,
    )  # fmt: skip
    start = resized(objects, side)
    blur = GaussianBlur((side,) * 3, config.shrink_sigma_voxels, objects.device)
    supports = _support(start, blur, config)
    found, _ = run_steps(start, supports, problem.cropped(side).modulus(), steps, settings)
    return resized(found, problem.shape[0]), sum(step.count for step in steps)


def _support(objects: Tensor, blur: GaussianBlur, config: RefineConfig) -> Tensor:
    amplitude = objects.abs()
    return limit_volume(shrink_wrap(amplitude, blur, config.shrink_threshold), amplitude, LARGEST_SUPPORT)


def descend(problem: Problem, objects: Tensor, supports: Tensor, config: RefineConfig) -> Tensor:
    """Adam, then L-BFGS, on the loss of all ``objects`` together; nothing, or little (penalty), outside ``supports``.

    Without a penalty only the box about the supports is transformed: where an object lies does not change its moduli.
    """
    scale = float(objects.abs().amax().clamp(min=1e-30))
    box = _box(supports) if config.penalty is None else tuple(slice(0, n) for n in problem.shape)
    inside = supports[:, *box].float()
    start = objects[:, *box] / scale * (inside if config.penalty is None else 1)
    values, build = _parametrised(start, config.parameters)
    amplitude, known = problem.amplitude / scale, problem.known.float()
    power = float((amplitude.square() * known).sum())

    def closure() -> Tensor:
        optimiser.zero_grad()
        obj = build(values)
        field = _padded_fft(obj * inside if config.penalty is None else obj, problem.shape)
        value = LOSSES[config.loss](field, amplitude, known, scale) / power
        if config.penalty is not None:
            outside = (obj * (1 - inside)).abs().square().sum()
            value = value + config.penalty * outside * (field[0].numel() / power)
        value.backward()
        return value

    if config.adam_steps:
        optimiser = torch.optim.Adam([values], config.adam_rate)
        for _ in range(config.adam_steps):
            optimiser.step(closure)
    if config.lbfgs_steps:
        optimiser = torch.optim.LBFGS(
            [values], max_iter=config.lbfgs_steps, history_size=8, line_search_fn="strong_wolfe", tolerance_change=0.0
        )
        optimiser.step(closure)
    found = torch.zeros_like(objects)
    with torch.no_grad():
        found[:, *box] = build(values) * scale
    return found


def _box(supports: Tensor) -> tuple[slice, ...]:
    """The smallest box that holds all supports."""
    any_ = supports.any(0)
    edges = [torch.nonzero(any_.any(a).any(b)) for a, b in ((1, 1), (0, 1), (0, 0))]
    return tuple(slice(int(e[0]), int(e[-1]) + 1) if len(e) else slice(0, 1) for e in edges)


def _padded_fft(obj: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """FFT of ``obj`` with zeros after it, axis by axis: lines of zeros are not transformed."""
    for axis, n in zip(_AXES, shape, strict=True):
        obj = torch.fft.fft(obj, n, dim=axis)
    return obj


def _parametrised(objects: Tensor, parameters: str) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Values to optimise, (..., 2) real, and what makes objects of them."""
    if parameters == "complex":
        return torch.view_as_real(objects).clone().requires_grad_(True), torch.view_as_complex
    values = torch.stack([objects.abs(), objects.angle()], -1)
    return values.requires_grad_(True), lambda v: torch.polar(v[..., 0].abs(), v[..., 1])


class _AmplitudeMisfit(torch.autograd.Function):
    """sum (|F| - sqrt I)^2 over known pixels; its gradient, 2 (1 - sqrt I / |F|) F, in closed form, to keep less in memory."""

    @staticmethod
    def forward(ctx, field: Tensor, amplitude: Tensor, known: Tensor) -> Tensor:
        parts = torch.view_as_real(field)
        modulus = parts.square().sum(-1).add_(_TINY).sqrt_()
        difference = (modulus - amplitude).mul_(known)
        ctx.save_for_backward(parts, difference, modulus)
        return difference.square().sum()

    @staticmethod
    def backward(ctx, gradient: Tensor):
        parts, difference, modulus = ctx.saved_tensors
        return torch.view_as_complex(parts * (difference / modulus).mul_(2 * gradient)[..., None]), None, None


def _amplitude_loss(field: Tensor, amplitude: Tensor, known: Tensor, scale: float) -> Tensor:
    return _AmplitudeMisfit.apply(field, amplitude, known)


def _poisson_loss(field: Tensor, amplitude: Tensor, known: Tensor, scale: float) -> Tensor:
    """sum Ic - Io ln Ic over known pixels, a hundredth of a count as background."""
    computed = torch.view_as_real(field).square().sum(-1) + 0.01 / scale**2
    return ((computed - amplitude.square() * computed.log()) * known).sum()


LOSSES = {"amplitude": _amplitude_loss, "poisson": _poisson_loss}
