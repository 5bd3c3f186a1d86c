"""The two Bokeh figures: the layout, and one frame large."""

from __future__ import annotations

import numpy as np
from bokeh.core.properties import value
from bokeh.models import (
    BoxSelectTool,
    ColumnDataSource,
    HoverTool,
    LassoSelectTool,
    LinearColorMapper,
    PanTool,
    PolyAnnotation,
    Range1d,
    WheelZoomTool,
)
from bokeh.plotting import figure
from numpy.typing import NDArray

from apps.explorer.colors import COUNTS, MASK_COLOR, NOISE_COLOR, Coloring
from apps.explorer.points import PointIndex, density_image, stratified_rows
from apps.explorer.thumbnails import Scale, brightness
from sorter.core.geometry import Geometry, q_inv_nm, radius_px

#: Most points that are sent to the browser; beyond it a density image shows where the others are.
MOST_POINTS = 50_000
MOST_SELECTED = 20_000
ACCENT = "#ff5fa2"
Box = tuple[float, float, float, float]


class View:
    """The ranges of a figure with equal scales on both axes: `fit` shows a box (x0, x1, y0, y1) whole.

    ``covered_px``: height of what lies over the figure at its top and bottom and should stay free of points.
    """

    def __init__(self, plot: figure, flipped: bool = False, covered_px: tuple[int, int] = (0, 0)) -> None:
        self.plot, self._flipped, self._covered = plot, flipped, covered_px
        self._box: Box = (0.0, 1.0, 0.0, 1.0)
        self.size_px = {"inner_width": 600, "inner_height": 600}  # until the browser says
        plot.on_change("inner_width", self._resized)
        plot.on_change("inner_height", self._resized)

    def _resized(self, attr: str, _old: int, new: int) -> None:
        self.size_px[attr] = max(1, new)
        self.fit(self._box)

    def fit(self, box: Box) -> None:
        """Show the whole box, as large as the figure allows."""
        self._box = box
        x0, x1, y0, y1 = box
        width, height = self.size_px["inner_width"], self.size_px["inner_height"]
        top, bottom = self._covered if height > 2 * sum(self._covered) else (0, 0)
        per_px = max((x1 - x0) / width, (y1 - y0) / (height - top - bottom))
        middle_x, middle_y = (x0 + x1) / 2, (y0 + y1) / 2 + per_px * (top - bottom) / 2
        half_x, half_y = per_px * width / 2, per_px * height / 2
        ends = (middle_y - half_y, middle_y + half_y)
        _set_range(self.plot.x_range, middle_x - half_x, middle_x + half_x)
        _set_range(self.plot.y_range, *(ends[::-1] if self._flipped else ends))

    def shown(self) -> Box:
        """The box that the person sees now."""
        x, y = self.plot.x_range, self.plot.y_range
        return min(x.start, x.end), max(x.start, x.end), min(y.start, y.end), max(y.start, y.end)

    def per_px(self) -> float:
        """Length on the x axis of one screen pixel."""
        x0, x1, *_ = self.shown()
        return (x1 - x0) / self.size_px["inner_width"]


def _set_range(axis: Range1d, start: float, end: float) -> None:
    axis.update(start=float(start), end=float(end), reset_start=float(start), reset_end=float(end))


def _bare_figure(backend: str, tools: list) -> figure:
    plot = figure(
        sizing_mode="stretch_both",
        tools=tools,
        toolbar_location=None,
        output_backend=backend,
        x_range=Range1d(0, 1),
        y_range=Range1d(0, 1),
        min_border=0,
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=None,
    )
    plot.axis.visible = False
    plot.grid.visible = False
    return plot


