"""Two programs that show a layout in the browser, driven by mouse and keys and timed: the explorer, and a plain scatter."""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

import numpy as np

from apps.explorer.layout_figure import MOST_ON_CANVAS, MOST_POINTS
from sorter.core.errors import InputError
from sorter.io.workfolder import WorkFolder

FLAGS = ("--headless", "--no-sandbox", "--no-first-run", "--disable-background-networking")
#: WebGL by Mesa, where there is no graphics card: some hundred times faster for Bokeh's points than what Chromium brings along.
MESA = ("--use-gl=angle", "--use-angle=gl-egl", "--ignore-gpu-blocklist", "--disable-gpu-sandbox")
#: An answer that took longer is not asked for again.
LONG_S = 10.0
_RENDERER = """() => {
    const gl = document.createElement("canvas").getContext("webgl"), about = gl?.getExtension("WEBGL_debug_renderer_info");
    return gl ? gl.getParameter(about ? about.UNMASKED_RENDERER_WEBGL : gl.RENDERER) : "none"; }"""
_GROUND = "Bokeh.documents[0].get_model_by_name('ground').data.image.length > 0"
_NEXT_PICTURE = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
_PLAIN = """
import numpy as np
from bokeh.models import ColumnDataSource, Div
from bokeh.plotting import curdoc, figure
from bokeh.layouts import column
from sorter.io.workfolder import WorkFolder
work = WorkFolder({path!r})
xy, labels = work.read_layout("drawn").xy, work.read_clustering("density").labels
palette = np.array(["#%06x" % (0x335577 + 0x0512a7 * k & 0xffffff) for k in range(64)])
source = ColumnDataSource({{"x": xy[:, 0], "y": xy[:, 1], "c": palette[labels % 64]}})
plot = figure(name="layout", output_backend="webgl", tools="lasso_select,wheel_zoom", active_drag="lasso_select",
              active_scroll="wheel_zoom", width=900, height=700)
plot.scatter("x", "y", color="c", size=3, source=source)
said = Div(text="0", name="said")
source.selected.on_change("indices", lambda attr, old, new: setattr(said, "text", f"<b id=n>{{len(new)}}</b>"))
curdoc().add_root(column(plot, said))
"""


