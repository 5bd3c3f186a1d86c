"""The measurements of ``shotsort bench farfield``: each returns rows of figures."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from apps.bench import mie
from apps.bench.farfield_config import RADII_NM, RUNGS, SILVER, FarFieldBenchConfig
from sim.orientation import random_quaternions, rotation_matrix
from sim.particles import Bodies, library, place
from sim.scattering import (
    FarFieldSettings,
    detector_geometry,
    far_field,
    formfactors,
    intensity,
    pixel_q_inv_m,
    polarisation,
)
from sim.scattering.pixels import cos_two_theta
from sorter.core.errors import InputError
from sorter.core.geometry import Geometry, two_theta_rad

FINE = FarFieldSettings(width_radii=4.5, pixel_wavelengths=1 / 5, slice_wavelengths=0.35, columns=4, chunk=4)
"""The grid that stands for the truth where there is no closed form: finer columns, more slices, a wider box."""


def detector(config: FarFieldBenchConfig, edge_deg: float) -> Geometry:
    """128 x 128 pixels whose edge stands at ``edge_deg``."""
    return detector_geometry((128, 128), config.wavelength_nm * 1e-9, math.radians(edge_deg))


def time_ms(call: Callable[[], object], repeats: int, frames: int) -> float:
    """Best time of ``repeats`` calls after one to warm up, per frame."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times) / frames


def _against_mie(config: FarFieldBenchConfig, index: complex, radius_nm: float, rung: str) -> dict[str, Any]:
    """Errors on a detector whose edge stands at 45 degrees."""
    geometry = detector(config, 45)
    angle = two_theta_rad(geometry)
    frame = intensity(far_field(place(library.make("sphere"), radius_nm * 1e-9, index), geometry, rung), geometry)[
        0
    ].double()
    frame = (frame * polarisation(geometry, "none")).numpy()
    truth = mie.cross_section(angle, geometry.wavelength_m, index, radius_nm * 1e-9)
    middle = np.hypot(*np.meshgrid(*[np.arange(128) - 63.5] * 2)) < 2
    return {
        "error_45_dex": mie.radial_error_dex(frame, truth, angle, 45),
        "error_30_dex": mie.radial_error_dex(frame, truth, angle, 30),
        "forward_dex": float(np.log10(frame[middle].mean() / truth[middle].mean())),
    }


def frame_ms(config: FarFieldBenchConfig, shape: str, radius_nm: float, rung: str) -> float:
    """Time per frame of a batch in random orientations on a detector to 30 degrees, from the bodies to the intensity."""
    geometry = detector(config, 30)
    bodies = place(library.make(shape), radius_nm * 1e-9, SILVER, orientations(config, config.batch))
    return time_ms(lambda: intensity(far_field(bodies, geometry, rung), geometry), config.repeats, config.batch)


def rungs(config: FarFieldBenchConfig) -> list[dict[str, Any]]:
    """Every rung at the main radius and material."""
    return [
        {
            "scheme": rung,
            **_against_mie(config, SILVER, config.radius_nm, rung),
            "frame_ms": frame_ms(config, "sphere", config.radius_nm, rung),
            "icosahedron_ms": frame_ms(config, "icosahedron", config.radius_nm, rung),
        }
        for rung in RUNGS
    ]


def sizes(config: FarFieldBenchConfig) -> list[dict[str, Any]]:
    """The multislice by radius."""
    return [
        {
            "radius_nm": r,
            **_against_mie(config, SILVER, r, "multislice"),
            "icosahedron_ms": frame_ms(config, "icosahedron", r, "multislice"),
        }
        for r in RADII_NM
    ]


def materials(config: FarFieldBenchConfig) -> list[dict[str, Any]]:
    """The multislice and the straight paths by refractive index, at the main radius."""
    rows = []
    for index in config.materials:
        row = {
            "index": f"{index.real:g} + {index.imag:g}i",
            **_against_mie(config, index, config.radius_nm, "multislice"),
        }
        straight = _against_mie(config, index, config.radius_nm, "sliced")
        rows.append({**row, "sliced_45_dex": straight["error_45_dex"], "sliced_30_dex": straight["error_30_dex"]})
    return rows


def orientations(config: FarFieldBenchConfig, count: int) -> Tensor:
    """Random quaternions (count, 4)."""
    return random_quaternions(count, np.random.default_rng(config.seed))


def thirds(geometry: Geometry) -> list[np.ndarray]:
    """Pixels of the inner, the middle and the outer third of the radius."""
    radius = np.hypot(*np.meshgrid(*[(np.arange(n) - (n - 1) / 2) for n in geometry.shape_px]))
    edge = geometry.shape_px[0] / 2
    return [(radius >= edge * i / 3) & (radius < edge * (i + 1) / 3) for i in range(3)]


def _third_errors(frames: Tensor, truth: Tensor, geometry: Geometry) -> dict[str, float]:
    names = ("inner_dex", "middle_dex", "outer_dex")
    ours, theirs = frames.double().numpy(), truth.double().numpy()
    rings = thirds(geometry)
    found = {name: mie.pixel_error_dex(ours, theirs, where) for name, where in zip(names, rings, strict=True)}
    # Without absorption the pattern has true zeros, of which no logarithm is near another: the median tells the rest.
    outer = np.log10(ours[:, rings[2]] / theirs[:, rings[2]])
    return {**found, "outer_median_dex": float(np.median(np.abs(outer)))}


