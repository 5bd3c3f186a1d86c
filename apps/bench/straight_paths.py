"""Straight paths side by side: the rungs of `sim.scattering.straight` and padded Fourier transforms, against the exact sum.

The padded transforms are the usual way to the absorption-only multislice Fourier transform of Barke et al., Nat. Commun. 6, 6187
(2015) and Stielow et al. 2020: voxels, one padded FFT for each slice, each turned to its depth and summed.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from apps.bench import farfield_tables as tables
from apps.bench import mie
from apps.bench.farfield_config import SILVER, FarFieldBenchConfig
from sim.particles import Bodies, library, place
from sim.scattering import columns, far_field, pixel_q_inv_m
from sim.scattering.pixels import cos_two_theta, wavenumber_inv_m
from sorter.core.geometry import Geometry

SLICES = 192
PADDED = 512
VOXELS = 128
"""Voxels across the body."""
EVERY = 6
"""The exact sum is taken at every so many pixels of each axis."""
WEAK = 1 - 1e-6
_BODY = "icosahedron"


def rows(config: FarFieldBenchConfig) -> list[dict[str, Any]]:
    """Errors by radial third and time per frame of the padded transforms and of the rungs, icosahedra in two orientations.

    "closed form": without absorption, against the polyhedron's closed form. "exact": in silver, against `exact_field` of the
    same model, and for the multislice against its fine grid.
    """
    geometry, radius_m = tables.detector(config, 30), config.radius_nm * 1e-9
    q = tables.orientations(config, 2)
    silver = place(library.make(_BODY), radius_m, SILVER, q)
    weak = place(library.make(_BODY), radius_m, WEAK, q)
    closed = tables.truth_without_contrast(weak, q, _BODY, radius_m, geometry)[:, ::EVERY, ::EVERY]
    truth = {
        model: _power(exact_field(silver, SILVER, geometry, model), geometry) for model in ("absorption", "sliced")
    }
    fine = far_field(silver, geometry, "multislice", settings=tables.FINE)[:, ::EVERY, ::EVERY]
    truth["multislice"] = _power(fine, geometry)

    def padded(bodies: Bodies, index: complex) -> Tensor:
        return torch.stack([padded_field(bodies.select(torch.tensor([b])), index, geometry) for b in range(2)])

    def row(scheme: str, model: str, in_silver: Tensor, without: Tensor, frame_ms: float) -> dict[str, Any]:
        found = {"scheme": scheme, "model": model}
        for name, field, reference in (("exact", in_silver, truth[model]), ("closed_form", without, closed)):
            errors = _third_errors(_power(field[:, ::EVERY, ::EVERY], geometry), reference, geometry)
            found |= {f"{name}_{third}_dex": error for third, error in errors.items()}
        return found | {"frame_ms": frame_ms}

    scheme = f"{SLICES} padded {PADDED} x {PADDED} FFTs"
    padded_ms = tables.time_ms(lambda: padded_field(silver.select(torch.tensor([0])), SILVER, geometry), 1, 1)
    found = [row(scheme, "absorption", padded(silver, SILVER), padded(weak, WEAK), padded_ms)]
    for rung in ("absorption", "sliced", "multislice"):
        ours = [far_field(bodies, geometry, rung) for bodies in (silver, weak)]
        found.append(row("rung", rung, *ours, tables.frame_ms(config, _BODY, config.radius_nm, rung)))
    return found


def _power(field: Tensor, geometry: Geometry) -> Tensor:
    """Cross-section of a far field at every EVERY-th pixel."""
    cosine = cos_two_theta(geometry)[::EVERY, ::EVERY]
    return field.abs().double().square() * (cosine * wavenumber_inv_m(geometry) / (2 * math.pi)) ** 2


def _third_errors(power: Tensor, truth: Tensor, geometry: Geometry) -> dict[str, float]:
    thirds = [where[::EVERY, ::EVERY] for where in tables.thirds(geometry)]
    return {
        name: mie.pixel_error_dex(power.numpy(), truth.numpy(), where)
        for name, where in zip(("inner", "middle", "outer"), thirds, strict=True)
    }


def _columns(bodies: Bodies, k: float, x: Tensor, y: Tensor, pitch: float) -> tuple[Tensor, Tensor, Tensor]:
    """Entry, exit and weight (bodies, columns) of convex bodies in units of 1/k, float64."""
    parts = columns.parts_of(bodies, k, torch.float64)
    return columns.intervals(parts, x, y, pitch, 2 * float(bodies.radius_m.max()) * k)


def _square(half: float, points: int) -> Tensor:
    """``points`` places, symmetric about 0, that fill -half .. half."""
    return (torch.arange(points, dtype=torch.float64) + 0.5) / points * 2 * half - half


def exact_field(
    bodies: Bodies, index: complex, geometry: Geometry, model: str, columns_per_wavelength: int = 16
) -> Tensor:
    """Far field (B, n, n) complex128, m^2, of single convex bodies at every EVERY-th pixel: columns four times finer than the
    pixels of the rungs, each integrated along the beam in closed form (slices without end), summed over without a transform.

    model: "absorption" (on the way in the light is dimmed) or "sliced" (dimmed and retarded).
    """
    k = wavenumber_inv_m(geometry)
    half = float(bodies.radius_m.max()) * k
    points = math.ceil(half / math.pi * columns_per_wavelength)
    pitch = 2 * half / points
    y, x = (v.reshape(-1) for v in torch.meshgrid(_square(half, points), _square(half, points), indexing="ij"))
    low, high, weight = _columns(bodies, k, x, y, pitch)
    a = 1j * (index - 1)
    on_the_way = a if model == "sliced" else complex(a.real)
    q = torch.stack([v[::EVERY, ::EVERY].reshape(-1) / k for v in pixel_q_inv_m(geometry)], 1)
    fields = []
    for lo, hi, w in zip(low, high, weight, strict=True):
        met = w > 0
        lo, length, w, cx, cy = lo[met], (hi - lo)[met], w[met], x[met], y[met]
        values = []
        for part in q.split(64):
            qx, qy, qz = part.T[..., None]
            mu = on_the_way - 1j * qz
            along = (torch.exp(mu * length) - 1) / mu * torch.exp(-1j * qz * lo)
            values.append((w * along * torch.exp(-1j * (qx * cx + qy * cy))).sum(1))
        fields.append(torch.cat(values))
    side = len(range(0, geometry.shape_px[0], EVERY))
    total = a * torch.stack(fields).unflatten(1, (side, side)) * pitch**2 / k**2
    return total / cos_two_theta(geometry)[::EVERY, ::EVERY]


def padded_field(body: Bodies, index: complex, geometry: Geometry) -> Tensor:
    """Far field (ny, nx) complex64, m^2, of one convex body with absorption on the way in, by padded FFTs of its slices."""
    k = wavenumber_inv_m(geometry)
    half = float(body.radius_m.max()) * k
    pixel, distance = 2 * half / VOXELS, 2 * half / SLICES
    y, x = (v.reshape(-1) for v in torch.meshgrid(_square(half, VOXELS), _square(half, VOXELS), indexing="ij"))
    low, high, weight = _columns(body, k, x, y, pixel)
    q = 2 * math.pi * torch.fft.fftfreq(PADDED, pixel, dtype=torch.float64)
    kz = (1 - q[:, None] ** 2 - q**2).clamp_min(1e-3).sqrt()
    a = 1j * (index - 1)
    total = torch.zeros(PADDED, PADDED, dtype=torch.complex64)
    light = torch.ones(VOXELS, VOXELS)
    loss = math.exp(a.real * distance / 2)
    turn = torch.exp(-1j * (kz - 1) * distance).to(torch.complex64)
    phase = torch.exp(-1j * (kz - 1) * (distance / 2 - half)).to(torch.complex64)
    for z in _square(half, SLICES):
        filled = ((low[0] <= z) & (z < high[0]) & (weight[0] > 0.5)).view(VOXELS, VOXELS)
        dimmed = torch.where(filled, light * loss, light)
        total += torch.fft.fft2(dimmed * filled, s=(PADDED, PADDED)) * phase
        light = torch.where(filled, dimmed * loss, light)
        phase = phase * turn
    centre = torch.exp(1j * q * (VOXELS - 1) / 2 * pixel)
    spectrum = torch.fft.fftshift(total * (centre[:, None] * centre) / kz) * (a * distance * pixel**2 / k**2)
    return _at_pixels(spectrum, pixel, geometry)


def _at_pixels(spectrum: Tensor, pixel: float, geometry: Geometry) -> Tensor:
    """Values of a centred ``spectrum`` (PADDED, PADDED) at the pixels, by cubic interpolation."""
    k = wavenumber_inv_m(geometry)
    qx, qy, _ = pixel_q_inv_m(geometry)
    place = torch.stack([qx, qy], -1) / k * (PADDED * pixel / (2 * math.pi))  # in samples from the middle
    at = (2 * (place + PADDED // 2) + 1) / PADDED - 1
    image = torch.view_as_real(spectrum.to(torch.complex64)).permute(2, 0, 1)[None]
    sampled = torch.nn.functional.grid_sample(image, at[None].float(), mode="bicubic", align_corners=False)[0]
    return torch.complex(sampled[0], sampled[1])
