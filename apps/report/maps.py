"""Pictures of the report that hold pixels: the mean frame with mask and beam centre, and the layout."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.patches import Circle
from matplotlib.ticker import FuncFormatter, LogLocator
from numpy.typing import NDArray

from apps.explorer.colors import COUNTS, MASK_COLOR, NOISE_COLOR, OTHER_COLOR, SCALE, category_color
from apps.report.svg import DARK, figure, power_of_ten, to_svg
from sorter.core.geometry import Geometry
from sorter.preprocess.radial import q_of_radius

CENTER_COLOR = "#4de3ff"
_LIGHT = "#e3e9f0"


def beam_map(mean: NDArray, bad: NDArray[np.bool_], geometry: Geometry, unit: str) -> str:
    """Mean frame (ny, nx), log scale, the mask in its own colour, with the beam centre, its uncertainty and rings of q."""
    colors = ListedColormap(COUNTS).with_extremes(bad=MASK_COLOR)
    good = mean[~bad & (mean > 0)]
    low, high = np.percentile(good, [1, 99.95]) if good.size else (0.1, 1.0)
    norm = LogNorm(max(low, high / 1e6), high if high > low else low * 10)
    with figure(5.0, 4.3) as fig:
        axes = fig.subplots()
        shown = np.where(bad | ~np.isfinite(mean), np.nan, np.maximum(mean, norm.vmin))
        image = axes.imshow(shown, cmap=colors, norm=norm, interpolation="none", origin="upper")
        ny, nx = mean.shape
        axes.set(xlim=(-0.5, nx - 0.5), ylim=(ny - 0.5, -0.5), xlabel="x (px)", ylabel="y (px)")
        axes.tick_params(length=3)
        _log_ticks(fig.colorbar(image, ax=axes, shrink=0.9, pad=0.02, label=f"mean {unit} per pixel"), norm)
        _draw_center(axes, geometry)
        return to_svg(fig, "mean frame with mask and beam centre")


def _draw_center(axes: Axes, geometry: Geometry) -> None:
    y, x = geometry.center_px()
    ny, nx = geometry.shape_px
    known = geometry.beam_center_source in ("file", "option")
    dash = "-" if known else (0, (3, 2))
    halo = [patheffects.withStroke(linewidth=2.6, foreground="#000000")]
    line: dict[str, Any] = {"color": CENTER_COLOR, "lw": 1, "ls": dash, "path_effects": halo}
    arm, gap = 0.11 * min(ny, nx), 0.03 * min(ny, nx)
    for a, b in ((-arm, -gap), (gap, arm)):
        axes.plot([x + a, x + b], [y, y], **line)
        axes.plot([x, x], [y + a, y + b], **line)
    if geometry.beam_center_error_px:
        axes.add_patch(Circle((x, y), geometry.beam_center_error_px, fill=False, color=CENTER_COLOR, lw=1.2))
    for share in (0.25, 0.45):
        radius = share * min(ny, nx)
        axes.add_patch(Circle((x, y), radius, fill=False, color=CENTER_COLOR, lw=0.6, alpha=0.7))
        text = f"{radius:.0f} px"
        if geometry.has_q:
            text = f"q = {q_of_radius(geometry, np.array([radius]))[0]:.3g} nm⁻¹"
        ground = {"facecolor": "#000000", "alpha": 0.55, "edgecolor": "none", "boxstyle": "round,pad=0.15"}
        axes.text(
            x, y - radius, text, color="#d9faff", ha="center", va="center", fontsize=7.5, clip_on=True, bbox=ground
        )


def _ground(axes: Axes, xy: NDArray) -> None:
    axes.set_facecolor(DARK)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    if len(xy):
        low, high = xy.min(axis=0), xy.max(axis=0)
        room = np.maximum(0.04 * (high - low), 1e-3)
        axes.set(xlim=(low[0] - room[0], high[0] + room[0]), ylim=(low[1] - room[1], high[1] + room[1]))


def _dot_size(n: int) -> float:
    return float(np.clip(30_000 / max(n, 1), 0.8, 22))


def cluster_map(xy: NDArray, groups: NDArray, n_clusters: int) -> str:
    """Layout (N, 2) coloured by cluster (N,), noise grey and behind; each cluster's number at its middle."""
    with figure(5.6, 4.6) as fig:
        axes = fig.subplots()
        _ground(axes, xy)
        size = _dot_size(len(xy))
        noise = ~(groups >= 0)
        axes.scatter(*xy[noise].T, s=0.6 * size, c=NOISE_COLOR, lw=0, alpha=0.55, rasterized=True)
        colors = np.array([category_color(int(g)) for g in groups[~noise]] or [NOISE_COLOR])[: int((~noise).sum())]
        axes.scatter(*xy[~noise].T, s=size, c=colors, lw=0, alpha=0.9, rasterized=True)
        for number in range(n_clusters):
            members = xy[groups == number]
            if len(members):
                _name(axes, np.median(members, axis=0), str(number))
        return to_svg(fig, "layout coloured by cluster")


