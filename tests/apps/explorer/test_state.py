"""What a page does, without bokeh and without a browser."""

import subprocess
import sys

import numpy as np
import pytest

from apps.explorer.run import NOT_CLUSTERED, Library
from apps.explorer.selection import ORDERS
from apps.explorer.state import Explorer
from apps.explorer.tables import cluster_rows
from sorter.core.clustering import NOISE, Clustering
from sorter.core.embedding import Layout
from sorter.core.errors import InputError, MissingResultError
from sorter.curate.label_book import LabelBook
from tests.workfolders import make_work_folder

EVERYTHING = np.array([(-1e9, -1e9), (1e9, -1e9), (1e9, 1e9), (-1e9, 1e9)])


def ids(state, rows=None):
    return set(map(int, state.run.frame_id[state.selection.rows if rows is None else rows]))


def test_needs_no_bokeh():
    code = "import sys, apps.explorer.state, apps.explorer.panels, apps.explorer.thumbnails; sys.exit('bokeh' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_clusters_noise_and_blanks_make_up_the_run(state):
    seen = []
    for cluster in range(-1, state.run.n_clusters):
        state.select_cluster(cluster)
        expected = state.run.work.read_clustering("density").members(cluster)
        assert ids(state) == set(map(int, expected))
        seen += state.selection.rows.tolist()
    state.select_blanks()
    seen += state.selection.rows.tolist()
    assert sorted(seen) == list(range(300))


def test_unknown_cluster_is_named(state):
    with pytest.raises(InputError, match="cluster 17"):
        state.select_cluster(17)


def test_lasso_covers_all_points_whatever_is_drawn(state):
    state.select_region(EVERYTHING)
    assert ids(state) == set(map(int, state.run.layout.frame_id))
    assert "2-D layout contrastive" in state.selection.reason


def test_lasso_adds_and_removes(state):
    state.select_cluster(0)
    zero = ids(state)
    xy = state.run.layout.xy[state.run.in_layout[np.flatnonzero(state.run.cluster == 1)]]
    around = np.array([xy.min(0), (xy[:, 0].max(), xy[:, 1].min()), xy.max(0), (xy[:, 0].min(), xy[:, 1].max())])
    around = around.mean(0) + 1.01 * (around - around.mean(0))
    state.select_region(around, "add")
    both = ids(state)
    state.select_cluster(1)
    assert both >= zero | ids(state)
    state.select_region(around, "remove")
    assert not len(state.selection)


def test_click_opens_the_nearest_frame_and_its_cluster(state):
    row = int(np.flatnonzero(state.run.cluster == 2)[0])
    x, y = state.run.layout.xy[state.run.in_layout[row]]
    assert state.select_point(x, y, 1e-3)
    assert state.focus == row and state.selection.key == 2
    assert not state.select_point(1e6, 1e6, 1.0) and state.selection.key == 2


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_shows_the_selection_once(state, order):
    state.select_cluster(0)
    state.set_order(order)
    assert sorted(state.ordered) == state.selection.rows.tolist()


def test_orders_mean_what_they_say(state):
    state.select_cluster(1)
    state.set_order("typical")
    assert state.run.frame_id[state.ordered[0]] == state.run.clustering.medoids[1]
    state.set_order("uncertain")
    assert (np.diff(state.run.strength[state.ordered]) >= 0).all()
    state.set_order("bright")
    assert (np.diff(state.run.photons[state.ordered]) <= 0).all()
    state.set_order("random")
    first = state.ordered.tolist()
    state.set_order("random")
    assert state.ordered.tolist() != first, "asking again shuffles anew"
    with pytest.raises(InputError):
        state.set_order("sideways")


def test_pages_cover_the_selection(state):
    state.select_blanks()
    state.set_page_size(24)
    shown = []
    for page in range(state.n_pages):
        state.go_to_page(page)
        shown += state.page_rows().tolist()
    assert sorted(shown) == state.selection.rows.tolist()
    state.go_to_page(999)
    assert state.page == state.n_pages - 1
    state.set_page_size(240)
    assert state.page == 0


