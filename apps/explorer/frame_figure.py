"""One frame large, as a Bokeh figure."""

from __future__ import annotations

import numpy as np
from bokeh.core.properties import value
from bokeh.models import ColumnDataSource, HoverTool, LinearColorMapper, PanTool, WheelZoomTool
from numpy.typing import NDArray

from apps.explorer.colors import COUNTS, MASK_COLOR
from apps.explorer.thumbnails import CLIP, Scale, brightness
from apps.explorer.view import View, bare_figure
from sorter.core.geometry import Geometry, q_inv_nm, radius_px


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
        self.plot = plot = bare_figure("canvas", [wheel, pan])
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

    def show(self, frame: NDArray | None, bad: NDArray[np.bool_], scale: Scale, clip: float = CLIP) -> None:
        """Show a frame (ny, nx), or nothing."""
        if frame is None:
            self.frame.data = {"image": [], "counts": [], "q": []}
            return
        hidden = bad | ~np.isfinite(frame)
        values = np.where(hidden, 0, frame).astype(np.float32)
        one = 1.0 if np.issubdtype(frame.dtype, np.integer) else None
        image = np.where(hidden, np.float32(np.nan), brightness(values, hidden, scale, one, clip))
        counts = np.where(hidden, np.float32(np.nan), values)
        self.frame.data = {"image": [image], "counts": [counts], "q": [self._q]}

    def show_rings(self, visible: bool) -> None:
        """Show or hide the rings and the beam centre."""
        for renderer in self._rings:
            renderer.visible = visible