def truth_without_contrast(bodies: Bodies, q: Tensor, name: str, radius_m: float, geometry: Geometry) -> Tensor:
    """Closed form of a weakly scattering polyhedron, as a cross-section."""
    in_body = torch.einsum("bij,iyx->byxj", rotation_matrix(q), torch.stack(pixel_q_inv_m(geometry)))
    k = 2 * math.pi / geometry.wavelength_m
    strength = 1j * k * (bodies.index[:, 0] ** 2 - 1) / 2
    form = formfactors.polyhedron(in_body, library.make(name), radius_m)
    return intensity(strength[:, None, None] * form / cos_two_theta(geometry), geometry)


def polyhedra(config: FarFieldBenchConfig) -> list[dict[str, Any]]:
    """Pixel errors of the usual grid: against the closed form without contrast, against a fine grid in silver."""
    geometry, radius = detector(config, 30), config.radius_nm * 1e-9
    q = orientations(config, 4)
    rows = []
    for name in ("icosahedron", "cube"):
        weak = place(library.make(name), radius, 1 - 1e-6, q)
        closed = truth_without_contrast(weak, q, name, radius, geometry)
        for rung in ("born", "multislice"):
            frames = intensity(far_field(weak, geometry, rung), geometry)
            rows.append({"body": name, "rung": rung, "truth": "closed form", **_third_errors(frames, closed, geometry)})
        silver = place(library.make(name), radius, SILVER, q)
        fine = intensity(far_field(silver, geometry, "multislice", settings=FINE), geometry)
        for rung in ("multislice", "sliced", "absorption"):
            frames = intensity(far_field(silver, geometry, rung), geometry)
            rows.append({"body": name, "rung": rung, "truth": "fine grid", **_third_errors(frames, fine, geometry)})
    return rows


def convergence(config: FarFieldBenchConfig) -> list[dict[str, Any]]:
    """Error in the outer third against the number of slices: multislice and naive straight slices, each to its own limit."""
    geometry, radius = detector(config, 30), config.radius_nm * 1e-9
    bodies = place(library.make("icosahedron"), radius, SILVER, orientations(config, 4))
    rows = []
    spacings = (0.9, 0.75, 0.6, 0.45, 0.3, 0.2)
    limit = FarFieldSettings(slice_wavelengths=0.12, chunk=4)
    truth = intensity(far_field(bodies, geometry, "multislice", settings=limit), geometry)
    for spacing in spacings:
        settings = FarFieldSettings(slice_wavelengths=spacing, chunk=4)
        frames = intensity(far_field(bodies, geometry, "multislice", settings=settings), geometry)
        slices = 2 * radius / (spacing * geometry.wavelength_m)
        rows.append({"slices": round(slices), "slice_wavelengths": spacing, **_third_errors(frames, truth, geometry)})
    return rows


def plot(rows: list[dict[str, Any]], config: FarFieldBenchConfig, path: Path) -> None:
    """The convergence as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for key, label in (("inner_dex", "inner third"), ("middle_dex", "middle third"), ("outer_dex", "outer third")):
        axes.loglog([r["slices"] for r in rows], [r[key] for r in rows], "o-", label=label)
    axes.set(xlabel="slices through the icosahedron", ylabel="rms of log10 of the pixels (dex)")
    slices = [row["slices"] for row in rows]
    axes.set_xticks(slices, [str(n) for n in slices])
    axes.minorticks_off()
    axes.set_title(f"Multislice, icosahedron of {config.radius_nm:g} nm, n = 0.89 + 0.09i, to 30 degrees", fontsize=9)
    axes.axhline(0.03, color="0.6", linestyle=":", label="aim in the outer third")
    axes.legend()
    axes.grid(alpha=0.3, which="both")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def reference(config: FarFieldBenchConfig) -> list[dict[str, Any]]:
    """Pixels of the multislice against stored far fields of pyMSFT on its regular q grid."""
    with np.load(config.reference) as stored:
        try:
            return _reference_rows(dict(stored))
        except KeyError as error:
            raise InputError(f"--reference {config.reference}: holds no {error}; it is not such a file") from error


def _reference_rows(stored: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    wavelength, radius, _, _, real, imaginary = (float(v) for v in stored["params"])
    x, y, z, w = (float(v) for v in stored["icosa_quat_xyzw"])
    geometry = detector_geometry((256, 256), wavelength, math.radians(32))
    body = place(library.make("icosahedron"), radius, complex(real, imaginary), torch.tensor([[w, x, y, z]]))
    frame = intensity(far_field(body, geometry, "multislice"), geometry)[0].double()
    rows = []
    for name in ("PMSFT", "MSFT"):
        ours, theirs = _on_their_grid(frame, stored, f"icosa_{name}Simulation", geometry)
        difference = np.log10(ours / theirs)
        # Their unit is another one: only the form is compared.
        rows.append({"stored": name, "pixels_dex": float(np.std(difference))})
    return rows


def _on_their_grid(
    frame: Tensor, stored: dict[str, np.ndarray], key: str, geometry: Geometry
) -> tuple[np.ndarray, np.ndarray]:
    """Our frame at the q of theirs, up to 30 degrees, by interpolation of the logarithm."""
    k = 2 * math.pi / geometry.wavelength_m
    sx, sy = stored["QX"] / k, stored["QY"] / k
    sine = np.hypot(sx, sy)
    seen = sine < math.sin(math.radians(30))
    cosine = np.sqrt(1 - sine[seen] ** 2)
    scale = geometry.distance_m / geometry.pixel_size_m
    centre = (geometry.shape_px[0] - 1) / 2
    at = torch.from_numpy(np.stack([sx[seen], sy[seen]], -1) / cosine[:, None] * scale / (centre + 0.5))
    image = frame.log10()[None, None]
    sampled = torch.nn.functional.grid_sample(image, at[None, None], mode="bicubic", align_corners=False)
    return 10 ** sampled[0, 0, 0].numpy(), stored[key][seen]
