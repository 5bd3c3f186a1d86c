"""A real Chromium against a real server; skipped with a reason where there is none."""

import re
import signal
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest

from apps.bench.chromium import chromium_path
from sorter.curate.label_book import LabelBook
from tests.workfolders import make_work_folder

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
#: How long a page may take to do what it was asked, on a machine that is busy with other things.
PATIENCE_S = 30


@pytest.fixture(scope="session")
def chromium():
    """The browser process."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = chromium_path()
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
def serving(work, *options):
    """The address of ``shotsort explore`` on ``work``, in a process of its own."""
    command = [sys.executable, "-m", "apps.cli", "explore", str(work.path), "--port", "0", "--no-browser", *options]
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
        self.page.set_default_timeout(1000 * PATIENCE_S)
        self.page.add_init_script("localStorage.setItem('shotsort-tour', 'done')")
        self.errors = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(url)
        self.page.wait_for_selector("body[data-ready=yes]")

    def reset(self):
        """As it was when the page was loaded, but for page size and order."""
        self.page.keyboard.press("Escape")  # leaves a field that has the focus
        self.page.keyboard.press("Escape")
        self.page.click('[data-act=color][data-value="cluster"]')
        self.page.keyboard.press("o")
        self.fit()
        self.expect("document.querySelector('#selection h2')?.textContent === 'Nothing selected'")

    def fit(self):
        """All points in view, as the person sees it: the server has answered whatever was asked before, too."""
        self.page.keyboard.press("f")
        self.settle()

    def settle(self):
        """Wait until the server has answered all that the page has asked for."""
        self.expect("document.body.dataset.done === document.body.dataset.sent")

    def text(self, name):
        """What a panel says now; only for what does not follow from an action just done (see `expect_text`)."""
        return self.page.inner_text(f"#{name}")

    def expect(self, condition, *values):
        """Wait until the JavaScript ``condition`` of ``v`` (the values) holds."""
        self.page.wait_for_function(f"v => {condition}", arg=list(values))

    def expect_text(self, name, *words):
        """Wait until the panel shows all of the words."""
        self.expect("v[1].every(w => document.getElementById(v[0])?.textContent.includes(w))", name, list(words))

    def expect_no_text(self, name, word):
        """Wait until the panel does not show the word."""
        self.expect("!document.getElementById(v[0]).textContent.includes(v[1])", name, word)

    def expect_title(self, title):
        """Wait until this is what is selected."""
        self.expect("document.querySelector('#selection h2')?.textContent === v[0]", title)

    def expect_thumbs(self, n):
        """Wait until ``n`` thumbnails are shown."""
        self.expect("document.querySelectorAll('#thumbs img').length === v[0]", n)

    def pick_cluster(self, cluster):
        self.page.click(f'#clusters .row[data-value="{cluster}"]')
        self.expect_title("Noise" if cluster == -1 else f"Cluster {cluster}")

    def pixel_of(self, x, y):
        """Where on the screen the map shows the point (x, y) of the layout."""
        box = self.page.locator("#map").bounding_box()
        ranges = self.page.evaluate(
            """() => { const p = Bokeh.documents[0].get_model_by_name("layout"), [x, y] = [p.x_range, p.y_range];
            return [x.start, x.end, y.start, y.end]; }"""
        )
        return (
            box["x"] + box["width"] * (x - ranges[0]) / (ranges[1] - ranges[0]),
            box["y"] + box["height"] * (ranges[3] - y) / (ranges[3] - ranges[2]),
        )

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

    def open_tab(self, name):
        self.page.click(f'#tabs [data-value="{name}"]')
        self.expect("document.querySelector('#tabs .on').dataset.value === v[0]", name)

    def submit(self, form, **fields):
        """Fill a form of a tab and press its button; True and False tick and untick."""
        for name, value in fields.items():
            box = self.page.locator(f'[data-form="{form}"] [name="{name}"]')
            if isinstance(value, bool):
                box.set_checked(value)
            elif box.evaluate("e => e.tagName") == "SELECT":
                box.select_option(value)
            else:
                box.fill(value)
        self.page.click(f'[data-form="{form}"] button')
        self.settle()

    def label(self, word):
        self.page.keyboard.press("l")
        self.page.keyboard.type(word)
        self.page.keyboard.press("Enter")

    def close(self):
        self.page.close()
        assert not self.errors


@contextmanager
def page_on(browser, work, patience_s=120):
    """A `Page` on ``work``, which it keeps as its ``work``, served by a process of its own."""
    with serving(work) as (url, _):
        page = Page(browser, url)
        page.page.set_default_timeout(1000 * patience_s)
        page.work = work
        yield page
        page.close()


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
