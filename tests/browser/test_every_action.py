"""Every other action once: keys, shaping by hand, another embedding, token, reading only."""

import re

import numpy as np
import pytest

from sorter.curate.label_book import LabelBook
from tests.browser.conftest import Page, members, serving
from tests.sorter.online.conftest import make_sorted_run
from tests.workfolders import make_work_folder

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(chromium, tmp_path_factory):
    """A page on a run that was really clustered."""
    work = make_sorted_run(tmp_path_factory.mktemp("rest"))
    with serving(work) as (url, _):
        page = Page(chromium, url)
        page.page.set_default_timeout(240_000)
        page.work = work
        yield page
        page.close()


def press(page, *keys):
    for key in keys:
        page.page.keyboard.press(key)
        page.settle()


def test_keys_step_through_clusters_pages_frames_and_colours(page):
    page.reset()
    press(page, "n")
    page.expect_title("Cluster 0")
    press(page, "j")
    page.expect_title("Cluster 1")
    press(page, "k")
    page.expect_title("Cluster 0")
    page.page.select_option("select[data-act=page-size]", "24")
    page.expect_thumbs(24)
    press(page, "]")
    page.expect_text("picked", "2 /")
    press(page, "[", "r", "c")
    page.expect("document.querySelector('[data-panel=coloring] .on').textContent === 'label'")
    press(page, "ArrowRight", "x")
    page.expect_text("selection", f"{len(members(page.work, 0)) - 1} frames")
    press(page, "s")
    page.expect_title("Similar frames")
    press(page, "z")
    page.page.wait_for_selector("#picked.big")
    press(page, "z", "m")
    page.expect_text("viewer", "Mean")


def test_a_lasso_is_cleaned_in_the_embedding_and_says_so(page):
    page.reset()
    page.open_tab("shape")
    page.pick_cluster(0)
    page.lasso(page.around_all(), key="Shift")
    page.expect_text("selection", "Cluster 0 + lasso")
    page.page.click('#clusters .row[data-value="1"]')
    page.page.click("[data-act=clean]")
    page.expect_text("toast", "taken out")
    page.open_tab("out")
    page.submit("subset", name="clean")
    assert page.work.read_subset("clean").rule.endswith("cleaned in features")
    page.lasso(page.around_all())
    page.expect_title("Lasso")
    page.submit("subset", name="drawn")
    drawn = page.work.read_subset("drawn")
    assert "drawn in the 2-D layout" in drawn.rule and drawn.meta["drawn_in_2d"]


def test_the_tree_is_cut_with_a_live_count_and_another_embedding_laid_out(page):
    page.reset()
    page.open_tab("shape")
    before = page.page.inner_text("#cutcount")
    page.page.eval_on_selector(
        "#cut-step", "e => { e.value = '0'; e.dispatchEvent(new Event('input', {bubbles: true})); }"
    )
    page.expect("document.querySelector('#cutcount').innerText !== v[0]", before)
    page.page.click("[data-act=cut]")
    page.expect_text("toast", "density-by-hand-1")
    page.expect_text("tab", "How these clusters came to be", "cut")
    page.page.select_option("select[data-act=clustering]", "density")
    page.submit("lay-out", embedding="features")
    page.expect_text("job", "clustering features")
    page.page.click("[data-act=cancel]")
    page.expect_text("toast", "cancelled")
    page.submit("lay-out", embedding="features")
    page.expect(
        "[...document.querySelectorAll('select[data-act=clustering] option')].some(o => o.value === 'features')"
    )
    assert "features" in page.work.result_names("clusters")


def test_with_a_token_the_page_opens_and_read_only_changes_nothing(chromium, tmp_path):
    work = make_work_folder(tmp_path, n=60)
    with serving(work, "--token", "letmein-42", "--read-only") as (url, _):
        plain = re.sub(r"\?.*", "", url)
        fresh = chromium.new_context()
        stranger = fresh.new_page()
        stranger.set_default_timeout(120_000)
        stranger.goto(plain)
        stranger.fill("[name=token]", "wrong")
        stranger.click("button")
        stranger.wait_for_selector("text=that was not it")
        stranger.fill("[name=token]", "letmein-42")
        stranger.click("button")
        stranger.wait_for_selector("body[data-ready=yes]")
        fresh.close()
        page = Page(chromium, url)
        page.pick_cluster(0)
        page.label("mine")
        page.expect_text("toast", "read-only")
        page.close()
    assert not work.labels_path.exists() or not LabelBook(work.labels_path).labels()
    assert np.array_equal(np.sort(work.read_hits().frame_id), np.sort(work.frames().frame_ids))
