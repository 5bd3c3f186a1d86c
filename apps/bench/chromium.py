"""A headless Chromium that a bench drives, and can end at any moment, whatever its page is busy with."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sorter.core.errors import InputError

FLAGS = ("--headless", "--no-sandbox", "--no-first-run", "--disable-background-networking", "--remote-debugging-port=0")
#: WebGL by Mesa, where there is no graphics card: some hundred times faster for Bokeh's points than what Chromium brings along.
MESA = ("--use-gl=angle", "--use-angle=gl-egl", "--ignore-gpu-blocklist", "--disable-gpu-sandbox")
#: How long a browser may take to start, on a machine that is busy with other things.
_START_MS = 300_000
_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


class Chromium:
    """One browser with one page. `kill` may be called from another thread; what waits for the page then fails at once."""

    def __init__(self, play: Any, path: str, flags: tuple[str, ...]) -> None:
        self._profile = tempfile.TemporaryDirectory(prefix="shotsort-chromium-", ignore_cleanup_errors=True)
        self._command = [path, *FLAGS, *flags, f"--user-data-dir={self._profile.name}"]
        env = {**os.environ, "EGL_PLATFORM": "surfaceless"}
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env, start_new_session=True
        )
        try:
            self._browser = play.chromium.connect_over_cdp(f"http://localhost:{self._port()}", timeout=_START_MS)
            self.page = self._browser.new_page(viewport={"width": 1280, "height": 800})
        except BaseException:
            self.close()
            raise

    def _port(self) -> int:
        """The port that it listens on, which it writes down when it is there."""
        told = Path(self._profile.name) / "DevToolsActivePort"
        for _ in range(600):
            if told.exists() and (port := told.read_text().partition("\n")[0]):
                return int(port)
            if self._process.poll() is not None:
                break
            time.sleep(0.1)
        raise InputError(f"{self._command[0]}: does not start; is it a Chromium? The variable CHROMIUM names another")

    def kill(self) -> None:
        """End the browser with all its processes."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the browser and remove what it wrote."""
        self.kill()
        self._process.wait()
        self._profile.cleanup()


def chromium_path() -> str | None:
    """Where a Chromium is: what the variable CHROMIUM names, else one on the path; None without one."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)


@contextmanager
def browsers() -> Iterator[Callable[[tuple[str, ...]], Chromium]]:
    """What starts a Chromium with further flags. Raises InputError without playwright, or without a Chromium (the variable
    CHROMIUM names one)."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise InputError("bench explorer: needs playwright; pip install 'shotsort[dev]'") from None
    path = chromium_path()
    if path is None:
        raise InputError("bench explorer: no Chromium found; set CHROMIUM to one")
    with sync_playwright() as play:
        yield lambda flags: Chromium(play, path, flags)
