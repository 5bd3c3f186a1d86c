"""Keys and clusters by hand: cleaned in the embedding, the tree cut, another clustering made and cancelled."""

import pytest

from tests.browser.conftest import members, page_on
from tests.sorter.online.conftest import make_sorted_run

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(chromium, tmp_path_factory):
    """A page on a run that was really clustered."""
    work = make_sorted_run(tmp_path_factory.mktemp("keys"))
    with page_on(chromium, work) as page:
        yield page


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
    page.page.fill("#cut-size", "399")
    page.expect("document.querySelector('#cutcount').innerText.startsWith('0 clusters')")
    page.page.fill("#cut-size", "15")
    page.expect("!document.querySelector('#cutcount').innerText.startsWith('0 clusters')")
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
