"""One page: what the browser says goes to the state, what changed goes to the panels and figures."""

from __future__ import annotations

import json
import logging
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from bokeh.document import Document
from bokeh.events import RangesUpdate, SelectionGeometry, Tap
from bokeh.models import CustomJS
from jinja2 import Template
from numpy.typing import NDArray

from apps.explorer import frame_panels, ground, panels
from apps.explorer.actions import REACH_PX, Actions
from apps.explorer.average import Average
from apps.explorer.bridge import Bridge, Wire
from apps.explorer.coloring import colorings
from apps.explorer.frame_figure import FrameFigure
from apps.explorer.layout_figure import MOST_POINTS, LayoutFigure
from apps.explorer.run import Library
from apps.explorer.state import Explorer
from apps.explorer.thumbnails import Thumbnails
from sorter.core.errors import ShotsortError
from sorter.curate.label_book import LabelBook

log = logging.getLogger(__name__)
HERE = Path(__file__).parent
POLL_MS = 1000


def page_template() -> Template:
    """The page, with its style and script inside."""
    text = (HERE / "page.html").read_text()
    return Template(
        text.replace("/*STYLE*/", (HERE / "page.css").read_text()).replace("/*SCRIPT*/", (HERE / "page.js").read_text())
    )


class Session(Actions):
    """Builds the page of one browser in ``doc`` and answers it."""

    def __init__(self, doc: Document, library: Library, book: LabelBook) -> None:
        self.doc = doc
        self.state = state = Explorer(library, book)
        self.wire = Wire()
        self.scale, self.color_by, self.rings, self.mode = "log", "cluster", False, "replace"
        self.moment, self.average = "mean", state.average()
        self.thumbnails = Thumbnails(state.run.store)
        self.layout, self.frame = LayoutFigure(), FrameFigure(state.run.store.geometry)
        self.layout.plot.name, self.frame.plot.name = "layout", "frame"
        self.frame.show_rings(False)
        self._redraw_later: Any = None
        self.redraw(whole=True)
        self.refresh_labels()
        self.refresh_selection()
        self.wire.send()
        self._wire()

    def _wire(self) -> None:
        doc, plot, bridge = self.doc, self.layout.plot, self.wire.bridge
        doc.template = page_template()
        doc.title = f"{self.state.run.work.path.resolve().name} · shotsort"
        doc.template_variables["work"] = escape(self.state.run.work.path.resolve().name)
        doc.template_variables["empty"] = ""
        plot.on_event(SelectionGeometry, self._drawn)
        plot.on_event(Tap, self._tapped)
        plot.on_event(RangesUpdate, self._moved)
        bridge.on_change("message", self._received)
        tools = {"lasso": self.layout.lasso, "box": self.layout.box, "pan": self.layout.pan}
        doc.js_on_event(
            "document_ready",
            CustomJS(args={"bridge": bridge, **tools}, code="shotsort.start(bridge, {lasso, box, pan})"),
        )
        for event, name in (("mousemove", "hover"), ("mouseleave", "leave")):
            plot.js_on_event(event, CustomJS(code=f"shotsort.{name}(cb_obj)"))
        for root in (plot, self.frame.plot, bridge):
            doc.add_root(root)
        doc.add_periodic_callback(self._poll, POLL_MS)

    # -- from the page ---------------------------------------------------------------------------------------------------
    def _received(self, _attr: str, _old: str, text: str) -> None:
        try:
            message = json.loads(text)
            number, act, value = int(message["n"]), str(message["act"]), message.get("value", "")
        except (ValueError, KeyError, TypeError):
            log.warning("a page sent what is no message: %.80r", text)
            return
        self.wire.heard = True
        action = getattr(self, "do_" + act.replace("-", "_"), None)
        if action is None:
            log.warning("a page asked for the unknown action %.40r", act)
        else:
            self._guarded(action, value)
        self.wire.send(done=number)

    def _guarded(self, action: Any, *values: Any) -> None:
        """Do it; an error of the person's, or of the files, becomes a message on the page."""
        try:
            action(*values)
        except ShotsortError as error:
            self.say(str(error), bad=True)
        except (ValueError, TypeError, KeyError, OverflowError):
            log.exception("%s%s", action.__name__, values)
            self.say("that did not work; reload the page and try again", bad=True)

    def _drawn(self, event: SelectionGeometry) -> None:
        if event.final and event.geometry:
            self._guarded(self._select_region, event.geometry)
            self.wire.send()

    def _select_region(self, drawn: dict[str, Any]) -> None:
        if drawn["type"] == "rect":
            x0, x1, y0, y1 = (float(drawn[k]) for k in ("x0", "x1", "y0", "y1"))
            polygon = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
        else:
            polygon = np.column_stack([np.asarray(list(drawn[k]), float) for k in ("x", "y")])
        if len(polygon) < 3 or not np.isfinite(polygon).all():
            return
        self.state.select_region(polygon, self.mode)
        if not len(self.state.selection):
            self.say("no points in there")
        self.refresh_selection()

    def _tapped(self, event: Tap) -> None:
        self._guarded(self._select_point, event)
        self.wire.send()

    def _select_point(self, event: Tap) -> None:
        if self.state.select_point(float(event.x), float(event.y), REACH_PX * self.layout.view.per_px()):
            self.refresh_selection()

    def _moved(self, _event: RangesUpdate) -> None:
        if len(self.state.points.xy) <= MOST_POINTS:
            return
        if self._redraw_later is not None:
            self.doc.remove_timeout_callback(self._redraw_later)
        self._redraw_later = self.doc.add_timeout_callback(self._redraw_moved, 150)

    def _redraw_moved(self) -> None:
        self._redraw_later = None
        drawn = self.layout.refine()
        self.refresh_marks()
        self.wire.show(legend=panels.legend(self.coloring, self.state, drawn))
        self.wire.send()

    def _poll(self) -> None:
        if ground.ready() and self.layout.ground_wanted:
            self._redraw_moved()
        try:
            if self.state.refresh_labels():
                self.refresh_all_labels()
            if self.state.results_changed():
                news = "The clusters or the layout were made anew. <button data-reload>Load them</button>"
                self.wire.show(banner=news)
        except ShotsortError as error:
            self.wire.show(banner=escape(str(error)))
        self.wire.send()

    # -- to the page -----------------------------------------------------------------------------------------------------
    def say(self, text: str, bad: bool = False) -> None:
        """A short message; a person's own words in it are escaped."""
        self.wire.say(escape(text), bad)

    def redraw(self, whole: bool) -> None:
        """Draw the layout's points in the present colouring."""
        state = self.state
        choices = colorings(state.run, state.labels)
        self.color_by = self.color_by if self.color_by in choices else next(iter(choices))
        self.coloring = choices[self.color_by]()
        drawn = self.layout.draw(state.points, self.coloring, state.run.spread, whole)
        self.layout.name_clusters(state.run.cluster_middles)
        self.wire.show(
            coloring=panels.color_choice(list(choices), self.color_by),
            legend=panels.legend(self.coloring, state, drawn),
        )

    def refresh_all_labels(self) -> None:
        """After a change of the label book."""
        self.refresh_labels()
        if self.state.selection.kind == "label":
            self.refresh_selection()
        else:
            self.wire.show(selection=panels.selection(self.state))
            self.refresh_page()
            self._refresh_viewer_text()

    def refresh_labels(self) -> None:
        """Everything that labels show in, besides the selection."""
        state = self.state
        self.wire.show(
            counts=panels.counts(state),
            views=panels.views(state),
            undo=panels.undo_buttons(state),
            known=panels.known_labels(state),
        )
        if self.color_by == "label":
            self.redraw(whole=False)
            self.refresh_marks()
        self._refresh_tables()

    def _refresh_tables(self) -> None:
        state = self.state
        medoids = self.thumbnails.urls(state.run.clustering.medoids) if state.run.clustering else []
        self.wire.show(
            clusters=panels.clusters(state, medoids), labels=panels.labels(state), export=panels.export_hint(state)
        )

    def refresh_selection(self) -> None:
        """After another selection."""
        self.wire.show(selection=panels.selection(self.state))
        self._refresh_tables()
        self.refresh_page()
        self.refresh_focus()

    def refresh_page(self) -> None:
        """The page of thumbnails."""
        state = self.state
        urls = self.thumbnails.urls(state.run.frame_id[state.page_rows()], self.scale)
        self.wire.show(pager=frame_panels.pager(state), thumbs=frame_panels.thumbs(state, urls))

    def refresh_focus(self) -> None:
        """The large picture: a frame at once, a mean as its frames are read."""
        self.refresh_marks()
        if self.state.focus is not None:
            self._show_picture(self.state.run.store.read(self.state.run.frame_id[[self.state.focus]])[0])
            return
        self.average = self.state.average()
        self._show_picture(None)
        if self.wire.heard and not self.average.complete:
            self.doc.add_next_tick_callback(partial(self._average_more, self.average))

    def _average_more(self, average: Average) -> None:
        """Read more frames of ``average``, if it is still the one to be shown."""
        if average is not self.average or self.state.focus is not None or average.complete:
            return
        self._guarded(average.read_more)
        statistics = average.finish()
        self._show_picture(statistics.std**2 if self.moment == "variance" else statistics.mean)
        self.wire.send()
        if not average.complete:
            self.doc.add_next_tick_callback(partial(self._average_more, average))

    def _show_picture(self, picture: NDArray | None) -> None:
        self.frame.show(picture, self.state.run.store.bad_pixels, self.scale)
        self._refresh_viewer_text()

    def _refresh_viewer_text(self) -> None:
        self.wire.show(viewer=frame_panels.viewer(self.state, self.scale, self.rings, self.average, self.moment))

    def refresh_marks(self) -> None:
        """The selection's points in the layout."""
        state = self.state
        points = state.run.in_layout[state.selection.rows]
        focus = None if state.focus is None else int(state.run.in_layout[state.focus])
        focus = None if focus is None or focus < 0 else focus
        self.layout.mark(points[points >= 0], focus, len(state.selection) > 0)


def build_page(doc: Document, library: Library, book: LabelBook) -> None:
    """Fill ``doc``: the explorer, or a page that says what is missing and comes alive when it is there."""
    try:
        Session(doc, library, book)
    except ShotsortError as error:
        _explain(doc, library, error)


def _explain(doc: Document, library: Library, error: ShotsortError) -> None:
    bridge = Bridge(name="bridge")
    doc.template = page_template()
    doc.title = "shotsort"
    doc.template_variables["work"] = escape(library.work.path.resolve().name)
    doc.template_variables["empty"] = panels.empty_page(library, error)
    doc.js_on_event("document_ready", CustomJS(args={"bridge": bridge}, code="shotsort.wait(bridge)"))
    doc.add_root(bridge)
    stamp = library.stamp()

    def poll() -> None:
        if library.stamp() != stamp:
            bridge.answer = "ready"

    doc.add_periodic_callback(poll, POLL_MS)
