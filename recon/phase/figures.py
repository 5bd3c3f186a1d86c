"""Pictures of a reconstruction: orthoslices, the surface coloured by phase, pattern, curves."""

from __future__ import annotations

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from numpy.typing import NDArray
from scipy import ndimage

from recon.phase.lab import LabVolumes
from recon.phase.result import PhaseResult

PHASE_MAP = "twilight_shifted"
_VIEWS = ("middle of axis 0", "middle of axis 1", "middle of axis 2")


def new_figure(width: float, height: float) -> Figure:
    """A figure that needs no screen."""
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def bounding_box(support: NDArray[np.bool_], margin: int = 3) -> tuple[slice, ...]:
    """The cube (cut at the borders) about ``support``, with a margin."""
    where = np.argwhere(support)
    if not len(where):
        return tuple(slice(0, n) for n in support.shape)
    low, high = where.min(0), where.max(0)
    middle, half = (low + high + 1) // 2, int((high - low).max()) // 2 + margin
    return tuple(slice(max(0, m - half), min(n, m + half + 1)) for m, n in zip(middle, support.shape, strict=True))


def solid(obj: NDArray[np.complex64], support: NDArray[np.bool_], level: float = 0.3) -> NDArray[np.bool_]:
    """The part of ``support`` where there is matter, not only room for it: modulus above ``level`` of its largest value."""
    modulus = np.abs(obj)
    return support & (modulus > level * modulus.max())


def phase_range(obj: NDArray[np.complex64], support: NDArray[np.bool_]) -> float:
    """Half-range of a colour bar that shows the phases in the support: 0.5 to pi."""
    return float(np.clip(np.percentile(np.abs(np.angle(obj[support])), 98) if support.any() else np.pi, 0.5, np.pi))


def orthoslice_figure(rows: list[tuple[str, NDArray[np.complex64], NDArray[np.bool_]]]) -> Figure:
    """Modulus and phase through the middle of each axis, a pair of rows for each (name, object, support)."""
    figure = new_figure(8.4, 5.0 * len(rows))
    axes = figure.subplots(2 * len(rows), 3, squeeze=False)
    limit = max(phase_range(obj, solid(obj, support)) for _, obj, support in rows)
    for i, (name, obj, support) in enumerate(rows):
        support = solid(obj, support)
        box = bounding_box(support)
        obj, support = obj[box], support[box]
        modulus = np.abs(obj) / max(float(np.abs(obj).max()), 1e-30)
        phase = np.where(support, np.angle(obj), np.nan)
        for axis in range(3):
            middle = obj.shape[axis] // 2
            top, below = axes[2 * i, axis], axes[2 * i + 1, axis]
            first = top.imshow(np.take(modulus, middle, axis), cmap="magma", vmin=0, vmax=1, origin="lower")
            second = below.imshow(np.take(phase, middle, axis), cmap=PHASE_MAP, vmin=-limit, vmax=limit, origin="lower")
            top.set_title(f"{name}: {_VIEWS[axis]}" if axis == 0 else _VIEWS[axis], fontsize=9)
            for ax in (top, below):
                ax.set_xticks([])
                ax.set_yticks([])
        figure.colorbar(first, ax=list(axes[2 * i]), label="modulus")
        figure.colorbar(second, ax=list(axes[2 * i + 1]), label="phase / rad")
    return figure