def test_stepping_through_frames_turns_the_page(state):
    state.select_cluster(0)
    state.set_page_size(24)
    for _ in range(26):
        state.step_focus(1)
    assert state.page == 1 and state.focus == state.ordered[25]


def test_nothing_selected_shows_medoids_and_the_mean_of_hits(state):
    assert set(state.page_rows()) == set(state.run.medoid_rows())
    assert len(state.mean_of()) == state.run.is_hit.sum()


def test_the_average_of_a_selection_is_read_bit_by_bit(state):
    state.select_blanks()
    average = state.average()
    assert average.n_read == 0 and average.n_all == len(state.selection)
    while not average.complete:
        average.read_more()
    assert average.n_read == len(state.selection), "fewer than are read at most: all of them"
    frames = state.run.store.read(state.run.frame_id[state.selection.rows])
    found = average.finish()
    assert np.allclose(found.mean, frames.mean(0)) and np.allclose(found.std**2, frames.var(0))


def test_labels_are_stored_with_what_was_pointed_at(state, work):
    state.select_cluster(2)
    event = state.give_label("cube")
    book = LabelBook(work.labels_path)
    assert set(map(int, book.frames_with("cube"))) == ids(state)
    assert event.reason == "cluster 2 of density" and event.author == "ada"
    assert state.give_label("cube") is None, "all have it"
    assert state.current == "cube"


def test_undo_redo_and_restart(state, work):
    state.select_cluster(0)
    state.give_label("rod")
    assert state.undo().label == "rod" and not state.labels.names
    assert state.redo().label == "rod"
    again = Explorer(Library(work), LabelBook(work.labels_path))
    assert again.labels.names == ["rod"]
    again.undo()
    assert state.refresh_labels() and not state.labels.names, "pages see each other's labels"
    with pytest.raises(InputError, match="nothing to undo"):
        again.undo()


def test_label_without_selection_is_refused(state):
    with pytest.raises(InputError, match="nothing is selected"):
        state.give_label("cube")


def test_selecting_a_label_and_what_has_none(state):
    state.select_cluster(0)
    cluster = ids(state)
    state.give_label("rod")
    state.select_label("rod")
    assert ids(state) == cluster
    state.remove_label("rod")
    assert not len(state.selection)
    state.select_unlabelled()
    assert len(state.selection) == state.run.is_hit.sum()
    with pytest.raises(InputError, match="no frame of this run"):
        state.select_label("rod")


def test_several_labels_and_their_numbers_keep_their_colour(state):
    state.select_cluster(0)
    state.give_label("zebra")
    state.give_label("ant")
    assert [state.labels.number(n) for n in ("zebra", "ant")] == [0, 1]
    row = int(state.selection.rows[0])
    assert state.labels.of(row) == ["zebra", "ant"]
    state.remove_label("zebra")
    assert state.labels.number("ant") == 1, "the other one keeps its number"
    assert set(state.labels.codes()[state.selection.rows]) == {0}, "the first of the labels that are left"


def test_next_unlabelled_goes_through_the_clusters(state):
    visited = []
    while state.next_unlabelled_cluster():
        visited.append(state.selection.key)
        state.give_label("seen")
    assert visited == [0, 1, 2]


def test_table_of_clusters_is_what_counting_gives(state):
    state.select_cluster(1)
    state.give_label("cube")
    rows = {row.cluster: row for row in cluster_rows(state.run, state.labels)}
    assert set(rows) == {0, 1, 2, NOISE}
    for cluster, row in rows.items():
        members = state.run.cluster == cluster
        assert row.n_frames == members.sum()
        if cluster >= 0:
            assert row.strength == pytest.approx(state.run.strength[members].mean(), abs=1e-5)
    assert rows[1].labels == {"cube": rows[1].n_frames} and not rows[0].labels


