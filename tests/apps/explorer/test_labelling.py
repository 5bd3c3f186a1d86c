"""Classes, targets, picked frames and proposals of a page, without a browser."""

import re
from pathlib import Path

import numpy as np
import pytest

from apps.explorer import session
from apps.explorer.labelling import PROPOSALS, Labelling
from sorter.core.errors import InputError
from sorter.curate.classes import KEYS
from sorter.stages.propose import ProposeConfig, accept, propose, revoke


@pytest.fixture
def labelling(state):
    return Labelling(state)


def test_a_key_labels_what_is_meant(labelling):
    state = labelling.state
    labelling.define("cube", key="d")
    labelling.define("ball")
    assert labelling.of_key("d") == "cube" and labelling.of_key("1") == "ball"
    with pytest.raises(InputError, match="no class has it"):
        labelling.of_key("7")
    state.select_cluster(0)
    assert len(labelling.give("cube").frame_id) == len(state.selection)
    labelling.set_target("page")
    state.set_page_size(24)
    assert set(labelling.give("ball").frame_id) == set(state.run.frame_id[state.page_rows()])
    labelling.set_target("frame")
    with pytest.raises(InputError, match="no frame is open"):
        labelling.give("ball")
    state.step_focus(1)
    assert labelling.give("third").frame_id.tolist() == [state.run.frame_id[state.focus]]
    labelling.set_target("cluster")
    event = labelling.give("whole")
    assert len(event.frame_id) == (state.run.cluster == 0).sum() and event.reason == "cluster 0 of density"


def test_a_cluster_is_taken_with_the_frames_assigned_to_it(labelling):
    state = labelling.state
    run = state.run
    state.select_cluster(1)
    state.widen()
    assert np.array_equal(state.selection.rows, np.flatnonzero(run.assigned == 1))
    assert len(state.selection) > (run.cluster == 1).sum() and state.selection.key == 1
    assert labelling.give("all").reason == "cluster 1 of density, assigned frames included"
    state.select_cluster(-1)
    assert np.array_equal(state.selection.rows, run.noise_rows())
    state.select_cluster(1)
    state.widen()
    assert np.array_equal(state.selection.rows, np.flatnonzero(run.cluster == 1))


def test_keys_of_classes_are_not_those_of_the_page():
    script = (Path(session.__file__).parent / "page.js").read_text()
    table = script[script.index("const KEYS = {") : script.index("function pressed")]
    taken = set(re.findall(r"[{,\n] *([a-z]): ", table))
    assert {"n", "z", "a", "l"} <= taken and not taken & set(KEYS)


def test_picked_frames_come_first_and_ranges_follow_the_page(labelling):
    state = labelling.state
    state.select_cluster(1)
    ids = state.run.frame_id[state.ordered]
    state.pick(int(ids[2]))
    state.pick(int(ids[6]), as_range=True)
    state.pick(int(ids[4]))
    wanted = {int(i) for i in ids[[2, 3, 5, 6]]}
    event = labelling.give("picked")
    assert set(map(int, event.frame_id)) == wanted and "picked by hand" in event.reason and not len(state.picked)
    state.exclude(int(ids[0]))
    assert int(ids[0]) not in state.run.frame_id[state.selection.rows] and len(state.selection) == len(ids) - 1


def test_colours_stay_when_further_classes_come(labelling):
    labelling.define("one")
    before = labelling.color("one")
    labelling.state.select_cluster(0)
    labelling.give("other")
    labelling.define("two")
    labelling.define("other", note="now a class")
    assert labelling.color("one") == before and labelling.color("two") != before
    labelling.define("one", color="#123456")
    assert labelling.color("one") == "#123456"


def test_proposals_are_counted_shown_accepted_and_revoked(labelling):
    state, run = labelling.state, labelling.state.run
    with pytest.raises(InputError, match="no proposals yet"):
        labelling.next_to_label()
    for cluster, word in enumerate(("a", "b", "c")):
        rows = np.flatnonzero(run.cluster == cluster)[:6]
        state.give_label(word, rows, "a few")
    propose(run.work, ProposeConfig(embedding="contrastive", name=PROPOSALS))
    labelling.threshold = 0.6
    counts = {one.name: one for one in labelling.counts()}
    assert set(counts) == {"a", "b", "c"} and all(one.labelled == 6 for one in counts.values())
    rows = labelling.proposed_rows("a")
    assert len(rows) == counts["a"].proposed > 0
    truth = run.column("truth: class")
    assert (truth[rows] == truth[np.flatnonzero(run.cluster == 0)[0]]).mean() > 0.9, "the blobs lie far apart"
    labelling.select_proposed("a")
    assert state.selection.title == "Proposed a" and state.ordered.tolist() == rows.tolist()
    labelling.next_to_label()
    assert state.focus is not None and len(state.selection)
    assert labelling.next_cluster() in (None, 0, 1, 2)
    mine = set(map(int, state.book.frames_with("a")))
    accept(run.work, 0.6, (), PROPOSALS)
    assert set(map(int, state.book.frames_with("a"))) > mine
    assert state.book.current().labellers() == ["ada"], "an accepted proposal is nobody's word"
    revoke(run.work)
    assert set(map(int, state.book.frames_with("a"))) == mine
