"""The explorer, by really clicking."""

import signal
import time

import numpy as np
import pytest

from sorter.core.embedding import Layout
from sorter.curate.label_book import LabelBook
from tests.browser.conftest import Page, members, serving
from tests.workfolders import make_work_folder

pytestmark = pytest.mark.browser
HOSTILE = "<script>window.hacked=1</script><img src=x onerror='window.hacked=1'>"


def wait_for(condition, seconds=8):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    assert condition()


def test_first_look(page, work):
    noise = len(members(work, -1))
    assert "300 frames" in page.text("page") and f"{noise} noise" in page.text("page")
    assert page.page.locator("#clusters .row[data-act=cluster]").count() == 4
    assert page.page.locator("#thumbs img").count() == 3, "the medoids"
    assert page.page.locator("#map canvas").count() >= 1


def test_cluster_row_shows_its_frames(page, work):
    page.pick_cluster(1)
    n = len(members(work, 1))
    assert f"{n} frames" in page.text("selection")
    assert page.page.locator("#thumbs img").count() == min(n, 60)
    width = page.page.eval_on_selector("#thumbs img", "e => e.decode().then(() => e.naturalWidth)")
    assert width == 32
    shown = page.page.eval_on_selector_all("#thumbs .thumb", "all => all.map(e => e.dataset.value)")
    assert set(map(int, shown)) <= set(map(int, members(work, 1)))
    assert "Mean" in page.text("viewer")


def test_thumbnail_opens_the_frame_and_order_and_page_change(page, work):
    page.page.click("#clusters .row[data-act=blanks]")
    page.expect("document.querySelector('#selection h2').textContent === 'Blanks'")
    page.page.select_option("select[data-act=page-size]", "24")
    page.expect("document.querySelectorAll('#thumbs img').length === 24")
    page.page.select_option("select[data-act=order]", "recorded")
    blanks = np.flatnonzero(~work.read_hits().is_hit)
    ids = work.frames().frame_ids
    page.expect("document.querySelector('.thumb').dataset.value === v[0]", str(ids[blanks[0]]))
    page.page.click('.pages [title^="next"]')
    page.expect("document.querySelector('.thumb').dataset.value === v[0]", str(ids[blanks[24]]))
    page.page.click(".thumb >> nth=2")
    page.expect("document.querySelector('#viewer').textContent.includes(v[0])", f"[{blanks[26]}]")
    page.page.click("[data-act=rings]")
    page.page.click('#viewer [data-value="linear"]')
    page.expect("document.querySelector('#viewer .on').textContent === 'linear'")
    page.page.keyboard.press("ArrowRight")
    page.expect("document.querySelector('#viewer').textContent.includes(v[0])", f"[{blanks[27]}]")


def test_lasso_selects_what_it_surrounds(page, work):
    n = len(work.read_layout("contrastive").frame_id)
    page.lasso(page.around_all())
    page.expect("document.querySelector('#selection').textContent.includes(v[0])", f"{n} frames")
    page.pick_cluster(0)
    page.lasso(page.around_all(), key="Shift")
    page.expect("document.querySelector('#selection').textContent.includes(v[0])", f"Cluster 0 + lasso{n} frames")
    page.lasso(page.around_all(), key="Alt")
    page.expect("document.querySelector('#selection').textContent.includes('Nothing selected')")


def test_box_selects_too(page, work):
    page.page.keyboard.press("b")
    path = page.around_all()
    page.lasso([path[0], path[2]])
    n = len(work.read_layout("contrastive").frame_id)
    page.expect("document.querySelector('#selection').textContent.includes(v[0])", f"{n} frames")


def test_click_on_a_point_opens_it(page):
    box = page.page.locator("#map").bounding_box()
    opened = "!document.querySelector('#viewer h2').textContent.includes('Mean')"
    for y in range(150, int(box["height"]) - 40, 14):  # down the middle columns until a point is hit
        for x in (0.3, 0.5, 0.7):
            page.page.mouse.click(box["x"] + x * box["width"], box["y"] + y)
        page.page.wait_for_timeout(40)
        if page.page.evaluate(opened):
            break
    assert page.page.evaluate(opened)
    assert "Cluster" in page.text("selection") or "Noise" in page.text("selection")


