"""A real Chromium against a real server; skipped with a reason where there is none."""

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest

from sorter.curate.label_book import LabelBook
from tests.workfolders import make_work_folder

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="session")
def chromium():
    """The browser process."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("no Chromium found (set CHROMIUM to one)")
    with api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


def _heed_ctrl_c():
    """A test run in the background hands "ignore Ctrl-C" down to its children; the server is to heed it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def serving(work):
    """The address of ``shotsort explore`` on ``work``, in a process of its own."""
    command = [sys.executable, "-m", "apps.cli", "explore", str(work.path), "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=_heed_ctrl_c) as server:
        try:
            line = server.stderr.readline()
            yield re.search(r"http://\S+", line).group(), server
        finally:
            server.terminate()
            server.wait(20)


class Page:
    """One open explorer and what a person does with it."""

    def __init__(self, browser, url, width=1280, height=800):
        self.page = browser.new_page(viewport={"width": width, "height": height})
        self.errors = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(url)
        self.page.wait_for_selector("body[data-ready=yes]")

    def reset(self):
        """As it was when the page was loaded, but for page size and order."""
        self.page.keyboard.press("Escape")  # leaves a field that has the focus
        self.page.keyboard.press("Escape")
        self.expect("document.querySelector('#selection h2')?.textContent === 'Nothing selected'")
        self.page.click('[data-act=color][data-value="cluster"]')
        self.page.keyboard.press("o")
        self.page.keyboard.press("f")

    def text(self, name):
        return self.page.inner_text(f"#{name}")

    def expect(self, condition, *values):
        """Wait until the JavaScript ``condition`` of ``v`` (the values) holds."""
        self.page.wait_for_function(f"v => {condition}", arg=list(values), timeout=10_000)

    def pick_cluster(self, cluster):
        self.page.click(f'#clusters .row[data-value="{cluster}"]')
        title = "Noise" if cluster == -1 else f"Cluster {cluster}"
        self.expect("document.querySelector('#selection h2').textContent === v[0]", title)

    def lasso(self, points, key=None):
        """Draw through ``points``, screen pixels relative to the map, with the mouse."""
        box = self.page.locator("#map").bounding_box()
        path = [(box["x"] + x, box["y"] + y) for x, y in points]
        if key:
            self.page.keyboard.down(key)
        self.page.mouse.move(*path[0])
        self.page.mouse.down()
        for x, y in path[1:]:
            self.page.mouse.move(x, y, steps=4)
        self.page.mouse.up()
        if key:
            self.page.keyboard.up(key)

    def around_all(self):
        """A path around everything that the map shows."""
        box = self.page.locator("#map").bounding_box()
        right, bottom = box["width"] - 6, box["height"] - 6
        return [(6, 122), (right, 122), (right, bottom), (6, bottom), (6, 130)]

    def label(self, word):
        self.page.keyboard.press("l")
        self.page.keyboard.type(word)
        self.page.keyboard.press("Enter")

    def close(self):
        self.page.close()
        assert not self.errors


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return make_work_folder(tmp_path_factory.mktemp("browser"), n=300)


@pytest.fixture(scope="module")
def server(work):
    with serving(work) as (url, _):
        yield url


@pytest.fixture
def book(work):
    """The label book; what a test labelled is taken back afterwards."""
    book = LabelBook(work.labels_path)
    yield book
    for label in book.labels():
        book.remove(book.frames_with(label), label, "end of test")


@pytest.fixture(scope="module")
def shared_page(chromium, server):
    page = Page(chromium, server)
    yield page
    page.close()


@pytest.fixture
def page(shared_page):
    shared_page.reset()
    yield shared_page
    assert not shared_page.errors


def members(work, cluster):
    return np.sort(work.read_clustering("density").members(cluster))