class LayoutFigure:
    """Points of a layout over a density image; the selection on top.

    Tools select nothing by themselves: the polygon that was drawn is all that the browser sends.
    """

    def __init__(self) -> None:
        drawn = {"fill_color": ACCENT, "fill_alpha": 0.08, "line_color": ACCENT, "line_width": 1.5, "line_alpha": 0.9}
        overlay = PolyAnnotation(xs_units="canvas", ys_units="canvas", **drawn)
        self.lasso = LassoSelectTool(renderers=[], continuous=False, overlay=overlay)
        self.box = BoxSelectTool(renderers=[], continuous=False)
        self.box.overlay.update(**drawn)
        self.pan, wheel = PanTool(), WheelZoomTool()
        self.plot = plot = _bare_figure("webgl", [self.lasso, self.box, self.pan, wheel])
        plot.toolbar.update(active_drag=self.lasso, active_scroll=wheel)
        self.view = View(plot, covered_px=(110, 30))
        self.mapper = LinearColorMapper(palette=["#888888"], low=0, high=1, nan_color=NOISE_COLOR)
        self.ground, self.points, self.selected, self.focus, self.names = (
            ColumnDataSource(columns)
            for columns in (
                {"image": [], "x": [], "y": [], "w": [], "h": []},
                {"x": [], "y": [], "c": []},
                {"x": [], "y": [], "c": []},
                {"x": [], "y": []},
                {"x": [], "y": [], "text": []},
            )
        )
        haze = LinearColorMapper(palette=[f"#8fa3b8{a:02x}" for a in range(120)], low=0, high=1)
        plot.image("image", "x", "y", "w", "h", source=self.ground, color_mapper=haze)
        color = {"field": "c", "transform": self.mapper}
        self.dots = plot.scatter("x", "y", source=self.points, fill_color=color, line_color=None, size=5)
        self.marks = plot.scatter("x", "y", source=self.selected, fill_color=color, line_color=None, size=7)
        plot.scatter("x", "y", source=self.focus, size=16, fill_color=None, line_color=ACCENT, line_width=2.5)
        plot.text(
            "x", "y", "text", source=self.names, text_align="center", text_baseline="middle", text_font_size="12px",
            text_font_style="bold", text_color="#ffffff", text_font=value("system-ui, sans-serif"), padding=3,
            border_radius=5, background_fill_color="#10151c", background_fill_alpha=0.7,
        )  # fmt: skip

    def draw(self, points: PointIndex, coloring: Coloring, strata: NDArray[np.integer], whole: bool) -> int:
        """Draw the points that are in view (``whole``: fit the view to all first); returns how many of them are drawn.

        strata: (N,) group of each point, each of which is drawn in proportion.
        """
        xy = points.xy
        if whole:
            self.view.fit(_around(xy))
        box = self.view.shown()
        inside = np.arange(len(xy)) if whole or len(xy) <= MOST_POINTS else points.in_box(*box)
        rows = inside[stratified_rows(strata[inside], MOST_POINTS)]
        rows = rows[np.argsort(strata[rows] >= 0, kind="stable")]  # noise beneath
        self.mapper.update(palette=list(coloring.palette), low=coloring.low, high=coloring.high)
        size = 7 if len(rows) < 2000 else 5 if len(rows) < 10_000 else 3
        self.dots.glyph.size, self.marks.glyph.size = size, size + 2
        self.points.data = _columns(xy, coloring, rows)
        self._draw_ground(xy, box, len(rows) < len(inside))
        return len(rows)

    def _draw_ground(self, xy: NDArray, box: Box, needed: bool) -> None:
        if not needed:
            self.ground.data = {"image": [], "x": [], "y": [], "w": [], "h": []}
            return
        x0, x1, y0, y1 = box
        shape = tuple(max(50, self.view.size_px[side] // 3) for side in ("inner_height", "inner_width"))
        density = np.log1p(density_image(xy, box, shape))
        image = density / max(float(density.max()), 1e-9)
        self.ground.data = {"image": [image], "x": [x0], "y": [y0], "w": [x1 - x0], "h": [y1 - y0]}

    def mark(
        self, points: PointIndex, coloring: Coloring, rows: NDArray[np.int64], focus: int | None, any_selected: bool
    ) -> None:
        """Show the points ``rows`` as selected and ring the point ``focus``; the others fade where anything is selected."""
        drawn = rows[stratified_rows(np.zeros(len(rows), np.int8), MOST_SELECTED)]
        self.dots.glyph.fill_alpha = 0.18 if any_selected else 0.85
        self.selected.data = _columns(points.xy, coloring, drawn)
        at = points.xy[[focus]] if focus is not None else np.empty((0, 2))
        self.focus.data = {"x": at[:, 0], "y": at[:, 1]}

    def name_clusters(self, xy: NDArray, cluster: NDArray[np.integer], n_clusters: int, at_most: int = 60) -> None:
        """Write the numbers of the largest clusters at their medians."""
        order = np.argsort(cluster, kind="stable")
        bounds = np.searchsorted(cluster[order], np.arange(min(n_clusters, at_most) + 1))
        found = [k for k in range(len(bounds) - 1) if bounds[k] < bounds[k + 1]]
        middle = np.array([np.median(xy[order[bounds[k] : bounds[k + 1]]], axis=0) for k in found]).reshape(-1, 2)
        self.names.data = {"x": middle[:, 0], "y": middle[:, 1], "text": [str(k) for k in found]}


def _columns(xy: NDArray, coloring: Coloring, rows: NDArray[np.int64]) -> dict[str, NDArray]:
    x, y = xy[rows].astype(np.float32).T
    return {"x": x, "y": y, "c": coloring.values[rows]}


def _around(xy: NDArray) -> Box:
    if not len(xy):
        return 0.0, 1.0, 0.0, 1.0
    low, high = xy.min(0), xy.max(0)
    margin = 0.05 * np.maximum(high - low, 1e-6)
    (x0, y0), (x1, y1) = low - margin, high + margin
    return float(x0), float(x1), float(y0), float(y1)


def rings(geometry: Geometry, at_most: int = 5) -> list[tuple[float, str]]:
    """Radii (pixels) of a few rings about the beam centre, each with its text: q where the geometry allows it, else pixels."""
    radius = radius_px(geometry)
    scale = q_inv_nm(geometry) if geometry.has_q else radius
    unit = " nm⁻¹" if geometry.has_q else " px"
    (cy, cx), (ny, nx) = geometry.center_px(), geometry.shape_px
    top = float(scale[radius <= max(cy, ny - 1 - cy, cx, nx - 1 - cx)].max())
    step = 10.0 ** np.floor(np.log10(top / at_most))
    step *= next(m for m in (1, 2, 5, 10) if top / (m * step) <= at_most)
    wanted = step * np.arange(1, int(top / step) + 1)
    order = np.argsort(scale, axis=None)
    radii = np.interp(wanted, scale.ravel()[order], radius.ravel()[order])
    return [(float(r), f"{value:.4g}{unit}") for r, value in zip(radii, wanted)]


class FrameFigure:
    """One frame, row 0 at the top, with what lies under the pointer and rings about the beam centre."""

    def __init__(self, geometry: Geometry) -> None:
        ny, nx = geometry.shape_px
        wheel, pan = WheelZoomTool(), PanTool()
        self.plot = plot = _bare_figure("canvas", [wheel, pan])
        plot.toolbar.update(active_drag=pan, active_scroll=wheel)
        self.view = View(plot, flipped=True)
        self.view.fit((-0.5, nx - 0.5, -0.5, ny - 0.5))
        self.frame = ColumnDataSource({"image": [], "counts": [], "q": []})
        self._q = (q_inv_nm(geometry) if geometry.has_q else radius_px(geometry)).astype(np.float32)
        mapper = LinearColorMapper(palette=list(COUNTS), low=0, high=1, nan_color=MASK_COLOR)
        image = plot.image("image", x=-0.5, y=-0.5, dw=nx, dh=ny, source=self.frame, color_mapper=mapper)
        label = "q @q{0.0000} nm⁻¹" if geometry.has_q else "radius @q{0.0} px"
        tip = f"<div class='pixel'><b>@counts{{0.[000]}}</b><br>y $y{{0}} &nbsp; x $x{{0}}<br>{label}</div>"
        plot.add_tools(HoverTool(renderers=[image], tooltips=tip, attachment="right", show_arrow=False))
        cy, cx = geometry.center_px()
        radii, texts = zip(*rings(geometry))
        at = ColumnDataSource({"x": [cx] * len(radii), "y": [cy] * len(radii), "r": radii, "text": texts,
                               "tx": [cx + r * 0.707 for r in radii], "ty": [cy - r * 0.707 for r in radii]})  # fmt: skip
        circles = plot.circle("x", "y", radius="r", source=at, fill_color=None, line_color="#9fd8ff", line_alpha=0.55)
        words = plot.text("tx", "ty", "text", source=at, text_color="#cfeaff", text_font_size="11px",
                          text_font=value("system-ui, sans-serif"), padding=2, border_radius=3,
                          background_fill_color="#10151c", background_fill_alpha=0.6)  # fmt: skip
        center = plot.scatter([cx], [cy], marker="cross", size=12, line_color="#9fd8ff")
        self._rings = (circles, words, center)

    def show(self, frame: NDArray | None, bad: NDArray[np.bool_], scale: Scale) -> None:
        """Show a frame (ny, nx), or nothing."""
        if frame is None:
            self.frame.data = {"image": [], "counts": [], "q": []}
            return
        hidden = bad | ~np.isfinite(frame)
        values = np.where(hidden, 0, frame).astype(np.float32)
        one = 1.0 if np.issubdtype(frame.dtype, np.integer) else None
        image = np.where(hidden, np.float32(np.nan), brightness(values, hidden, scale, one))
        counts = np.where(hidden, np.float32(np.nan), values)
        self.frame.data = {"image": [image], "counts": [counts], "q": [self._q]}

    def show_rings(self, visible: bool) -> None:
        """Show or hide the rings and the beam centre."""
        for renderer in self._rings:
            renderer.visible = visible