def test_label_is_stored_and_undone(page, work, book):
    page.pick_cluster(2)
    page.label("cube")
    page.expect("document.querySelector('#labels').textContent.includes('cube')")
    assert np.array_equal(book.frames_with("cube"), members(work, 2))
    assert book.events()[-1].reason == "cluster 2 of density"
    assert f"shotsort export {work.path} --label cube --to cube.cxi" in page.text("export")
    page.page.keyboard.press("Control+z")
    page.expect("!document.querySelector('#labels').textContent.includes('cube')")
    assert "cube" not in book.labels()
    page.page.click("#redo")
    page.expect("document.querySelector('#labels').textContent.includes('cube')")
    page.page.click('#selection [data-act="unlabel"]')
    page.expect("!document.querySelector('#labels').textContent.includes('cube')")
    assert "cube" not in book.labels()


def test_label_of_a_lasso_says_that_it_was_drawn(page, book):
    page.lasso(page.around_all())
    page.expect("document.querySelector('#selection h2').textContent === 'Lasso'")
    page.label("all")
    wait_for(lambda: "all" in book.labels())
    assert book.events()[-1].reason == "lasso drawn in the 2-D layout contrastive"


def test_bad_label_is_said_and_nothing_is_stored(page, book):
    page.label("orphan")
    page.expect("document.querySelector('#toast').textContent.includes('nothing is selected')")
    page.pick_cluster(0)
    page.label("a;b")
    page.expect("document.querySelector('#toast').textContent.includes(';')")
    assert book.labels() == []


def test_hostile_label_is_only_text(page, book):
    page.pick_cluster(0)
    page.label(HOSTILE)
    page.expect("document.querySelector('#labels .name')?.textContent === v[0]", HOSTILE)
    assert HOSTILE in page.text("selection")
    page.page.click("#labels .row[data-act=label-row]")
    page.expect("document.querySelector('#selection h2').textContent === v[0]", f"Label {HOSTILE}")
    page.page.click('.segments [data-value="label"]')
    page.page.hover(".thumb")
    assert page.page.evaluate("window.hacked === undefined")
    assert page.page.locator("#picked script, #tables script, #tables img[onerror]").count() == 0


def test_two_pages_see_each_others_labels(page, chromium, server, book):
    other = Page(chromium, server)
    page.pick_cluster(1)
    page.label("seen")
    other.expect("document.querySelector('#labels').textContent.includes('seen')")
    assert "Nothing selected" in other.text("selection")
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
    page.page.keyboard.press("f")
    page.lasso(page.around_all())
    page.expect("document.querySelector('#selection h2').textContent === 'Lasso'")


def test_restart_keeps_labels_and_new_clusters_are_told(chromium, tmp_path):
    work = make_work_folder(tmp_path, n=80)
    with serving(work) as (url, process):
        first = Page(chromium, url)
        first.pick_cluster(0)
        first.label("kept")
        first.expect("document.querySelector('#labels').textContent.includes('kept')")
        first.close()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    with serving(work) as (url, _):
        again = Page(chromium, url)
        assert "kept" in again.text("labels")
        again.page.click("#undo")
        again.expect("!document.querySelector('#labels').textContent.includes('kept')")
        assert LabelBook(work.labels_path).labels() == []
        work.write_clustering(work.read_clustering("density"))
        again.expect("document.querySelector('#banner').textContent.includes('made anew')")
        again.close()


def test_without_layout_the_page_waits_for_one(chromium, tmp_path):
    work = make_work_folder(tmp_path, n=60, results=False)
    with serving(work) as (url, _):
        page = Page(chromium, url)
        assert "shotsort cluster" in page.text("empty")
        ids = work.read_hits().hit_ids
        work.write_layout(Layout("made", ids, np.random.default_rng(0).normal(size=(len(ids), 2)).astype(np.float32)))
        page.page.wait_for_selector("#clusters", timeout=10_000, state="attached")
        page.page.wait_for_selector("body[data-ready=yes]")
        page.lasso(page.around_all())
        page.expect("document.querySelector('#selection').textContent.includes(v[0])", f"{len(ids)} frames")
        page.close()


def test_without_webgl_it_draws_on_the_canvas(chromium, server, work):
    page = chromium.new_page(viewport={"width": 1280, "height": 800})
    page.add_init_script(
        "const real = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function(kind, ...more) {"
        " return kind.startsWith('webgl') ? null : real.call(this, kind, ...more); };"
    )
    page.goto(server)
    page.wait_for_selector("body[data-ready=yes]")
    page.click('#clusters .row[data-value="0"]')
    page.wait_for_function("document.querySelector('#selection h2').textContent === 'Cluster 0'")
    page.close()
