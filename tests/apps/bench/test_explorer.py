"""The explorer's bench: a program that never answers costs its time-out and no more."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from apps.bench.chromium import browsers
from apps.bench.explorer import STEPS, ExplorerBenchConfig, table
from apps.bench.explorer_drive import Program
from sorter.core.errors import InputError
from tests.workfolders import make_work_folder

pytestmark = pytest.mark.browser


class Stuck(Program):
    """A page that draws for ever once it is there."""

    name = "stuck"

    def serve(self):
        return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]), "about:blank"

    def measure(self, repeats):
        self.row["start_s"] = self.since_start()
        self.note("zoom_s", lambda: self.page.evaluate("() => { while (true) {} }"), repeats)


def test_a_page_that_never_answers_is_given_up(tmp_path):
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    work = make_work_folder(tmp_path, n=40)
    work.write_layout(replace(work.read_layout("contrastive"), name="drawn"))

    def driven():
        with browsers() as launch, Stuck(launch, work, 2.0) as program:
            return program, program.measured(3)

    try:
        with ThreadPoolExecutor(1) as apart:  # the thread of the other browser tests has a playwright of its own
            program, row = apart.submit(driven).result()
    except InputError as error:
        pytest.skip(str(error))
    assert row["overdue"] == "zoom_s" and row["zoom_s"] is None and row["start_s"] is not None
    assert program.server.poll() is not None


def test_the_table_says_what_took_too_long():
    row = {"program": "stuck", "frames": 10_000, "overdue": "zoom_s", **dict.fromkeys(STEPS), "start_s": 1.5}
    line = table({"rows": [row], "timeout_s": 180.0}).splitlines()[-1]
    assert line.startswith("| stuck | 10,000 | 1.50 | – | > 180 | – |")
    with pytest.raises(InputError, match="--timeout 0"):
        ExplorerBenchConfig(timeout_s=0)
