"""One page: what the browser says goes to the state, what changed goes to the panels and figures."""

from __future__ import annotations

import json
import logging
import time
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from bokeh.document import Document
from bokeh.events import RangesUpdate, SelectionGeometry, Tap
from bokeh.models import CustomJS
from jinja2 import Template

from apps.explorer import ground, tabs
from apps.explorer.actions import REACH_PX, LookActions
from apps.explorer.actions_label import LabelActions
from apps.explorer.actions_work import WorkActions
from apps.explorer.bridge import Wire
from apps.explorer.desk import Desk
from apps.explorer.frame_figure import FrameFigure
from apps.explorer.labelling import Labelling
from apps.explorer.layout_figure import LayoutFigure
from apps.explorer.run import Library
from apps.explorer.shaping import Shaping
from apps.explorer.state import Explorer
from apps.explorer.thumbnails import CLIP, Thumbnails
from apps.explorer.waiting import Waiting
from sorter.core.errors import ShotsortError
from sorter.curate.label_book import LabelBook
from sorter.online.status import read_status, status_path

log = logging.getLogger(__name__)
HERE = Path(__file__).parent
POLL_MS = 1000
#: Taking in new frames may take one part in this of the time.
FOLLOW_SHARE = 5
#: Actions that change something in the work folder.
CHANGES = frozenset(
    [
        "label",
        "class-label",
        "class-key",
        "unlabel",
        "undo",
        "redo",
        "define-class",
        "class-color",
        "forget-class",
        "propose",
        "accept",
        "revoke",
        "merge",
        "take",
        "cut",
        "lay-out",
        "subset",
        "export",
        "send",
    ]
)


def page_template() -> Template:
    """The page, with its style and script inside."""
    text = (HERE / "page.html").read_text()
    return Template(
        text.replace("/*STYLE*/", (HERE / "page.css").read_text()).replace("/*SCRIPT*/", (HERE / "page.js").read_text())
    )


class Session(LookActions, LabelActions, WorkActions):
    """Builds the page of one browser in ``doc`` and answers it."""

    def __init__(self, doc: Document, library: Library, book: LabelBook, read_only: bool = False) -> None:
        self.doc, self.read_only = doc, read_only
        self.state = state = Explorer(library, book)
        self.labelling, self.shaping, self.desk = Labelling(state), Shaping(state), Desk()
        self.wire = Wire()
        self.scale, self.clip, self.color_by, self.rings, self.mode = "log", CLIP, "cluster", False, "replace"
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
        doc.js_on_event("connection_lost", CustomJS(code="shotsort.lost()"))
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
        elif self.read_only and act in CHANGES:
            self.say("this explorer is read-only: it was started with --read-only", bad=True)
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
        if len(self.state.points.xy) <= self.layout.most_points:
            return
        if self._redraw_later is not None:
            self.doc.remove_timeout_callback(self._redraw_later)
        self._redraw_later = self.doc.add_timeout_callback(self._redraw_moved, 150)

    def _redraw_moved(self) -> None:
        self._redraw_later = None
        self.refine()
        self.wire.send(always=True)

    def _poll(self) -> None:
        self.poll_job()
        if ground.ready() and self.layout.ground_wanted:
            self._redraw_moved()
        try:
            if self.state.refresh_labels():
                self.refresh_all_labels()
            self._follow_recording()
            changed = self.state.results_changed() and not self.desk.watched
            news = "The clusters or the layout were made anew. <button data-reload>Load them</button>"
            self.wire.show(banner=news if changed else "")
        except ShotsortError as error:
            self.wire.show(banner=escape(str(error)))
        self.wire.send()

    def _follow_recording(self) -> None:
        """Take in the live status of a watched run, and its new frames unless the page was told to pause."""
        desk = self.desk
        if desk.live is None and not status_path(self.state.run.work.path).exists():
            return
        desk.live = read_status(self.state.run.work.path)
        if (
            desk.live is not None
            and not desk.paused
            and time.monotonic() >= desk.next_look
            and self.state.results_changed()
        ):
            began = time.monotonic()
            self.take_in()
            desk.next_look = time.monotonic() + FOLLOW_SHARE * (time.monotonic() - began)
        self.wire.show(tabs=tabs.tab_bar(desk))
        if desk.tab == "live":
            self.refresh_tab()


def build_page(doc: Document, library: Library, book: LabelBook, read_only: bool = False) -> None:
    """Fill ``doc``: the explorer, or a page that says what is missing and comes alive when it is there."""
    doc.template = page_template()
    try:
        Session(doc, library, book, read_only)
    except ShotsortError as error:
        Waiting(doc, library, error, read_only)
