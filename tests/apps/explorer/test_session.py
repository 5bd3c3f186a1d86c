"""A page without a browser: every action on every kind of run, and messages that no page of ours would send."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from bokeh.document import Document

from apps.explorer.colors import Coloring
from apps.explorer.frame_figure import rings
from apps.explorer.ground import warm_up
from apps.explorer.layout_figure import MOST_ON_CANVAS, MOST_POINTS, LayoutFigure
from apps.explorer.points import PointIndex, spread_order
from apps.explorer.run import Library
from apps.explorer.session import CHANGES, Session, build_page
from sorter.core.clustering import Clustering
from sorter.core.embedding import Layout
from sorter.core.geometry import Geometry, q_inv_nm
from sorter.core.manifest import utc_now
from sorter.curate.label_book import LabelBook
from tests.workfolders import make_work_folder

ACTIONS = [
    ("cluster", "0"), ("widen", ""),
    ("step-cluster", "1"), ("next-cluster", ""), ("label", "cube"), ("label-row", "cube"), ("undo", ""),
    ("redo", ""), ("unlabelled", ""), ("blanks", ""), ("order", "typical"), ("order", "uncertain"), ("order", "random"),
    ("turn", "1"), ("page", "0"), ("page-size", "24"), ("step", "1"), ("similar", ""), ("only", ""), ("unlabel", "cube"),
    ("drop", ""), ("mean", ""),
    ("mean", "variance"), ("scale", "sqrt"), ("rings", ""), ("color", "photons"), ("color", "truth: class"),
    ("color", "strength"), ("color", "label"), ("color", ""), ("mode", "add"), ("fit", ""), ("hover", {"x": 0.0, "y": 0.0}),
    ("clear", ""), ("cluster", "0"), ("toggle-cluster", "1"), ("merge", ""), ("define-class", {"name": "cube", "key": "d"}),
    ("class-label", "cube"), ("class-key", "d"), ("class-key", "9"), ("target", "page"), ("target", "selection"),
    ("clip", "99 %"),
    ("pick", {"frame": "1"}), ("unpick", ""),
    ("exclude", "1"), ("threshold", "0.7"), ("show-proposed", "cube"), ("unknown", ""),
    ("next-label", ""), ("next-doubtful", ""), ("accept", ""), ("revoke", ""), ("disputed", ""), ("author", "bob"), ("pin", ""),
    ("unpin", ""), ("clean", ""), ("cut-step", "3"), ("cut-size", "5"), ("cut", ""), ("take", ""), ("drop-proposed", ""),
    ("subset", {"name": "picks"}), ("send", {"subset": "picks", "stage": "shape"}), ("follow", "off"), ("cancel", ""),
    ("forget-class", "cube"), *[("tab", tab) for tab in ("label", "shape", "compare", "out", "live", "frame")],
]  # fmt: skip


def opened(work):
    doc = Document()
    session = Session(doc, Library(work), LabelBook(work.labels_path))
    assert {root.name for root in doc.roots} == {"layout", "frame", "bridge"}
    return session


def send(session, act, value=""):
    number = session.wire.done + 1
    session.wire.bridge.message = json.dumps({"n": number, "act": act, "value": value})
    answer = json.loads(session.wire.bridge.answer)
    assert session.wire.done == answer["done"] == number
    return answer


def blanks(tmp_path):
    return make_work_folder(tmp_path, n=30, classes=())


def layout_only(tmp_path):
    work = make_work_folder(tmp_path, n=30, results=False)
    ids = work.frames().frame_ids
    work.write_layout(Layout("drawn", ids, np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)))
    return work


def measured(tmp_path):
    return make_work_folder(tmp_path, n=30, truth=False, n_sources=2)


@pytest.mark.parametrize("make", [measured, blanks, layout_only])
def test_every_action_on_every_kind_of_run(make, tmp_path, caplog):
    session = opened(make(tmp_path))
    for act, value in ACTIONS:
        send(session, act, value)
    session.doc.to_json()
    assert not [record for record in caplog.records if record.exc_info], "an action met a fault of ours"


def test_messages_that_no_page_of_ours_sends(work):
    session = opened(work)
    for text in ("", "no json", "[]", "{}", '{"n": "x", "act": 1}', "null", '{"n": 5}'):
        session._received("message", "", text)
    for act, value in [
        ("__init__", ""),
        ("say", "x"),
        ("cluster", "999"),
        ("cluster", "x"),
        ("frame", "-1"),
        ("page", {}),
        ("hover", 3),
    ]:
        send(session, act, value)
    assert not len(session.state.selection) and LabelBook(work.labels_path).revision == 0


def test_a_polygon_is_all_that_a_lasso_sends(work):
    session = opened(work)
    around = {"type": "poly", "x": [-1e6, 1e6, 1e6, -1e6], "y": [-1e6, -1e6, 1e6, 1e6]}
    session._drawn(SimpleNamespace(final=False, geometry=around))
    assert not len(session.state.selection), "only a finished lasso counts"
    session._drawn(SimpleNamespace(final=True, geometry=around))
    assert len(session.state.selection) == len(session.state.run.layout.frame_id)
    for bad in ({"type": "poly", "x": [0], "y": [0]}, {"type": "poly", "x": [0, float("nan"), 1], "y": [0, 1, 2]}):
        session._drawn(SimpleNamespace(final=True, geometry=bad))
    assert len(session.state.selection) == len(session.state.run.layout.frame_id)
    for source in (session.layout.points, session.layout.selected):
        assert not source.selected.indices


def test_damaged_label_book_and_frames_have_a_page(work):
    work.labels_path.write_bytes(b"not a label book")
    doc = Document()
    build_page(doc, Library(work), LabelBook(work.labels_path))
    assert "cannot be shown" in doc.template_variables["empty"] and "labels.sqlite" in doc.template_variables["empty"]
    assert [root.name for root in doc.roots] == ["bridge"]


def test_read_only_folder_is_said(work, monkeypatch):
    session = opened(work)
    send(session, "cluster", "0")
    monkeypatch.setattr(
        LabelBook, "_create", lambda self: (_ for _ in ()).throw(PermissionError(13, "Permission denied"))
    )
    assert "Permission denied" in send(session, "label", "cube")["toast"][1]


def test_results_made_anew_are_told(work):
    session = opened(work)
    session._poll()
    assert session.wire.panels["banner"] == ""
    work.write_clustering(work.read_clustering("density"))
    session._poll()
    assert "made anew" in session.wire.panels["banner"]


def test_at_most_50000_points_are_drawn_and_zoom_shows_more():
    warm_up()
    rng = np.random.default_rng(0)
    points = PointIndex(rng.random((4 * MOST_POINTS, 2)))
    coloring = Coloring("", np.zeros(4 * MOST_POINTS, np.float32), ("#ffffff",), 0.0, 1.0)
    layout, order = LayoutFigure(), spread_order(np.zeros(4 * MOST_POINTS, int))
    assert layout.draw(points, coloring, order, whole=True) == MOST_ON_CANVAS
    layout.most_points = MOST_POINTS  # the page has a graphics card
    assert layout.refine() == MOST_POINTS
    assert len(layout.ground.data["image"]) == 1, "the ground shows where the others are"
    layout.view.fit((0.0, 0.2, 0.0, 0.2))
    drawn = layout.refine()
    inside = ((points.xy <= 0.2) & (points.xy >= 0)).all(1).sum()
    assert inside <= drawn < MOST_POINTS and not layout.ground.data["image"], "in a small view all of them are drawn"


def test_rings_are_where_q_says():
    geometry = Geometry((128, 128), 3e-4, 0.1, 13.5e-9, (63.5, 60.0))
    q = q_inv_nm(geometry)
    for radius, text in rings(geometry):
        assert q[63, min(127, round(60 + radius))] == pytest.approx(float(text.split()[0]), rel=0.05)
    assert rings(Geometry((50, 50)))[0][1].endswith("px")


def test_read_only_changes_nothing_and_says_so(work):
    doc = Document()
    session = Session(doc, Library(work), LabelBook(work.labels_path), read_only=True)
    before = sorted(str(p) for p in work.path.rglob("*"))
    for act, value in ACTIONS:
        answer = send(session, act, value)
        assert act not in CHANGES or "read-only" in answer["toast"][1]
    assert sorted(str(p) for p in work.path.rglob("*")) == before


def test_exports_stay_in_the_work_folder(work, tmp_path):
    session = opened(work)
    send(session, "cluster", "0")
    for name in ("../out", "/etc/x", "a/b", "..", ""):
        send(session, "subset", {"name": name})
        send(session, "export", {"subset": name, "end": ".txt"})
        assert session.desk.job is None
    send(session, "subset", {"name": "picks"})
    send(session, "export", {"subset": "picks", "end": "/../../x"})
    assert session.desk.job is None and work.result_names("subsets") == ["picks"]
    send(session, "export", {"subset": "picks", "end": ".index.npy"})
    while session.desk.job is not None:
        session.desk.job._answers.poll(0.2)
        session.poll_job()
    assert len(np.load(work.path / "exports" / "picks.index.npy")) == len(session.state.selection)
    send(session, "send", {"subset": "picks", "stage": "shape"})
    assert session.desk.said[-1] == f"shotsort recon shape predict {work.path} --subset picks"


def tell(work, state, **more):
    """What `shotsort watch` writes once a second."""
    told = {"schema_version": 1, "state": state, "updated": utc_now(), "clusters": [], "frames": 1, **more}
    (work.path / "live.json").write_text(json.dumps(told))


def test_the_page_follows_a_watched_run_unless_paused(work):
    session = opened(work)
    session._poll()
    work.write_clustering(work.read_clustering("density"))
    tell(work, "watching")
    session._poll()
    assert session.wire.panels["banner"] == "" and not session.state.results_changed(), "new results were loaded"
    assert "dot" in session.wire.panels["tabs"]
    send(session, "tab", "live")
    assert "watching" in session.wire.panels["tab"]
    send(session, "follow", "off")
    work.write_clustering(work.read_clustering("density"))
    session._poll()
    assert session.state.results_changed() and session.wire.panels["banner"] == "", (
        "paused: nothing moves, nothing is said"
    )
    tell(work, "stopped")
    session._poll()
    assert "made anew" in session.wire.panels["banner"]


def test_a_watching_process_that_was_killed_is_told(work):
    session = opened(work)
    tell(work, "watching", updated="2020-01-01T00:00:00+00:00")
    session._poll()
    assert "dot" not in session.wire.panels["tabs"]
    assert "not answering" in send(session, "tab", "live")["panels"]["tab"]


def test_what_a_person_looks_at_stays_when_the_run_grows(work):
    whole = work.read_layout("contrastive")
    work.write_layout(Layout("contrastive", whole.frame_id[::2], whole.xy[::2]))
    session = opened(work)
    for act, value in (("cluster", "0"), ("page-size", "24"), ("turn", "1")):
        send(session, act, value)
    ids = session.state.run.frame_id
    shown = ids[session.state.page_rows()]
    send(session, "frame", str(shown[0]))
    send(session, "pick", {"frame": str(shown[1])})
    session.layout.view.fit((0.0, 1.0, 0.0, 1.0))
    view = session.layout.view.shown()
    work.write_layout(whole)
    tell(work, "watching")
    session._poll()
    state = session.state
    assert len(state.run.layout.frame_id) == len(whole.frame_id) and session.layout.view.shown() == view
    assert np.array_equal(ids[state.page_rows()], shown) and state.page == 1
    assert ids[state.focus] == shown[0] and ids[state.picked].tolist() == [shown[1]]
    assert state.selection.title == "Cluster 0" and state.selection.reason == "cluster 0 of density"


def test_strange_hits_of_a_watched_run_are_shown(work):
    ids = work.read_clustering("density").members(2)
    groups = np.zeros(len(ids), np.int32)
    work.write_clustering(Clustering("strange", ids, groups, np.ones(len(ids), np.float32), groups, ids[:1]))
    session = opened(work)
    tell(work, "watching", proposals=[{"clustering": "strange", "cluster": 0, "hits": len(ids)}])
    session._poll()
    assert 'data-act="strange"' in send(session, "tab", "live")["panels"]["tab"]
    send(session, "strange")
    assert set(session.state.run.frame_id[session.state.selection.rows]) == set(ids)