@contextmanager
def browser() -> Iterator[Callable[[tuple[str, ...]], Any]]:
    """What starts a headless Chromium with further flags. Raises InputError without playwright, or without a Chromium (the
    variable CHROMIUM names one)."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise InputError("bench explorer: needs playwright; pip install 'shotsort[dev]'") from None
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if path is None:
        raise InputError("bench explorer: no Chromium found; set CHROMIUM to one")
    with sync_playwright() as play:
        env = {**os.environ, "EGL_PLATFORM": "surfaceless"}
        yield lambda flags: play.chromium.launch(executable_path=path, args=[*FLAGS, *flags], env=env)


class Program:
    """A server in a process of its own and one page on it, in a browser of its own."""

    name: ClassVar[str]
    map_selector: ClassVar[str]
    corners: ClassVar[int] = 24
    flags: ClassVar[tuple[str, ...]] = ("--disable-gpu",)

    def __init__(self, launch: Callable[[tuple[str, ...]], Any], work: WorkFolder, timeout_s: float) -> None:
        self.work, self.timeout_s = work, timeout_s
        self.xy = work.read_layout("drawn").xy
        self.chromium = launch(self.flags)
        self.page = self.chromium.new_page(viewport={"width": 1280, "height": 800})
        self.page.set_default_timeout(1000 * timeout_s)
        self.page.add_init_script("localStorage.setItem('shotsort-tour', 'done')")
        self.began = time.perf_counter()
        self.server, self.url = self.serve()

    def serve(self) -> tuple[subprocess.Popen, str]:
        """Start the server; returns it and its address."""
        raise NotImplementedError

    def __enter__(self) -> Any:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.chromium.close()
        self.server.terminate()
        self.server.wait(30)

    def timed(self, act: Callable[[], Any], seen: Callable[[], Any]) -> float | None:
        """Seconds from ``act`` until ``seen`` and the next picture; None where that did not come in time."""
        from playwright.sync_api import TimeoutError as TooLong

        start = time.perf_counter()
        try:
            act()
            seen()
            self.page.evaluate(_NEXT_PICTURE)
        except TooLong:
            return None
        return time.perf_counter() - start

    def until(self, condition: str, *values: Any) -> None:
        """Wait until a JavaScript condition of ``v`` holds."""
        self.page.wait_for_function(f"v => {condition}", arg=list(values), polling="raf")

    def wheel(self) -> None:
        """Zoom a little about the middle of the map."""
        box = self.page.locator(self.map_selector).bounding_box()
        self.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        self.page.mouse.wheel(0, -120)

    def lasso_tenth(self) -> None:
        """Draw around about a tenth of the points."""
        middle = np.median(self.xy, axis=0)
        radius = float(np.quantile(np.hypot(*(self.xy - middle).T), 0.1))
        around = np.linspace(0, 2 * np.pi, self.corners + 1)
        ranges = self.page.evaluate(
            """() => { const p = Bokeh.documents[0].get_model_by_name("layout");
            return [p.x_range.start, p.x_range.end, p.y_range.start, p.y_range.end, p.inner_width, p.inner_height]; }"""
        )
        x0, x1, y0, y1, width, height = ranges
        box = self.page.locator(f"{self.map_selector} canvas").first.bounding_box()
        px = box["x"] + (middle[0] + radius * np.cos(around) - x0) / (x1 - x0) * width
        py = box["y"] + (y1 - middle[1] - radius * np.sin(around)) / (y1 - y0) * height
        self.page.mouse.move(px[0], py[0])
        self.page.mouse.down()
        for x, y in zip(px[1:], py[1:]):
            self.page.mouse.move(x, y)

    def memory(self) -> dict[str, float | None]:
        """Highest resident memory of the server and present heap of the page, MB."""
        status = Path(f"/proc/{self.server.pid}/status")
        high = re.search(r"VmHWM:\s+(\d+)", status.read_text()) if status.exists() else None
        heap = self.page.evaluate("() => performance.memory ? performance.memory.usedJSHeapSize : 0")
        return {"server_mb": round(int(high[1]) / 1024) if high else None, "page_mb": round(heap / 2**20, 1)}

    @staticmethod
    def median(step: Callable[[], float | None], repeats: int) -> float | None:
        """Median of the seconds of repeats, of which none follows one that took LONG_S; None where one did not come."""
        took: list[float] = []
        while len(took) < repeats and not (took and took[-1] > LONG_S):
            seconds = step()
            if seconds is None:
                return None
            took.append(seconds)
        return round(statistics.median(took), 3)

    def drawn_with(self) -> str:
        """What the browser's WebGL is drawn by."""
        return str(self.page.evaluate(_RENDERER))


