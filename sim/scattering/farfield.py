"""Far fields of bodies on a detector: choose the rung and the grid of each particle, sum the particles of a frame.

The rungs, from the most to the least exact; what each is worth is measured by ``shotsort bench farfield``:

- "multislice": the wave is carried through the body (`sim.scattering.multislice`);
- "sliced": each slice is lit along straight paths, dimmed and retarded on the way in;
- "absorption": the same with the loss alone, the multislice Fourier transform of Barke 2015 and Stielow 2020;
- "born": no change on the way;
- "projection": small angles, one exit wave;
- "auto": projection where the depth of the particle does not matter, multislice up to `MULTISLICE_WAVELENGTHS`, else sliced.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from sim.particles.bodies import Bodies
from sim.scattering.filling import exit_wave, fill
from sim.scattering.grids import CUT_OFF, Box
from sim.scattering.multislice import Propagation, curvature, exit_spectrum, propagation, slice_response
from sim.scattering.pixels import pixel_q_inv_m, wavenumber_inv_m
from sim.scattering.sampling import sampler
from sim.scattering.straight import projected_spectrum, straight_spectrum
from sorter.core.errors import InputError
from sorter.core.geometry import Geometry

RUNGS = ("multislice", "sliced", "absorption", "born", "projection")
MULTISLICE_WAVELENGTHS = 40.0
"""Largest radius, in wavelengths, for which "auto" takes the multislice."""
LARGEST_HALF = 400
"""Most pixels from the middle of a body to its edge."""
WAVELENGTH = 2 * math.pi


@dataclass(frozen=True)
class FarFieldSettings:
    """Sampling. width_radii: side of the box in particle radii; pixel_wavelengths: pixel; slice_wavelengths: distance of the
    slices, less for refractive indices beyond ``contrast`` from 1; columns: sub-columns per pixel and axis;
    buckets_per_octave: grids per factor 2 of the particles' size; chunk: particles computed at once."""

    width_radii: float = 3.6
    pixel_wavelengths: float = 1 / 4
    slice_wavelengths: float = 0.5
    contrast: float = 0.15
    columns: int = 2
    buckets_per_octave: int = 5
    chunk: int = 32

    def __post_init__(self) -> None:
        if not 0 < self.slice_wavelengths <= 1:
            raise InputError(
                f"slice distance {self.slice_wavelengths} wavelengths: must be within (0, 1], beyond it diverges"
            )
        if not 0 < self.pixel_wavelengths <= 0.5:
            raise InputError(f"pixel {self.pixel_wavelengths} wavelengths: must be within (0, 0.5] or waves alias")
        if self.width_radii < 2.2 or min(self.columns, self.chunk, self.buckets_per_octave) < 1 or self.contrast <= 0:
            raise InputError("far field: width_radii >= 2.2, contrast > 0, columns, buckets and chunk >= 1 are needed")


def far_field(
    bodies: Bodies,
    geometry: Geometry,
    rung: str = "auto",
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.complex64,
    settings: FarFieldSettings | None = None,
) -> Tensor:
    """Far field F (B, ny, nx) complex, m^2, of the particles of each of B frames on the pixels of ``geometry``.

    F(q) = integral of (exit wave - plane wave) exp(-i q . x) over the plane z = 0, so that `intensity` is |F|^2 times
    (k cos(two_theta) / 2 pi)^2. Particles of one frame are summed coherently with the phase exp(-i q . position); a wave
    scattered by one particle does not meet another. Particles of like size are computed together, on a grid that depends on
    the particle alone. Frames without particles are 0. Differentiable with respect to everything continuous in ``bodies``.

    Raises InputError for an unknown rung, a geometry without q, and particles that the detector cannot resolve.
    """
    if rung not in ("auto", *RUNGS):
        raise InputError(f"far field: rung {rung!r} is not known; there are: auto, {', '.join(RUNGS)}")
    settings = settings or FarFieldSettings()
    device = torch.device(device)
    bodies = bodies.to(device)
    k = wavenumber_inv_m(geometry)
    view = _view(geometry)
    _check_sizes(bodies.radius_m, geometry)
    field = torch.zeros(bodies.n_frames, *geometry.shape_px, dtype=dtype, device=device)
    for plan, members in _buckets(bodies, k, view, rung, settings):
        for chosen in members.split(settings.chunk):
            part = bodies.select(chosen)
            values = _field(part, plan, geometry, k, dtype) / k**2
            field = _add(field, part.frame, _shifted(values, part.position_m, geometry))
    return field


@dataclass(frozen=True)
class View:
    """outer: largest transverse wave number that the detector sees; deepest: largest -qz; both in units of k."""

    outer: float
    deepest: float


@lru_cache(maxsize=16)
def _view(geometry: Geometry) -> View:
    k = wavenumber_inv_m(geometry)
    qx, qy, qz = pixel_q_inv_m(geometry)
    return View(float(torch.hypot(qx, qy).max()) / k, float(-qz.min()) / k)


@dataclass(frozen=True)
class Plan:
    """How a particle is computed: the rung and its grid; outer: see `View`."""

    rung: str
    box: Box
    outer: float


def _check_sizes(radius_m: Tensor, geometry: Geometry) -> None:
    window = geometry.wavelength_m * geometry.distance_m / geometry.pixel_size_m
    if len(radius_m) and 2 * float(radius_m.max()) > window:
        raise InputError(
            f"a particle of {2e9 * float(radius_m.max()):.4g} nm is larger than {1e9 * window:.4g} nm, the window that pixels of "
            "this size resolve; make it smaller, or the pixels, or the distance larger"
        )