def strain_figure(volumes: LabVolumes) -> Figure:
    """Displacement along Q above, strain below, through the middle of the crystal across each axis of the laboratory."""
    figure = new_figure(9.0, 5.6)
    axes = figure.subplots(2, 3)
    box = bounding_box(np.isfinite(volumes.displacement_nm))
    rows = (
        (volumes.displacement_nm[box] * 1e3, "displacement along Q / pm"),
        (volumes.strain[box] * 1e3, "strain along Q / 10$^{-3}$"),
    )
    for row, (values, label) in enumerate(rows):
        seen = np.abs(values[np.isfinite(values)])
        limit = float(np.percentile(seen, 98)) if len(seen) else 1.0
        for axis, (across, up, name) in enumerate((("x", "y", "z"), ("x", "z", "y"), ("y", "z", "x"))):
            plane = np.take(values, values.shape[axis] // 2, axis)
            half = np.array(plane.shape) * volumes.voxel_nm / 2
            shown = axes[row, axis].imshow(
                plane, cmap="RdBu_r", vmin=-limit, vmax=limit, origin="lower",
                extent=(-half[1], half[1], -half[0], half[0]),
            )  # fmt: skip
            axes[row, axis].set(xlabel=f"{across} / nm", ylabel=f"{up} / nm", title=f"middle of {name}")
        figure.colorbar(shown, ax=list(axes[row]), label=label)
    return figure


def isosurface(obj: NDArray[np.complex64], level: float = 0.4) -> tuple[NDArray, NDArray, NDArray]:
    """Vertices (V, 3) in voxels, triangles (T, 3) and the phase (T,) of the surface where the modulus, slightly blurred, is
    ``level`` of its largest value."""
    from skimage.measure import marching_cubes

    modulus = ndimage.gaussian_filter(np.abs(obj), 0.7)
    vertices, triangles, _, _ = marching_cubes(modulus, level * modulus.max())
    # the phase half a voxel inside: at the rim it is that of little matter
    centers = vertices[triangles].mean(1)
    inward = centers.mean(0) - centers
    inward /= np.maximum(np.linalg.norm(inward, axis=1, keepdims=True), 1e-9)
    smooth = ndimage.gaussian_filter(obj.real, 0.7) + 1j * ndimage.gaussian_filter(obj.imag, 0.7)
    at = (centers + inward).T
    phase = np.angle(
        sum(w * ndimage.map_coordinates(part, at, order=1) for w, part in ((1, smooth.real), (1j, smooth.imag)))
    )
    return vertices, triangles, phase


def surface_figure(
    items: list[tuple[str, NDArray[np.complex64], NDArray[np.bool_]]], steps_nm: NDArray[np.float64] | None = None
) -> Figure:
    """The surface of each (name, object, support), coloured by phase, seen from two sides; in the laboratory's x, y, z where
    ``steps_nm`` (3, 3), the steps of the voxels, are given, else in voxels."""
    figure = new_figure(7.6, 3.5 * len(items))
    limit = max(phase_range(obj, solid(obj, support)) for _, obj, support in items)
    paint = ScalarMappable(Normalize(-limit, limit), PHASE_MAP)
    labels = ("axis 2", "axis 1", "axis 0") if steps_nm is None else ("x / nm", "y / nm", "z / nm")
    for row, (name, obj, support) in enumerate(items):
        box = bounding_box(solid(obj, support))
        vertices, triangles, phase = isosurface(np.where(support[box], obj[box], 0))
        vertices = vertices[:, ::-1] if steps_nm is None else vertices @ steps_nm
        vertices = vertices - (vertices.max(0) + vertices.min(0)) / 2
        span = np.ptp(vertices, axis=0).max() / 2 * 1.05
        for column, azimuth in enumerate((-60, 120)):
            ax = figure.add_subplot(len(items), 2, 2 * row + column + 1, projection="3d")
            ax.add_collection3d(_shaded(vertices[triangles], paint.to_rgba(phase)))
            ax.set(xlim=(-span, span), ylim=(-span, span), zlim=(-span, span))
            ax.set_xlabel(labels[0], fontsize=8)
            ax.set_ylabel(labels[1], fontsize=8)
            ax.set_zlabel(labels[2], fontsize=8)
            ax.tick_params(labelsize=6)
            ax.view_init(20, azimuth)
            ax.set_box_aspect((1, 1, 1))
            if column == 0:
                ax.set_title(name, fontsize=9)
    figure.colorbar(paint, ax=figure.axes, label="phase / rad", shrink=0.7)
    return figure


def _shaded(faces: NDArray, colors: NDArray) -> Poly3DCollection:
    """Triangles (T, 3, 3) with colours (T, 4) darkened where they face away from a lamp."""
    normal = np.cross(faces[:, 1] - faces[:, 0], faces[:, 2] - faces[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    light = 0.65 + 0.35 * np.abs(normal @ (np.array([1.0, -1.5, 2.0]) / np.sqrt(7.25)))
    colors = colors.copy()
    colors[:, :3] *= light[:, None]
    return Poly3DCollection(faces, facecolors=colors, edgecolors=colors, linewidths=0.2)


def pattern_figure(result: PhaseResult) -> Figure:
    """The measured pattern and that of the answer, through the peak, on one logarithmic scale."""
    figure = new_figure(8.4, 5.4)
    axes = figure.subplots(2, 3)
    measured, computed = result.pattern.counts, result.computed_amplitude**2
    top = float(np.log10(measured.max() + 1))
    for axis in range(3):
        middle = measured.shape[axis] // 2
        bad = np.take(result.pattern.bad_pixels, middle, axis)
        for row, (name, values) in enumerate((("measured", measured), ("of the answer", computed))):
            image = np.log10(np.take(values, middle, axis) + 1)
            shown = axes[row, axis].imshow(
                np.where(bad & (row == 0), np.nan, image), cmap="inferno", vmin=0, vmax=top, origin="lower"
            )
            axes[row, axis].set_title(f"{name}: {_VIEWS[axis]}" if axis == 0 else _VIEWS[axis], fontsize=9)
            axes[row, axis].set_axis_off()
    figure.colorbar(shown, ax=axes, label="log10(counts + 1)")
    return figure


def curves_figure(result: PhaseResult) -> Figure:
    """Fourier shell correlation and PRTF against the share of Nyquist."""
    names = {"fsc": "Fourier shell correlation of the two best starts", "prtf": "PRTF over all starts"}
    figure = new_figure(5.6, 3.4)
    ax = figure.subplots()
    for name, curve in result.curves.items():
        ax.plot(np.linspace(0, 1, len(curve)), curve, label=names.get(name, name))
    ax.axhline(1 / np.e, color="0.6", lw=0.8, ls="--")
    ax.set(xlabel="share of Nyquist", ylim=(0, 1.05), xlim=(0, 1))
    ax.legend(fontsize=8)
    return figure
