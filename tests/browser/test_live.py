"""The explorer on a work folder into which `shotsort watch` sorts at the same time."""

import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest

from tests.browser.conftest import Page, members, serving
from tests.sorter.online.conftest import frames_of, make_sorted_run, record

pytestmark = pytest.mark.browser
#: A watcher that starts beside a browser on a busy machine takes its time.
PATIENCE_MS = 120_000


@contextmanager
def watching(source, work):
    """``shotsort watch`` in a process of its own."""
    command = [sys.executable, "-m", "apps.cli", "watch", str(source), "-w", str(work.path), "-q"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def in_the_header(page, n):
    """Wait until the page shows a run of ``n`` frames."""
    page.expect("document.querySelector('.counts b').textContent === v[0]", str(n))


def test_the_page_follows_a_watched_run(chromium, tmp_path):
    work = make_sorted_run(tmp_path)
    live = tmp_path / "live"
    live.mkdir()
    with serving(work) as (url, _):
        page = Page(chromium, url)
        page.page.set_default_timeout(PATIENCE_MS)
        page.open_tab("live")
        page.expect_text("tab", "Nothing is being recorded")
        with watching(live, work) as watcher:
            page.expect_text("tab", "frames/s", "waiting")
            page.pick_cluster(1)
            page.page.click(".thumb >> nth=0")
            opened = page.page.get_attribute(".thumb.on", "data-value")
            record(live / "a.h5", frames_of(100, [0, 2], 7)[0])
            in_the_header(page, 500)
            page.expect_text("tab", "500", "Share of the hits")
            page.expect_title("Cluster 1")
            page.expect("document.querySelector('.thumb.on').dataset.value === v[0]", opened)

            page.page.click('#tab [data-act=follow][data-value="off"]')
            page.expect("document.querySelector('#tab [data-value=off]').className === 'on'")
            record(live / "b.h5", np.concatenate([frames_of(40, [0, 2], 8)[0], frames_of(120, [5], 17, 0.0)[0]]))
            page.expect_text("tab", "660", "strange hits in")
            in_the_header(page, 500)
            page.page.click('#tab [data-act=follow][data-value="on"]')
            in_the_header(page, 660)
            page.page.click("#tab [data-act=strange]")
            page.expect_title("Strange hits")
            assert len(members(work, 0)) > 0

            watcher.kill()
            watcher.wait(60)
            page.expect_text("tab", "not answering", "start it again")
        page.close()
