"""Two programs that show a layout in the browser, driven by mouse and keys and timed: the explorer, and a plain scatter."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

import numpy as np

from apps.bench.chromium import MESA, Chromium
from apps.explorer.layout_figure import MOST_ON_CANVAS, MOST_POINTS
from sorter.core.errors import InputError
from sorter.io.workfolder import WorkFolder

#: An answer that took longer is not asked for again.
LONG_S = 10.0
_RENDERER = """() => {
    const gl = document.createElement("canvas").getContext("webgl"), about = gl?.getExtension("WEBGL_debug_renderer_info");
    return gl ? gl.getParameter(about ? about.UNMASKED_RENDERER_WEBGL : gl.RENDERER) : "none"; }"""
_GROUND = "Bokeh.documents[0].get_model_by_name('ground').data.image.length > 0"
_NEXT_PICTURE = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
_LABELLED = "document.querySelector('#labels').textContent.includes('timed')"
_SAID = "Bokeh.documents[0].get_model_by_name('said').text"
_PLAIN = """
import numpy as np
from bokeh.models import ColumnDataSource, Div, LassoSelectTool
from bokeh.plotting import curdoc, figure
from bokeh.layouts import column
from sorter.io.workfolder import WorkFolder
work = WorkFolder({path!r})
xy, labels = work.read_layout("drawn").xy, work.read_clustering("density").labels
palette = np.array(["#%06x" % (0x335577 + 0x0512a7 * k & 0xffffff) for k in range(64)])
source = ColumnDataSource({{"x": xy[:, 0], "y": xy[:, 1], "c": palette[labels % 64]}})
plot = figure(name="layout", output_backend="{backend}", tools="wheel_zoom", active_scroll="wheel_zoom", width=900, height=700,
              toolbar_location=None, min_border=0)
