"""The explorer, by really clicking."""

import signal
import time

import numpy as np
import pytest

from sorter.core.embedding import Layout
from sorter.curate.label_book import LabelBook
from tests.browser.conftest import PATIENCE_S, Page, members, serving
from tests.workfolders import make_work_folder

pytestmark = pytest.mark.browser
HOSTILE = "<script>window.hacked=1</script><img src=x onerror='window.hacked=1'>"


def wait_for(condition):
    end = time.monotonic() + PATIENCE_S
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    assert condition()


def test_first_look(page, work):
    noise = len(members(work, -1))
    page.expect_text("page", "300 frames", f"{noise} noise")
    page.expect("document.querySelectorAll('#clusters .row[data-act=cluster]').length === 4")
    page.expect_thumbs(3)  # the medoids
    page.page.wait_for_selector("#map canvas", state="attached")


def test_cluster_row_shows_its_frames(page, work):
    page.pick_cluster(1)
    n = len(members(work, 1))
    page.expect_text("selection", f"{n} frames")
    page.expect_thumbs(min(n, 60))
    width = page.page.eval_on_selector("#thumbs img", "e => e.decode().then(() => e.naturalWidth)")
    assert width == 32
    shown = page.page.eval_on_selector_all("#thumbs .thumb", "all => all.map(e => e.dataset.value)")
    assert set(map(int, shown)) <= set(map(int, members(work, 1)))
    page.expect_text("viewer", "Mean")


def test_thumbnail_opens_the_frame_and_order_and_page_change(page, work):
    page.page.click("#clusters .row[data-act=blanks]")
    page.expect_title("Blanks")
    page.page.select_option("select[data-act=page-size]", "24")
    page.expect_thumbs(24)
    page.page.select_option("select[data-act=order]", "recorded")
    blanks = np.flatnonzero(~work.read_hits().is_hit)
    ids = work.frames().frame_ids
    page.expect("document.querySelector('.thumb').dataset.value === v[0]", str(ids[blanks[0]]))
    page.page.click('.pages [title^="next"]')
    page.expect("document.querySelector('.thumb').dataset.value === v[0]", str(ids[blanks[24]]))
    page.page.click(".thumb >> nth=2")
    page.expect_text("viewer", f"[{blanks[26]}]")
    page.page.click("[data-act=rings]")
    page.page.click('#viewer [data-value="linear"]')
    page.expect("document.querySelector('#viewer .on').textContent === 'linear'")
    page.page.keyboard.press("ArrowRight")
    page.expect_text("viewer", f"[{blanks[27]}]")


def test_lasso_selects_what_it_surrounds(page, work):
    n = len(work.read_layout("contrastive").frame_id)
    page.lasso(page.around_all())
    page.expect_text("selection", f"{n} frames")
    page.pick_cluster(0)
    page.lasso(page.around_all(), key="Shift")
    page.expect_text("selection", f"Cluster 0 + lasso{n} frames")
    page.lasso(page.around_all(), key="Alt")
    page.expect_text("selection", "Nothing selected")


def test_box_selects_too(page, work):
    page.page.keyboard.press("b")
    path = page.around_all()
    page.lasso([path[0], path[2]])
    n = len(work.read_layout("contrastive").frame_id)
    page.expect_text("selection", f"{n} frames")


def test_click_on_a_point_opens_it(page, work):
    x, y = map(float, work.read_layout("contrastive").xy[0])
    page.page.mouse.click(*page.pixel_of(x, y))
    page.expect("document.querySelector('#viewer h2').textContent.includes('run0.h5')")
    page.expect("/^(Cluster|Noise)/.test(document.querySelector('#selection h2').textContent)")


def test_label_is_stored_and_undone(page, work, book):
    page.pick_cluster(2)
    page.label("cube")
    page.expect_text("labels", "cube")
    assert np.array_equal(book.frames_with("cube"), members(work, 2))
    assert book.events()[-1].reason == "cluster 2 of density"
    page.expect_text("export", f"shotsort export {work.path} --label cube --to cube.cxi")
    page.page.keyboard.press("Control+z")
    page.expect_no_text("labels", "cube")
    assert "cube" not in book.labels()
    page.page.click("#redo")
    page.expect_text("labels", "cube")
    page.page.click('#selection [data-act="unlabel"]')
    page.expect_no_text("labels", "cube")
    assert "cube" not in book.labels()


def test_label_of_a_lasso_says_that_it_was_drawn(page, book):
    page.lasso(page.around_all())
    page.expect_title("Lasso")
    page.label("all")
    wait_for(lambda: "all" in book.labels())
    assert book.events()[-1].reason == "lasso drawn in the 2-D layout contrastive"


