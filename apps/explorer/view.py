"""What the two figures have in common: bare axes, and a view with equal scales."""

from __future__ import annotations

from bokeh.models import Range1d
from bokeh.plotting import figure

from apps.explorer.ground import Box


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


def bare_figure(backend: str, tools: list) -> figure:
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
