"""A scripted labelling session through the page is worth what the labelling bench says of the functions behind it."""

import numpy as np
import pytest

from apps.bench.click_curves import CLUSTERS, curves, picks_of
from apps.bench.labelling import pools_of
from apps.explorer.labelling import PROPOSALS
from sorter.cluster.agreement import macro_f1, most_common
from sorter.core.identity import rows_of
from sorter.curate.label_book import LabelBook
from tests.browser.conftest import Page, serving
from tests.workfolders import make_work_folder

pytestmark = pytest.mark.browser
CLASSES = ("sphere", "rod", "cube", "disk", "ring")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return make_work_folder(tmp_path_factory.mktemp("clicks"), n=260, classes=CLASSES)


@pytest.fixture(scope="module")
def page(chromium, work):
    """A page whose classes have the keys 1 to 5."""
    with serving(work) as (url, _):
        page = Page(chromium, url)
        page.open_tab("label")
        for number, name in enumerate(CLASSES, 1):
            page.submit("define-class", name=name)
            page.expect("document.querySelectorAll('.class').length === v[0]", number)
        yield page
        page.close()


@pytest.fixture(scope="module")
def pool(work):
    return pools_of(work, work.read_embedding("contrastive"), work.read_clustering("density"))["hits"]


@pytest.fixture(scope="module")
def scripted(pool):
    """The curves of the bench, five clicks long."""
    return curves(pool, len(CLASSES), 1)


def press_class(page, name):
    page.page.keyboard.press(str(CLASSES.index(name) + 1))
    page.expect_text("labels", name)
    page.settle()


def named(work, pool):
    """What the label book calls each frame of the pool; "" where it has no label."""
    state = LabelBook(work.labels_path).state()
    out = np.full(len(pool.classes), "", dtype="U20")
    for word in state.labels():
        out[np.isin(pool.proposer.frame_id, state.members(word))] = word
    return out


def test_cluster_by_cluster(page, work, pool, scripted):
    names = most_common(pool.classes[pool.clusters >= 0], pool.clusters[pool.clusters >= 0])
    page.pick_cluster(0)
    page.page.keyboard.press("a")
    page.expect("document.querySelector('[data-act=widen].on') !== null")
    found = []
    for cluster in sorted(names, key=lambda c: -int((pool.clusters == c).sum())):
        page.pick_cluster(cluster)
        press_class(page, names[cluster])
        found.append(macro_f1(pool.classes, named(work, pool)))
    assert found == pytest.approx([score for (score,) in scripted[CLUSTERS]["macro_f1"]])
    assert len(found) == len(CLASSES) and found[-1] == 1.0
    assert LabelBook(work.labels_path).events()[-1].reason == "cluster 4 of density, assigned frames included"
    for _ in found:
        page.page.keyboard.press("Control+z")
    page.settle()
    assert LabelBook(work.labels_path).labels() == []
    page.page.keyboard.press("a")


def propose(page):
    page.page.click("[data-act=propose]")
    page.settle()
    page.expect("document.querySelector('#job').textContent === ''")


def test_with_proposals(page, work, pool, scripted):
    page.page.select_option("[data-act=target]", "frame")
    classes = dict(zip(map(int, pool.proposer.frame_id), pool.classes.tolist()))
    given = []
    for _ in CLASSES:
        propose(page)
        page.page.keyboard.press("p")
        page.expect_title("Label next")
        page.settle()
        given.append(int(page.page.get_attribute(".thumb.on", "data-value")))
        press_class(page, classes[given[-1]])
    *_, wanted = picks_of(pool, "suggested", len(CLASSES), 0)
    assert given == list(map(int, pool.proposer.frame_id[wanted]))
    propose(page)
    made = work.read_proposals(PROPOSALS)
    said = made.probability[rows_of(made.frame_id, pool.proposer.frame_id)].argmax(axis=1)
    own = named(work, pool)
    told = np.where(own == "", np.array(made.classes)[said], own)
    assert macro_f1(pool.classes, told) == pytest.approx(scripted["suggested frames, propagation"]["macro_f1"][-1][0])
