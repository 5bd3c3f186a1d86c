"""The workbench in the browser: classes, picks, proposals, clusters, subsets, keys, reading only, a lost server."""

import numpy as np
import pytest

from sorter.curate.label_book import LabelBook
from tests.browser.conftest import Page, members, serving
from tests.workfolders import make_work_folder

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror='window.hacked=1'>"


@pytest.fixture(scope="module")
def bench(chromium, tmp_path_factory):
    """A page on a work folder of its own."""
    work = make_work_folder(tmp_path_factory.mktemp("workbench"), n=300)
    with serving(work) as (url, _):
        page = Page(chromium, url)
        page.work = work
        yield page
        page.close()


@pytest.fixture
def page(bench):
    bench.reset()
    return bench


def carried(page, word):
    book = LabelBook(page.work.labels_path)
    return set(map(int, book.frames_with(word))) if word in book.labels() else set()


def test_a_class_gets_a_key_and_the_key_labels(page):
    page.open_tab("label")
    page.submit("define-class", name="cube", key="d", note="sharp edges")
    page.submit("define-class", name=HOSTILE)
    page.expect("document.querySelectorAll('.class').length === 2")
    page.pick_cluster(2)
    page.page.keyboard.press("d")
    page.expect_text("labels", "cube")
    page.settle()
    assert carried(page, "cube") == set(map(int, members(page.work, 2)))
    page.page.keyboard.press("1")
    page.expect_text("labels", HOSTILE)
    assert page.page.evaluate("window.hacked === undefined")
    for _ in range(2):
        page.page.keyboard.press("Control+z")
    page.expect_no_text("labels", "cube")


def test_picked_thumbnails_are_labelled_and_one_is_excluded(page):
    page.pick_cluster(1)
    shown = page.page.eval_on_selector_all("#thumbs .thumb", "all => all.map(e => e.dataset.value)")
    page.page.click(f'.thumb[data-value="{shown[1]}"]', modifiers=["Control"])
    page.expect("document.querySelectorAll('.thumb.picked').length === 1")
    page.page.click(f'.thumb[data-value="{shown[4]}"]', modifiers=["Shift"])
    page.expect("document.querySelectorAll('.thumb.picked').length === 4")
    page.label("few")
    page.expect_text("labels", "few")
    assert carried(page, "few") == set(map(int, shown[1:5]))
    n = len(members(page.work, 1))
    page.page.click(f'.thumb[data-value="{shown[0]}"]', modifiers=["Alt"])
    page.expect_text("selection", f"{n - 1} frames")
    page.page.keyboard.press("Control+z")
    page.expect_no_text("labels", "few")


def test_proposals_are_made_accepted_and_revoked(page):
    for cluster, word in ((0, "aa"), (1, "bb")):
        page.pick_cluster(cluster)
        shown = page.page.eval_on_selector_all("#thumbs .thumb", "all => all.map(e => e.dataset.value)")
        page.page.click(f'.thumb[data-value="{shown[0]}"]', modifiers=["Control"])
        page.page.click(f'.thumb[data-value="{shown[5]}"]', modifiers=["Shift"])
        page.expect("document.querySelectorAll('.thumb.picked').length === 6")
        page.label(word)
        page.expect_text("labels", word)
    page.open_tab("label")
    page.page.click("[data-act=propose]")
    page.expect("document.querySelector('#proposed')?.textContent.includes('bb')")
    page.page.eval_on_selector(
        "#threshold", "e => { e.value = '0.6'; e.dispatchEvent(new Event('input', {bubbles: true})); }"
    )
    page.expect("document.querySelector('#proposed').textContent.includes('0.60')")
    page.page.click('[data-act=show-proposed][data-value="aa"]')
    page.expect_title("Proposed aa")
    page.page.click('[data-act=accept][data-value="aa"]')
    page.expect_text("toast", "accepted")
    assert len(carried(page, "aa")) > 6
    page.page.click("[data-act=revoke]")
    page.expect_text("toast", "taken back")
    assert len(carried(page, "aa")) == 6
    page.page.keyboard.press("p")
    page.expect_title("Label next")