class Explored(Program):
    """The explorer."""

    name = "explorer"
    map_selector = "#map"

    def serve(self) -> tuple[subprocess.Popen, str]:
        """``shotsort explore``."""
        command = [sys.executable, "-m", "apps.cli", "explore", str(self.work.path), "--port", "0", "--no-browser"]
        server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert server.stderr is not None
        found = re.search(r"http://\S+", server.stderr.readline())
        assert found is not None
        return server, found.group()

    def measure(self, repeats: int) -> dict[str, float | None]:
        """Every step of the bench."""
        self.page.goto(self.url)
        self.page.wait_for_selector("body[data-ready=yes]")
        self.page.evaluate(_NEXT_PICTURE)
        out: dict[str, float | None] = {"start_s": round(time.perf_counter() - self.began, 3)}
        self.until("v[0] || " + _GROUND, len(self.xy) <= MOST_ON_CANVAS)
        out["whole_s"] = round(time.perf_counter() - self.began, 3)
        self.settle()
        self.until("document.querySelectorAll('#thumbs img').length > 0")
        self.page.wait_for_timeout(3000)  # the mean, which is read aside, is not part of any step
        out["zoom_s"] = self.median(self.zoom, repeats)
        rounds = [self.round() for _ in range(repeats)]
        steps = {key: self.median(iter([one[key] for one in rounds]).__next__, repeats) for key in rounds[0]}
        return {**out, **steps, **self.memory()}

    def round(self) -> dict[str, float | None]:
        """Lasso, label and undo once."""
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("f")
        self.settle()
        self.lasso_tenth()
        drawn = "document.querySelector('#selection h2').textContent === 'Lasso'"
        lasso = self.timed(self.page.mouse.up, lambda: self.until(drawn))
        self.page.keyboard.press("l")
        self.page.keyboard.type("timed")
        named = "document.querySelector('#labels').textContent.includes('timed')"
        label = self.timed(lambda: self.page.keyboard.press("Enter"), lambda: self.until(named))
        self.settle()
        undo = self.timed(lambda: self.page.keyboard.press("Control+z"), lambda: self.until(f"!{named}"))
        return {"lasso_s": lasso, "label_s": label, "undo_s": undo}

    def settle(self) -> None:
        """Wait until the server has answered all."""
        self.until("document.body.dataset.done === document.body.dataset.sent")

    def zoom(self) -> float | None:
        """Wheel to the refined picture; with few points, which the page has, to the next picture."""
        before = int(self.page.evaluate("document.body.dataset.answer"))
        few = len(self.xy) <= (
            MOST_POINTS if self.page.evaluate("document.body.dataset.drawn") == "webgl" else MOST_ON_CANVAS
        )
        return self.timed(
            self.wheel, lambda: None if few else self.until("Number(document.body.dataset.answer) > v[0]", before)
        )


class Plain(Program):
    """A Bokeh server with one WebGL scatter: all points sent, the indices of a lasso sent back."""

    name = "plain Bokeh scatter"
    map_selector = ".bk-Figure"
    flags = MESA
    corners = 8  # it draws all its points again for each

    def serve(self) -> tuple[subprocess.Popen, str]:
        """``bokeh serve`` of a script of a dozen lines."""
        script = self.work.path.parent / f"plain_{len(self.xy)}.py"
        script.write_text(_PLAIN.format(path=str(self.work.path)))
        port = 20_000 + os.getpid() % 20_000
        command = [sys.executable, "-m", "bokeh", "serve", str(script), "--port", str(port), "--log-level", "info",
                   "--websocket-max-message-size", str(2**30)]  # fmt: skip
        server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert server.stderr is not None
        while "running at" not in server.stderr.readline():
            pass
        return server, f"http://localhost:{port}/{script.stem}"

    def measure(self, repeats: int) -> dict[str, float | None]:
        """Start, zoom and lasso; it has no labels."""
        ready = "window.Bokeh && Bokeh.documents[0] && Bokeh.documents[0].is_idle"

        def open_page() -> None:
            self.page.goto(self.url)
            self.until(ready)

        if self.timed(open_page, lambda: None) is None:
            return self.memory()
        out: dict[str, float | None] = {"start_s": round(time.perf_counter() - self.began, 3)}
        out["zoom_s"] = self.median(lambda: self.timed(self.wheel, lambda: None), repeats)
        return {**out, "lasso_s": self.median(self.lasso, repeats), **self.memory()}

    def lasso(self) -> float | None:
        """From the end of a lasso until the server has said how many points are in it; nothing is selected before."""
        said = "Bokeh.documents[0].get_model_by_name('said').text"
        self.page.keyboard.press("Escape")
        self.until(f"!{said}.includes('<b') || {said}.includes('>0<')")
        self.lasso_tenth()
        return self.timed(self.page.mouse.up, lambda: self.until(f"!{said}.includes('>0<') && {said}.includes('<b')"))