def _name(axes: Axes, at: NDArray, text: str) -> None:
    label = axes.text(*at, text, color="#ffffff", fontsize=10, fontweight="bold", ha="center", va="center")
    label.set_path_effects([patheffects.withStroke(linewidth=2.5, foreground=DARK)])


def brightness_map(xy: NDArray, values: NDArray, name: str) -> str:
    """Layout (N, 2) coloured by values (N,), logarithmic, from the 1st to the 99th percentile; what is not positive is grey."""
    known = values > 0
    low, high = np.percentile(values[known], [1, 99]) if known.any() else (1.0, 10.0)
    with figure(5.6, 4.6) as fig:
        axes = fig.subplots()
        _ground(axes, xy)
        size = _dot_size(len(xy))
        axes.scatter(*xy[~known].T, s=size, c=OTHER_COLOR, lw=0, rasterized=True)
        norm = LogNorm(low, high if high > low else 2 * low)
        points = axes.scatter(
            *xy[known].T,
            s=size,
            c=values[known],
            cmap=ListedColormap(SCALE),
            norm=norm,
            lw=0,
            alpha=0.9,
            rasterized=True,
        )
        if known.any():
            bar = fig.colorbar(points, ax=axes, shrink=0.85, pad=0.02, label=name)
            _log_ticks(bar, norm)
        return to_svg(fig, f"layout coloured by {name}")


def _log_ticks(bar: Colorbar, norm: LogNorm) -> None:
    """Decades where there are two at least, else 1, 2, 5."""
    wide = norm.vmax / norm.vmin > 100
    bar.set_ticks(LogLocator(subs=(1,) if wide else (1, 2, 5)).tick_values(norm.vmin, norm.vmax))
    bar.formatter = FuncFormatter(power_of_ten if wide else lambda value, _: f"{value:,g}")
    bar.minorticks_off()
    bar.ax.set_ylim(norm.vmin, norm.vmax)


def category_map(xy: NDArray, names: NDArray[np.str_], order: list[str], alt: str) -> str:
    """Layout (N, 2) coloured by a word each (N,); an empty word is grey. ``order`` numbers the colours."""
    with figure(5.6, 4.6) as fig:
        axes = fig.subplots()
        _ground(axes, xy)
        size = _dot_size(len(xy))
        axes.scatter(*xy[~np.isin(names, order)].T, s=0.6 * size, c=OTHER_COLOR, lw=0, rasterized=True)
        number = {name: i for i, name in enumerate(order)}
        named = np.flatnonzero(np.isin(names, order))
        if len(named):
            axes.scatter(*xy[named].T, s=size, c=[category_color(number[names[i]]) for i in named], lw=0, alpha=0.9,
                         rasterized=True)  # fmt: skip
        return to_svg(fig, alt)