plot.axis.visible = False
lasso = LassoSelectTool(continuous=False)
plot.add_tools(lasso)
plot.toolbar.active_drag = lasso
plot.scatter("x", "y", color="c", size=3, source=source)
said = Div(text="0", name="said")
source.selected.on_change("indices", lambda attr, old, new: setattr(said, "text", f"<b id=n>{{len(new)}}</b>"))
curdoc().add_root(column(plot, said))
"""


class Overdue(Exception):
    """A step took longer than a bench waits. Its name is the argument."""


class Program:
    """A server in a process of its own and one page on it, in a browser of its own."""

    name: ClassVar[str]
    map_selector: ClassVar[str]
    corners: ClassVar[int] = 24
    flags: ClassVar[tuple[str, ...]] = ("--disable-gpu",)

    def __init__(self, launch: Callable[[tuple[str, ...]], Chromium], work: WorkFolder, timeout_s: float) -> None:
        self.work, self.timeout_s, self.overdue, self.turn = work, timeout_s, False, 1
        self.row: dict[str, float | str | None] = {}
        self.xy = work.read_layout("drawn").xy
        self.chromium = launch(self.flags)
        self.page = self.chromium.page
        self.page.set_default_timeout(0)  # `within` ends what takes too long
        self.page.add_init_script("localStorage.setItem('shotsort-tour', 'done')")
        self.began = time.perf_counter()
        try:
            self.server, self.url = self.serve()
        except BaseException:
            self.chromium.close()
            raise

    def serve(self) -> tuple[subprocess.Popen, str]:
        """Start the server; returns it and its address."""
        raise NotImplementedError

    def measure(self, repeats: int) -> None:
        """Time every step into `row`. Raises Overdue."""
        raise NotImplementedError

    def __enter__(self) -> Any:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.chromium.close()
        self.server.terminate()
        try:
            self.server.wait(30)
        except subprocess.TimeoutExpired:
            self.server.kill()

    def measured(self, repeats: int) -> dict[str, Any]:
        """The seconds of every step and the memory. A step that is overdue is null, named in "overdue", and the last one."""
        try:
            self.measure(repeats)
            with self.within("page_mb"):
                heap = self.page.evaluate("() => performance.memory ? performance.memory.usedJSHeapSize : 0")
            self.row["page_mb"] = round(heap / 2**20, 1)
        except Overdue as step:
            self.row.update({str(step): None, "overdue": str(step)})
        status = Path(f"/proc/{self.server.pid}/status")
        high = re.search(r"VmHWM:\s+(\d+)", status.read_text()) if status.exists() else None
        return {**self.row, "server_mb": round(int(high[1]) / 1024) if high else None}

    @contextmanager
    def within(self, step: str) -> Iterator[None]:
        """Ends the browser if the block takes longer than ``timeout_s``, as a page that draws answers nothing. Raises Overdue."""
        from playwright.sync_api import Error

        def end() -> None:
            self.overdue = True
            self.chromium.kill()

        alarm = threading.Timer(self.timeout_s, end)
        alarm.start()
        try:
            yield
        except Error:
            if not self.overdue:
                raise
        finally:
            alarm.cancel()
        if self.overdue:
            raise Overdue(step)

    def timed(self, act: Callable[[], Any], seen: Callable[[], Any]) -> float:
        """Seconds from ``act`` until ``seen`` and the next picture."""
        start = time.perf_counter()
        act()
        seen()
        self.page.evaluate(_NEXT_PICTURE)
        return time.perf_counter() - start

    def since_start(self) -> float:
        """Seconds since the server was started."""
        return round(time.perf_counter() - self.began, 3)

    def until(self, condition: str, *values: Any) -> None:
        """Wait until a JavaScript condition of ``v`` holds."""
        self.page.wait_for_function(f"v => {condition}", arg=list(values), polling="raf")

    def wheel(self) -> None:
        """Zoom a little about the middle of the map, in and out by turns."""
        box = self.page.locator(self.map_selector).bounding_box()
        self.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        self.turn = -self.turn
        self.page.mouse.wheel(0, 120 * self.turn)

    def lasso_tenth(self) -> None:
        """Draw around about a tenth of the points."""
        middle = np.median(self.xy, axis=0)
        radius = float(np.quantile(np.hypot(*(self.xy - middle).T), 0.1))
        around = np.linspace(0, 2 * np.pi, self.corners + 1)
        with self.within("lasso_s"):
            x0, x1, y0, y1, width, height = self.page.evaluate(
                """() => { const p = Bokeh.documents[0].get_model_by_name("layout");
                return [p.x_range.start, p.x_range.end, p.y_range.start, p.y_range.end, p.inner_width, p.inner_height]; }"""
            )
            box = self.page.locator(f"{self.map_selector} canvas").first.bounding_box()
            px = box["x"] + (middle[0] + radius * np.cos(around) - x0) / (x1 - x0) * width
            py = box["y"] + (y1 - middle[1] - radius * np.sin(around)) / (y1 - y0) * height
            self.page.mouse.move(px[0], py[0])
            self.page.mouse.down()
        for x, y in zip(px[1:], py[1:]):
            with self.within("lasso_s"):  # as a hand that sees what it draws: moves that come faster are dropped
                self.page.mouse.move(x, y)
                self.page.evaluate(_NEXT_PICTURE)

    def note(self, step: str, act: Callable[[], float], repeats: int, before: Callable[[], None] | None = None) -> None:
        """Note the median of the seconds of repeats, of which none follows one that took LONG_S; ``before`` each."""
        took: list[float] = []
        while len(took) < repeats and not (took and took[-1] > LONG_S):
            if before is not None:
                before()
            with self.within(step):
                took.append(act())
        self.row[step] = round(statistics.median(took), 3)


class Explored(Program):
    """The explorer."""

    name = "explorer"
    map_selector = "#map"

    def serve(self) -> tuple[subprocess.Popen, str]:
        """``shotsort explore``."""
        command = [sys.executable, "-m", "apps.cli", "explore", str(self.work.path), "--port", "0", "--no-browser"]
        return served(command, "Explorer: ")

    def measure(self, repeats: int) -> None:
        """Every step of the bench."""
        with self.within("start_s"):
            self.page.goto(self.url)
            self.page.wait_for_selector("body[data-ready=yes]")
            self.page.evaluate(_NEXT_PICTURE)
            self.row["start_s"] = self.since_start()
        with self.within("whole_s"):
            self.until("v[0] || " + _GROUND, len(self.xy) <= MOST_ON_CANVAS)
            self.row["whole_s"] = self.since_start()
            self.settle()
            self.until("document.querySelectorAll('#thumbs img').length > 0")
        self.row["drawn_by"] = str(self.page.evaluate("document.body.dataset.drawn"))
        self.page.wait_for_timeout(3000)  # the mean, which is read aside, is not part of any step
        self.note("zoom_s", self.zoom, repeats)
        took: dict[str, list[float]] = {"lasso_s": [], "label_s": [], "undo_s": []}
        for _ in range(repeats):
            self.show_all()
            self.lasso_tenth()
            for step, act in (("lasso_s", self.lasso), ("label_s", self.label), ("undo_s", self.undo)):
                with self.within(step):
                    took[step].append(act())
        self.row.update({step: round(statistics.median(seconds), 3) for step, seconds in took.items()})

    def show_all(self) -> None:
        """Nothing selected, all points in view."""
        with self.within("lasso_s"):
            self.page.keyboard.press("Escape")
            self.page.keyboard.press("f")
            self.settle()

    def lasso(self) -> float:
        """From the end of a lasso to its thumbnails."""
        drawn = "document.querySelector('#selection h2').textContent === 'Lasso'"
        return self.timed(self.page.mouse.up, lambda: self.until(drawn))

    def label(self) -> float:
        """From Enter to the label in the list."""
        self.page.keyboard.press("l")
        self.page.keyboard.type("timed")
        seconds = self.timed(lambda: self.page.keyboard.press("Enter"), lambda: self.until(_LABELLED))
        self.settle()
        return seconds

    def undo(self) -> float:
        """From Ctrl+Z to the list without the label."""
        return self.timed(lambda: self.page.keyboard.press("Control+z"), lambda: self.until(f"!{_LABELLED}"))

    def settle(self) -> None:
        """Wait until the server has answered all."""
        self.until("document.body.dataset.done === document.body.dataset.sent")

    def zoom(self) -> float:
        """Wheel to the refined picture; with few points, which the page has, to the next picture."""
        before = int(self.page.evaluate("document.body.dataset.answer"))
        few = len(self.xy) <= (MOST_POINTS if self.row["drawn_by"] == "webgl" else MOST_ON_CANVAS)
        return self.timed(
            self.wheel, lambda: None if few else self.until("Number(document.body.dataset.answer) > v[0]", before)
        )


class PlainWebGL(Program):
    """A Bokeh server with one scatter: all points sent, the indices of a lasso sent back."""

    name = "plain Bokeh scatter, WebGL"
    map_selector = ".bk-Figure"
    flags = MESA
    backend: ClassVar[str] = "webgl"
    corners = 6  # it draws all its points again for each

    def serve(self) -> tuple[subprocess.Popen, str]:
        """``bokeh serve`` of a script of a dozen lines."""
        script = self.work.path.parent / f"plain_{self.backend}_{len(self.xy)}.py"
        script.write_text(_PLAIN.format(path=str(self.work.path), backend=self.backend))
        command = [sys.executable, "-m", "bokeh", "serve", str(script), "--port", "0", "--log-level", "info"]
        return served(command, "running at: ")

    def measure(self, repeats: int) -> None:
        """Start, zoom and lasso; it has no labels."""
        with self.within("start_s"):
            self.page.goto(self.url)
            self.until("window.Bokeh && Bokeh.documents[0] && Bokeh.documents[0].is_idle")
            self.page.evaluate(_NEXT_PICTURE)
            self.row["start_s"] = self.since_start()
        with self.within("drawn_by"):
            self.row["drawn_by"] = str(self.page.evaluate(_RENDERER)) if self.backend == "webgl" else self.backend
        self.note("zoom_s", lambda: self.timed(self.wheel, lambda: None), repeats)
        self.note("lasso_s", self.lasso, repeats, self.draw)

    def draw(self) -> None:
        """Draw a lasso; nothing is selected before."""
        with self.within("lasso_s"):
            self.page.keyboard.press("Escape")
            self.until(f"!{_SAID}.includes('<b') || {_SAID}.includes('>0<')")
        self.lasso_tenth()

    def lasso(self) -> float:
        """From the end of a lasso until the server has said how many points are in it."""
        return self.timed(self.page.mouse.up, lambda: self.until(f"!{_SAID}.includes('>0<') && {_SAID}.includes('<b')"))


class PlainCanvas(PlainWebGL):
    """The same without WebGL, for browsers that only emulate it."""

    name = "plain Bokeh scatter, canvas"
    flags = ("--disable-gpu",)
    backend = "canvas"


def served(command: list[str], words: str) -> tuple[subprocess.Popen, str]:
    """Start a server; returns it and the address that it says after ``words``. Raises InputError if it ends before."""
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)  # bokeh prints
    assert server.stderr is not None
    told = []
    for line in server.stderr:
        told.append(line)
        if found := re.search(words + r"(http://\S+)", line):
            return server, found[1]
    raise InputError(f"bench explorer: {' '.join(command[2:])} does not serve: {''.join(told[-3:]).strip()}")
