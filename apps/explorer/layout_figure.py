"""The layout as a Bokeh figure: the points over a picture of all of them, the selection on top."""

from __future__ import annotations

import numpy as np
from bokeh.core.properties import value
from bokeh.models import (
    BoxSelectTool,
    ColumnDataSource,
    LassoSelectTool,
    LinearColorMapper,
    PanTool,
    PolyAnnotation,
    WheelZoomTool,
)
from numpy.typing import NDArray

from apps.explorer.colors import NOISE_COLOR, Coloring
from apps.explorer.ground import PIXEL, Box, Ground, ready
from apps.explorer.points import PointIndex
from apps.explorer.view import View, bare_figure

#: Most points that are sent to the browser; beyond it a picture of all of them is the ground.
MOST_POINTS = 50_000
#: The same for a browser without a graphics card, which draws them on the plain canvas; the first picture has no more either.
MOST_ON_CANVAS = 4_000
MOST_SELECTED = 20_000
ACCENT = "#ff5fa2"


class LayoutFigure:
    """Points of a layout over a density image; the selection on top.

    ground_wanted: the picture of all points is still to come, because what draws it is being loaded. Tools select nothing by
    themselves: the polygon that was drawn is all that the browser sends. most_points: drawn one by one at most.
    """

    def __init__(self) -> None:
        drawn = {"fill_color": ACCENT, "fill_alpha": 0.08, "line_color": ACCENT, "line_width": 1.5, "line_alpha": 0.9}
        overlay = PolyAnnotation(xs_units="canvas", ys_units="canvas", **drawn)
        self.lasso = LassoSelectTool(renderers=[], continuous=False, overlay=overlay)
        self.box = BoxSelectTool(renderers=[], continuous=False)
        self.box.overlay.update(**drawn)
        self.pan, wheel = PanTool(), WheelZoomTool()
        self.plot = plot = bare_figure("webgl", [self.lasso, self.box, self.pan, wheel])
        plot.toolbar.update(active_drag=self.lasso, active_scroll=wheel)
        self.view = View(plot, covered_px=(110, 30))
        self.ground_wanted = False
        self.most_points = MOST_ON_CANVAS
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
        self.ground.name = "ground"
        self.haze = plot.image_rgba("image", "x", "y", "w", "h", source=self.ground)
        color = {"field": "c", "transform": self.mapper}
        self.dots = plot.scatter("x", "y", source=self.points, fill_color=color, line_color=None, size=5)
        self.marks = plot.scatter("x", "y", source=self.selected, fill_color=color, line_color=None, size=7)
        plot.scatter("x", "y", source=self.focus, size=16, fill_color=None, line_color=ACCENT, line_width=2.5)
        plot.text(
            "x", "y", "text", source=self.names, text_align="center", text_baseline="middle", text_font_size="12px",
            text_font_style="bold", text_color="#ffffff", text_font=value("system-ui, sans-serif"), padding=3,
            border_radius=5, background_fill_color="#10151c", background_fill_alpha=0.7,
        )  # fmt: skip

    def draw(self, points: PointIndex, coloring: Coloring, order: NDArray[np.int64], whole: bool) -> int:
        """Draw what is in view (``whole``: fit the view to all first); returns how many points are drawn one by one.

        order: all points so that a beginning of it stands for all (`spread_order`).
        """
        if whole:
            self.view.fit(_around(points.xy))
        self._points, self._order = points, order
        self._ground = Ground(points.xy, coloring) if len(points.xy) > MOST_ON_CANVAS else None
        self.coloring = coloring
        self.mapper.update(palette=list(coloring.palette), low=coloring.low, high=coloring.high)
        return self.refine()

    def refine(self) -> int:
        """Draw the view as it is now, after a zoom; returns how many points are drawn one by one."""
        box, order = self.view.shown(), self._order
        if self._ground is not None:
            order = order[self._points.in_box(*box)[order]]
        rows, crowded = order[: self.most_points], len(order) > self.most_points
        rows = rows[np.argsort(~np.isnan(self.coloring.values[rows]), kind="stable")]  # what has no category beneath
        size = 2 if crowded else 7 if len(rows) < 2000 else 5 if len(rows) < 10_000 else 3
        self.dots.glyph.size, self.marks.glyph.size = size, size + 2
        self._opacity = 0.5 if crowded else 0.85
        self.points.data = _columns(self._points.xy, self.coloring, rows)
        self._draw_ground(box if crowded else None)
        return len(rows)

    def _draw_ground(self, box: Box | None) -> None:
        if box is None or self._ground is None:
            self.ground.data = {"image": [], "x": [], "y": [], "w": [], "h": []}
            return
        x0, x1, y0, y1 = box
        rows, columns = (max(50, self.view.size_px[side] // PIXEL) for side in ("inner_height", "inner_width"))
        self.ground_wanted = not ready()
        if self.ground_wanted:
            return
        image = self._ground.picture(box, (rows, columns))
        self.ground.data = {"image": [image], "x": [x0], "y": [y0], "w": [x1 - x0], "h": [y1 - y0]}

    def mark(self, rows: NDArray[np.int64], focus: int | None, any_selected: bool) -> None:
        """Show the points ``rows`` as selected and ring the point ``focus``; the others fade where anything is selected."""
        most = min(MOST_SELECTED, self.most_points)
        if len(rows) > most:
            chosen = np.zeros(len(self._order), bool)
            chosen[rows] = True
            rows = self._order[chosen[self._order]][:most]
        self.dots.glyph.fill_alpha = 0.18 if any_selected else self._opacity
        self.haze.glyph.global_alpha = 0.3 if any_selected else 1.0
        self.selected.data = _columns(self._points.xy, self.coloring, rows)
        at = self._points.xy[[focus]] if focus is not None else np.empty((0, 2))
        self.focus.data = {"x": at[:, 0], "y": at[:, 1]}

    def name_clusters(self, middles: dict[int, tuple[float, float]], at_most: int = 60) -> None:
        """Write the numbers of the largest clusters at their middles."""
        shown = [(k, *at) for k, at in middles.items() if k < at_most]
        numbers, x, y = zip(*shown) if shown else ((), (), ())
        self.names.data = {"x": list(x), "y": list(y), "text": [str(k) for k in numbers]}


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