def test_layouts_and_clusterings_can_be_switched(state, work):
    run = state.run
    some = run.layout.frame_id[:50]
    work.write_layout(Layout("pca", some, run.layout.xy[:50]))
    flat = Clustering("coarse", some, np.zeros(50, np.int32), np.ones(50, np.float32), np.zeros(50, np.int32), some[:1])
    work.write_clustering(flat)
    assert state.results_changed()
    state.select_cluster(0)
    before = ids(state)
    state.show("pca", "coarse")
    assert not state.results_changed() and state.run.n_clusters == 1
    assert ids(state) == before, "a selection is of frames and survives"
    table = cluster_rows(state.run, state.labels)
    assert table[-1].cluster == NOT_CLUSTERED and table[-1].n_frames == run.is_hit.sum() - 50
    state.select_region(EVERYTHING)
    assert ids(state) == set(map(int, some))
    fresh = Explorer(Library(work), LabelBook(work.labels_path))
    assert fresh.run.clustering.name == "density", "the density clustering is the default"


def test_no_layout_yet(tmp_path):
    work = make_work_folder(tmp_path, n=40, results=False)
    with pytest.raises(MissingResultError, match="shotsort cluster"):
        Explorer(Library(work), LabelBook(work.labels_path))


def test_a_run_of_blanks(tmp_path):
    work = make_work_folder(tmp_path, n=40, classes=())
    state = Explorer(Library(work), LabelBook(work.labels_path))
    assert state.run.n_clusters == 0 and not len(state.page_rows())
    state.select_region(EVERYTHING)
    assert not len(state.selection)
    state.select_blanks()
    assert len(state.selection) == 40 and len(state.page_rows()) == 40


def test_similar_frames_are_the_nearest_in_the_embedding(state, work):
    state.select_cluster(1)
    state.step_focus(1)
    row = state.focus
    state.select_similar()
    embedding = work.read_embedding("contrastive")
    at = np.flatnonzero(embedding.frame_id == state.run.frame_id[row])[0]
    nearest = np.argsort(np.linalg.norm(embedding.vectors - embedding.vectors[at], axis=1))[:60]
    assert ids(state) == set(map(int, embedding.frame_id[nearest]))
    assert state.ordered[0] == row == state.focus
    state.select_blanks()
    state.step_focus(1)
    with pytest.raises(InputError, match="choose a hit"):
        state.select_similar()


def test_single_frames_can_be_picked_out(state):
    state.select_cluster(1)
    with pytest.raises(InputError, match="no frame is open"):
        state.drop_open_frame()
    state.step_focus(1)
    first, second, size = *state.ordered[:2], len(state.selection)
    state.drop_open_frame()
    assert len(state.selection) == size - 1 and first not in state.ordered and state.focus == second
    state.drop_open_frame()
    assert state.give_label("cube").reason == "cluster 1 of density, single frames picked out"
    state.select_open_frame()
    assert len(state.selection) == 1


def test_random_actions_agree_with_a_model_of_the_label_book(state):
    """Labels given, taken, undone and redone at random are what a list of sets says."""
    rng = np.random.default_rng(0)
    past, future, now = [], [], {}
    for _ in range(120):
        act = rng.choice(["give", "give", "take", "undo", "redo"])
        state.select_cluster(int(rng.integers(-1, 3)))
        word, members = f"label{rng.integers(3)}", frozenset(state.selection.rows.tolist())
        new = dict(now)
        if act == "give":
            new[word] = now.get(word, frozenset()) | members
            state.give_label(word)
        elif act == "take" and now.get(word):
            new[word] = now[word] - members
            state.remove_label(word)
        elif act == "undo" and past:
            state.undo()
            future.append(now)
            now = past.pop()
            new = now
        elif act == "redo" and future:
            state.redo()
            past.append(now)
            now = new = future.pop()
        new = {k: v for k, v in new.items() if v}
        if new != now:
            past.append(now)
            future.clear()
            now = new
        assert {name: frozenset(state.labels.rows(name).tolist()) for name in state.labels.names} == now