def test_clusters_are_merged_and_reclustered_after_a_look(page):
    page.open_tab("shape")
    page.pick_cluster(0)
    page.page.click('#clusters .row[data-value="1"]', modifiers=["Control"])
    page.expect_title("Clusters 0, 1")
    page.submit("recluster", size="8", samples="4")
    page.expect_text("tab", "Take it")
    assert page.work.result_names("clusters") == ["density"]
    page.page.click("[data-act=drop-proposed]")
    page.expect_no_text("tab", "Take it")
    page.page.click("[data-act=merge]")
    page.expect("document.querySelectorAll('#clusters .row[data-act=cluster]').length === 3")
    page.expect_text("tab", "How these clusters came to be")
    page.page.select_option("select[data-act=clustering]", "density")
    page.expect("document.querySelectorAll('#clusters .row[data-act=cluster]').length === 4")


def test_two_selections_are_compared_and_a_subset_is_saved_and_sent(page):
    page.pick_cluster(0)
    page.open_tab("compare")
    page.page.click("[data-act=pin]")
    page.pick_cluster(2)
    page.expect("document.querySelectorAll('#tab .mean').length === 2 && document.querySelector('#tab svg') !== null")
    page.open_tab("out")
    page.submit("subset", name="picks")
    page.expect_text("tab", f"subset ‘picks’: {len(members(page.work, 2))} frames")
    found = page.work.read_subset("picks")
    assert set(found.frame_id) == set(members(page.work, 2)) and found.rule == "cluster 2 of density"
    page.submit("export", subset="picks", end=".csv")
    page.expect_text("tab", "picks.csv")
    assert (page.work.path / "exports" / "picks.csv").read_text().count("\n") == len(found.frame_id) + 1
    page.submit("send", subset="picks", stage="shape")
    page.expect_text("tab", f"shotsort recon shape predict {page.work.path} --subset picks")


def test_frame_scales_clipping_profile_and_variance(page):
    page.open_tab("frame")
    page.pick_cluster(1)
    page.expect("document.querySelector('#profile svg') !== null")
    page.page.click('#viewer [data-value="variance"]')
    page.expect_text("viewer", "Variance")
    page.page.click(".thumb >> nth=0")
    page.expect_text("profile", "this frame")
    page.page.select_option("select[data-act=clip]", "95 %")
    page.settle()
    page.page.select_option("select[data-act=clip]", "99.9 %")


def test_keys_are_told_and_the_author_is_noted(page):
    page.page.keyboard.press("?")
    page.page.wait_for_selector("#help[open]")
    page.page.keyboard.press("Escape")
    page.page.fill("#author", "grace")
    page.page.keyboard.press("Enter")
    page.settle()
    page.pick_cluster(0)
    page.label("hers")
    page.expect_text("labels", "hers")
    assert LabelBook(page.work.labels_path).events()[-1].author == "grace"


def test_first_start_shows_the_tour(chromium, bench):
    fresh = chromium.new_context(viewport={"width": 1280, "height": 800})
    page = fresh.new_page()
    page.set_default_timeout(30_000)
    page.goto(bench.page.url)
    page.wait_for_selector("#tour:not([hidden])")
    for _ in range(5):
        page.click("#tour .next")
    page.wait_for_selector("#tour", state="hidden")
    page.reload()
    page.wait_for_selector("body[data-ready=yes]")
    assert page.is_hidden("#tour")
    fresh.close()


def test_a_lost_server_is_said(chromium, tmp_path):
    work = make_work_folder(tmp_path, n=60)
    with serving(work) as (url, process):
        page = Page(chromium, url)
        process.kill()
        process.wait(20)
        page.expect_text("banner", "does not answer")
        page.close()
    assert np.array_equal(np.sort(work.read_hits().frame_id), np.sort(work.frames().frame_ids))
