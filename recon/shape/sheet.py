"""A picture sheet of results: measured frame, predicted frame, residual and the solid as the beam sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from recon.shape.bank import signals
from recon.shape.figures import new_figure
from recon.shape.likelihood import fit_scale, variance
from recon.shape.solids import Solid
from sim.orientation import rotation_matrix
from sim.particles.shape import Shape, vertices_of
from sorter.core.errors import InputError
from sorter.core.geometry import Geometry

_LIGHT = np.array([0.3, -0.5, -0.8])


@dataclass(frozen=True)
class Row:
    """One line of the sheet: title; frame (ny, nx) counts; solid; radius_nm; quaternion (4,)."""

    title: str
    frame: NDArray
    solid: Solid
    radius_nm: float
    quaternion: NDArray[np.float64]


def write_sheet(
    to: str | Path, rows: Sequence[Row], good: NDArray[np.bool_], geometry: Geometry, rung: str = "auto"
) -> None:
    """Draw ``rows`` into the PNG ``to``. Raises InputError where it cannot be written."""
    predicted = _predicted(rows, good, geometry, rung)
    figure = new_figure(9.2, 2.35 * len(rows) + 0.3)
    panels = np.atleast_2d(figure.subplots(len(rows), 4))
    for number, (row, mean, axes) in enumerate(zip(rows, predicted, panels, strict=True)):
        measured = np.where(good, row.frame, np.nan)
        top = max(float(np.nanpercentile(measured, 99.9)), 3.0)
        for axis, image in ((axes[0], measured), (axes[1], mean)):
            axis.imshow(np.log1p(np.clip(image, 0, None)), cmap="inferno", vmin=0, vmax=np.log1p(top))
        sigma = np.sqrt(variance(torch.from_numpy(np.maximum(mean, 0.05)), 0.02).numpy())
        axes[2].imshow((measured - mean) / sigma, cmap="RdBu_r", vmin=-5, vmax=5)
        draw_solid(axes[3], row.solid.shape(), row.radius_nm, row.quaternion)
        axes[0].set_ylabel(row.title, fontsize=7)
        if number == 0:
            titles = ("measured (log)", "predicted", "residual, -5 to 5 sigma", "solid, along the beam")
            for axis, title in zip(axes, titles, strict=True):
                axis.set_title(title, fontsize=9)
        for axis in axes:
            axis.set(xticks=[], yticks=[])
    try:
        figure.savefig(to)
    except OSError as error:
        raise InputError(f"{to}: cannot be written ({error.strerror})") from error


def _predicted(rows: Sequence[Row], good, geometry: Geometry, rung: str) -> NDArray[np.float64]:
    """Mean counts (N, ny, nx) of the rows with scale and background fitted."""
    q = torch.from_numpy(np.stack([r.quaternion for r in rows]))
    radius = torch.tensor([r.radius_nm for r in rows], dtype=torch.float64)
    with torch.no_grad():
        pattern = signals([r.solid.shape() for r in rows], radius, q, geometry, rung).flatten(1)
    counts = torch.from_numpy(np.stack([np.where(good, r.frame, 0) for r in rows]).astype(np.float32)).flatten(1)
    level = fit_scale(counts, pattern, torch.from_numpy(good).flatten().float(), 0.02)
    mean = level[:, :1] * pattern + level[:, 1:]
    return mean.unflatten(1, geometry.shape_px).double().numpy()


def draw_solid(axes: Axes, shape: Shape, radius_nm: float, quaternion: NDArray[np.float64]) -> None:
    """The body as seen from the source, x to the right, y downwards as on the frames; shaded facets."""
    turn = rotation_matrix(torch.from_numpy(np.asarray(quaternion, float))).numpy()
    facets = [f @ turn.T * radius_nm for f in _facets(shape)]
    normals = [np.cross(f[1] - f[0], f[2] - f[0]) for f in facets]
    seen = [(f, n / np.linalg.norm(n)) for f, n in zip(facets, normals, strict=True) if n[2] < 0]
    seen.sort(key=lambda pair: -pair[0][:, 2].mean())  # the beam comes from -z: the nearest are drawn last
    shade = [np.clip(n @ _LIGHT / np.linalg.norm(_LIGHT), 0, 1) * 0.7 + 0.25 for _, n in seen]
    colors = [(0.45 * s, 0.6 * s, 0.85 * s) for s in shade]
    edge = "0.15" if len(seen) < 60 else "none"
    axes.add_collection(PolyCollection([f[:, :2] for f, _ in seen], facecolors=colors, edgecolors=edge, linewidths=0.8))
    axes.set(xlim=(-165, 165), ylim=(165, -165), aspect="equal")
    axes.plot([60, 160], [150, 150], color="k", lw=2)
    axes.text(110, 140, "100 nm", ha="center", fontsize=6)


def _facets(shape: Shape) -> list[NDArray[np.float64]]:
    """Facets (corners (C, 3), counter-clockwise from outside) of a shape of circumscribed radius 1: of each convex
    polyhedron, or of a fine hull where a surface is curved."""
    if bool(shape.has_quadric.any()):
        return _hull(_surface(shape))
    found = []
    for normals, offsets in zip(shape.normals.numpy(), shape.offsets.numpy(), strict=True):
        real = np.linalg.norm(normals, axis=1) > 0
        normals, offsets = normals[real], offsets[real]
        corners = vertices_of(normals, offsets)
        for n, d in zip(normals, offsets, strict=True):
            face = corners[np.abs(corners @ n - d) < 1e-6]
            if len(face) >= 3:
                found.append(_ordered(face, n))
    return found


def _ordered(face: NDArray, normal: NDArray) -> NDArray:
    middle = face.mean(0)
    u = (face[0] - middle) / np.linalg.norm(face[0] - middle)
    v = np.cross(normal, u)
    return face[np.argsort(np.arctan2((face - middle) @ v, (face - middle) @ u))]


def _surface(shape: Shape, count: int = 1500) -> NDArray[np.float64]:
    """Points on the surface of a star-shaped body: along even directions, by bisection."""
    i = np.arange(count) + 0.5
    z, angle = 1 - 2 * i / count, np.pi * (1 + 5**0.5) * i
    root = np.sqrt(1 - z * z)
    directions = torch.from_numpy(np.stack([root * np.cos(angle), root * np.sin(angle), z], 1))
    low, high = torch.zeros(count, 1, dtype=torch.float64), torch.full((count, 1), 1.05, dtype=torch.float64)
    for _ in range(20):
        middle = (low + high) / 2
        inside = (shape.contains(middle * directions) >= 0)[:, None]
        low, high = torch.where(inside, middle, low), torch.where(inside, high, middle)
    return (low * directions).numpy()


def _hull(points: NDArray) -> list[NDArray[np.float64]]:
    hull = ConvexHull(points)
    faces = []
    for simplex, equation in zip(hull.simplices, hull.equations, strict=True):
        faces.append(_ordered(points[simplex], equation[:3]))
    return faces
