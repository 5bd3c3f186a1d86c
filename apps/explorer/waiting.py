"""The page of a work folder that cannot be shown yet: says why, offers to make the layout, and goes on when there is one."""

from __future__ import annotations

import json
from html import escape

from bokeh.document import Document
from bokeh.models import CustomJS

from apps.explorer import heavy, panels, tabs
from apps.explorer.bridge import Wire
from apps.explorer.jobs import Job
from apps.explorer.run import Library
from sorter.core.errors import ShotsortError


class Waiting:
    """Fills ``doc``. The work belongs to the library, so that all pages see it and none starts it twice."""

    def __init__(self, doc: Document, library: Library, error: ShotsortError, read_only: bool) -> None:
        self.library, self.read_only = library, read_only
        self.wire = Wire()
        self._stamp, self._could_not = library.stamp(), bool(library.layouts())
        doc.title = "shotsort"
        doc.template_variables["work"] = escape(library.work.path.resolve().name)
        doc.template_variables["empty"] = panels.empty_page(library, error, read_only)
        bridge = self.wire.bridge
        doc.js_on_event("document_ready", CustomJS(args={"bridge": bridge}, code="shotsort.wait(bridge)"))
        doc.js_on_event("connection_lost", CustomJS(code="shotsort.lost()"))
        bridge.on_change("message", self._received)
        doc.add_root(bridge)
        self._show()
        doc.add_periodic_callback(self.poll, 1000)

    def _received(self, _attr: str, _old: str, text: str) -> None:
        message, job = json.loads(text), self.library.job
        self.wire.heard = True
        if message["act"] == "make" and not self.read_only and job is None:
            self.library.job = Job("making the layout", heavy.make_layout, str(self.library.work.path))
        elif message["act"] == "cancel" and job is not None:
            job.cancel()
        self.poll()
        self.wire.send(done=int(message["n"]))

    def poll(self) -> None:
        """Take in how the work stands; the page is loaded again once there is a layout, or what was wrong has changed."""
        job = self.library.job
        if job is not None and job.poll():
            self.library.job = None
            self.wire.say(escape(job.error or ""), bad=True)
        if (
            self.library.stamp() != self._stamp
            and (self._could_not or self.library.layouts())
            and self.library.job is None
        ):
            self.wire.show(reload="now")
        self._show()

    def _show(self) -> None:
        job = self.library.job
        self.wire.show(job="" if job is None else tabs.job_running(job))
        self.wire.send()