def test_bad_label_is_said_and_nothing_is_stored(page, book):
    page.label("orphan")
    page.expect_text("toast", "nothing is selected")
    page.pick_cluster(0)
    page.label("a;b")
    page.expect_text("toast", ";")
    assert book.labels() == []


def test_hostile_label_is_only_text(page, book):
    page.pick_cluster(0)
    page.label(HOSTILE)
    page.expect("document.querySelector('#labels .name')?.textContent === v[0]", HOSTILE)
    page.expect_text("selection", HOSTILE)
    page.page.click("#labels .row[data-act=label-row]")
    page.expect_title(f"Label {HOSTILE}")
    page.page.click('.segments [data-value="label"]')
    page.page.hover(".thumb")
    page.settle()
    assert page.page.evaluate("window.hacked === undefined")
    assert page.page.locator("#picked script, #tables script, #tables img[onerror]").count() == 0


def test_two_pages_see_each_others_labels(page, chromium, server, book):
    other = Page(chromium, server)
    page.pick_cluster(1)
    page.label("seen")
    other.expect_text("labels", "seen")
    other.expect_title("Nothing selected")
    other.close()


def test_colours_and_zoom(page):
    for name in ("label", "photons", "strength", "cluster"):
        page.page.click(f'[data-act=color][data-value="{name}"]')
        page.expect("document.querySelector('[data-panel=coloring] .on').textContent === v[0]", name)
    page.page.select_option("select[data-act=color]", "truth: class")
    page.expect("document.querySelector('[data-panel=legend]').textContent.includes('sphere')")
    box = page.page.locator("#map").bounding_box()
    page.page.mouse.move(box["x"] + 200, box["y"] + 300)
    page.page.mouse.wheel(0, -400)
    page.fit()
    page.lasso(page.around_all())
    page.expect_title("Lasso")


def test_restart_keeps_labels_and_new_clusters_are_told(chromium, tmp_path):
    work = make_work_folder(tmp_path, n=80)
    with serving(work) as (url, process):
        first = Page(chromium, url)
        first.pick_cluster(0)
        first.label("kept")
        first.expect_text("labels", "kept")
        first.close()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    with serving(work) as (url, _):
        again = Page(chromium, url)
        again.expect_text("labels", "kept")
        again.page.click("#undo")
        again.expect_no_text("labels", "kept")
        assert LabelBook(work.labels_path).labels() == []
        work.write_clustering(work.read_clustering("density"))
        again.expect_text("banner", "made anew")
        again.close()


def test_without_layout_the_page_waits_for_one(chromium, tmp_path):
    work = make_work_folder(tmp_path, n=60, results=False)
    with serving(work) as (url, _):
        page = Page(chromium, url)
        page.expect_text("empty", "shotsort cluster")
        ids = work.read_hits().hit_ids
        work.write_layout(Layout("made", ids, np.random.default_rng(0).normal(size=(len(ids), 2)).astype(np.float32)))
        page.page.wait_for_selector("#clusters", state="attached")
        page.page.wait_for_selector("body[data-ready=yes]")
        page.fit()
        page.lasso(page.around_all())
        page.expect_text("selection", f"{len(ids)} frames")
        page.close()


def test_a_layout_is_made_from_the_page(chromium, tmp_path):
    work = make_work_folder(tmp_path, n=120, results=False)
    with serving(work) as (url, _):
        page = Page(chromium, url)
        page.page.set_default_timeout(240_000)
        page.page.click("[data-act=make]")
        page.expect("document.querySelector('#job')?.textContent.includes('making the layout')")
        page.page.click("[data-act=cancel]")
        page.expect_text("toast", "cancelled")
        page.page.click("[data-act=make]")
        page.page.wait_for_selector("#clusters .row", state="attached")
        page.page.wait_for_selector("body[data-ready=yes]")
        page.expect_text("page", "120 frames")
        page.close()
    assert work.result_names("layouts")


def test_without_webgl_it_draws_on_the_canvas(chromium, server, work):
    page = chromium.new_page(viewport={"width": 1280, "height": 800})
    page.add_init_script(
        "const real = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function(kind, ...more) {"
        " return kind.startsWith('webgl') ? null : real.call(this, kind, ...more); };"
    )
    page.set_default_timeout(1000 * PATIENCE_S)
    page.goto(server)
    page.wait_for_selector("body[data-ready=yes]")
    page.click('#clusters .row[data-value="0"]')
    page.wait_for_function("document.querySelector('#selection h2').textContent === 'Cluster 0'")
    page.close()