def _buckets(bodies: Bodies, k: float, view: View, rung: str, settings: FarFieldSettings) -> list[tuple[Plan, Tensor]]:
    """Particles by grid: (plan, indices of particles).

    Radius and contrast of a grid are rounded up to steps, so that a particle's grid does not depend on its company.
    """
    if not len(bodies):
        return []
    sizes = torch.ceil(settings.buckets_per_octave * torch.log2(bodies.radius_m * k) - 1e-9)
    contrast = (bodies.index.detach() - 1).abs().amax(1)
    finer = torch.ceil(2 * torch.log2(contrast / settings.contrast).clamp_min(0) - 1e-9)
    keys, which = torch.unique(torch.stack([sizes, finer], 1), dim=0, return_inverse=True)
    found = []
    for i, (size, fine) in enumerate(keys.tolist()):
        plan = _plan(2 ** (size / settings.buckets_per_octave), 2 ** (-fine / 2), view, rung, settings)
        found.append((plan, torch.nonzero(which == i)[:, 0]))
    return found


@lru_cache(maxsize=128)
def _plan(radius: float, thinner: float, view: View, rung: str, settings: FarFieldSettings) -> Plan:
    """Rung and box for bodies up to ``radius`` (1/k), the slices ``thinner`` times as thick as usual."""
    if rung == "auto":
        flat = view.deepest * 2 * radius < 0.2
        near = radius <= MULTISLICE_WAVELENGTHS * WAVELENGTH
        rung = "projection" if flat else "multislice" if near else "sliced"
    if rung == "multislice":
        distance, cut_off = settings.slice_wavelengths * WAVELENGTH * thinner, CUT_OFF
        pixel = WAVELENGTH * settings.pixel_wavelengths
    else:
        cut_off = min(view.outer + GUARD_MODES * WAVELENGTH / (settings.width_radii * radius), 1.0)
        pixel = min(WAVELENGTH * settings.pixel_wavelengths * CUT_OFF / cut_off, radius / 12)
        distance = radius / 8 if rung == "projection" else min(1 / view.deepest, radius / 4)
    width = settings.width_radii * radius
    planes = math.ceil(2 * radius / distance) + 1
    half, band = math.ceil(radius / pixel), math.ceil(cut_off * width / WAVELENGTH)
    if half > LARGEST_HALF:
        raise InputError(
            f"far field: a particle of radius {radius / WAVELENGTH:.4g} wavelengths needs {2 * half} pixels across, the limit "
            f"is {2 * LARGEST_HALF}; make it smaller, or the detector's angle, or take a rung with straight paths"
        )
    box = Box(width, pixel, half, band, planes, -radius, 2 * radius / (planes - 1), settings.columns)
    return Plan(rung, box, min(view.outer, CUT_OFF) if rung == "multislice" else view.outer)


GUARD_MODES = 8
"""Wave numbers kept beyond the detector's, where the spectrum is faded out."""


@lru_cache(maxsize=64)
def _tables(plan: Plan, dtype: torch.dtype, device: torch.device) -> Propagation:
    fade = 0.12 if plan.rung == "multislice" else GUARD_MODES * WAVELENGTH / plan.box.width
    return propagation(plan.box, plan.outer, fade, dtype, device)


def _field(bodies: Bodies, plan: Plan, geometry: Geometry, k: float, dtype: torch.dtype) -> Tensor:
    """Far fields (M, ny, nx) in units of 1/k^2 of M bodies at the origin."""
    box, device = plan.box, bodies.frame.device
    tables = _tables(plan, dtype, device)
    if plan.rung == "projection":
        return _to_pixels(
            projected_spectrum(exit_wave(bodies, box, k, dtype.to_real()).to(dtype), tables), box, geometry
        )
    index = bodies.index
    if not index.requires_grad and bool((index == index[:1]).all()):
        index = index[:1]  # particles of one material share its response
    index = index.T
    steps = fill(bodies, box, k, dtype.to_real(), apart=plan.rung in ("sliced", "absorption"))
    if plan.rung == "multislice":
        response = slice_response(index.reshape(-1), box, tables).unflatten(0, index.shape).movedim(1, -1).to(dtype)
        spectrum = exit_spectrum(steps, response, curvature(index, box).to(dtype), box, tables)
    else:
        spectrum = straight_spectrum(steps.unflatten(-1, (len(bodies), -1)), index, plan.rung, box, tables)
    return _to_pixels(spectrum, box, geometry)


def _to_pixels(spectrum: Tensor, box: Box, geometry: Geometry) -> Tensor:
    return sampler(box, geometry, spectrum.dtype.to_real(), spectrum.device)(spectrum)


def _shifted(values: Tensor, position_m: Tensor, geometry: Geometry) -> Tensor:
    """Far fields (M, ny, nx) of particles moved from the origin to ``position_m`` (M, 3)."""
    if not position_m.requires_grad and not bool((position_m != 0).any()):
        return values
    phase = sum(p[:, None, None] * q.to(p) for p, q in zip(position_m.T, pixel_q_inv_m(geometry), strict=True))
    return values * torch.exp(-1j * phase).to(values)


def _add(field: Tensor, frame: Tensor, values: Tensor) -> Tensor:
    """``field`` with ``values`` added at ``frame``; one frame at a time gets one particle, so that the order is fixed."""
    if len(torch.unique(frame)) == len(frame):
        return field.index_add(0, frame, values)
    for i in range(len(frame)):
        field = field.index_add(0, frame[i : i + 1], values[i : i + 1])
    return field
