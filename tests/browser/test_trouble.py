"""What goes wrong beside an open page: the label book is held or damaged; and what a page hands on, in every format."""

import sqlite3

import numpy as np
import pytest

from apps.explorer.tabs_more import FORMATS
from sorter.curate.label_book import LabelBook
from tests.browser.conftest import members, page_on
from tests.workfolders import make_work_folder

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(chromium, tmp_path_factory):
    """A page on a small run."""
    work = make_work_folder(tmp_path_factory.mktemp("trouble"), n=80)
    with page_on(chromium, work) as page:
        yield page


def test_a_label_book_that_another_process_holds_is_told_and_nothing_is_lost(page):
    page.pick_cluster(0)
    page.label("before")
    page.expect_text("labels", "before")
    holder = sqlite3.connect(page.work.labels_path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    page.pick_cluster(1)
    page.label("meanwhile")
    page.expect_text("toast", "held by another process")
    holder.execute("ROLLBACK")
    holder.close()
    page.label("after")
    page.expect_text("labels", "before", "after")
    assert LabelBook(page.work.labels_path).labels() == ["after", "before"]


def test_a_damaged_label_book_is_told_and_what_was_known_stays_in_view(page):
    path = page.work.labels_path
    page.pick_cluster(0)
    page.label("kept")
    page.expect_text("labels", "kept")
    page.settle()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    good = path.read_bytes()
    path.write_bytes(b"\0garbage" + good[8 : len(good) // 2])
    page.label("lost")
    page.expect_text("toast", "labels.sqlite")
    page.expect_text("labels", "kept")
    page.expect_text("banner", "bring back a copy")
    path.write_bytes(good)
    page.expect("document.querySelector('#banner').textContent === ''")
    page.label("again")
    page.expect_text("labels", "kept", "again")
    assert np.array_equal(LabelBook(path).frames_with("kept"), members(page.work, 0))


@pytest.mark.parametrize("end", FORMATS)
def test_a_subset_is_exported_from_the_page(page, end):
    if end == ".parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    page.open_tab("out")
    if "picks" not in page.work.result_names("subsets"):
        page.pick_cluster(2)
        page.submit("subset", name="picks")
    n = len(page.work.read_subset("picks").frame_id)
    page.submit("export", subset="picks", end=end)
    to = page.work.path / "exports" / f"picks{end}"
    page.expect_text("tab", f"{n} frames in {to}")
    assert to.exists()
    readers = {
        ".npy": lambda: len(np.load(to)), ".index.npy": lambda: len(np.load(to)),
        ".csv": lambda: to.read_text().count("\n") - 1,
    }  # fmt: skip
    assert readers.get(end, lambda: n)() == n
