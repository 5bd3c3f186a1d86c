"""Few labels: heads, probabilities, classes that nobody named, what to label next."""

import csv
import io

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from sorter.core.clustering import Clustering
from sorter.curate import neighbour_graph
from sorter.curate.calibration import choose_temperature, left_out_logits, reliability, to_probability
from sorter.curate.heads import HEADS, make_head
from sorter.curate.label_book import LabelBook
from sorter.curate.neighbour_graph import NeighbourGraph
from sorter.curate.open_set import unknown_probability
from sorter.curate.proposal_table import write_proposals
from sorter.curate.propose import Proposer, known_frames
from sorter.curate.suggest import next_clusters, next_rows, next_value

NAMES = ("cube", "rod", "sphere", "plate", "dimer")


@pytest.fixture(scope="module")
def blobs():
    """400 frames of five classes in 12 dimensions, neighbours in class overlapping a little."""
    rng = np.random.default_rng(3)
    kind = rng.integers(0, 5, 400)
    return kind, 3.2 * rng.normal(size=(5, 12))[kind] + rng.normal(size=(400, 12))


def draw(kind, shots, classes=range(5), seed=0):
    rng = np.random.default_rng(seed)
    rows = np.concatenate([rng.choice(np.flatnonzero(kind == c), shots, replace=False) for c in classes])
    return rows, kind[rows][:, None] == np.array(list(classes))


def test_spreading_solves_its_linear_system(blobs):
    """Slow truth: F = (1 - a) (I - a S)^-1 Y with a dense S built from its definition; the steps stop at 0.95^60."""
    points = blobs[1][:60]
    distance = cdist(points, points)
    order = np.argsort(distance, axis=1)[:, 1:9]
    scale = np.take_along_axis(distance, order, 1)[:, 6]
    weight = np.zeros((60, 60))
    for i, near in enumerate(order):
        weight[i, near] = np.exp(-(distance[i, near] ** 2) / (scale[i] * scale[near]))
    weight = np.maximum(weight, weight.T)
    root = np.sqrt(weight.sum(1))
    source = np.eye(60)[:, :2]
    exact = 0.05 * np.linalg.solve(np.eye(60) - 0.95 * weight / np.outer(root, root), source)
    assert np.allclose(NeighbourGraph(points).spread(np.arange(2), np.eye(2)), exact, atol=0.05 * exact.max())


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("head", HEADS)
def test_heads_name_what_they_were_not_shown(blobs, head, several):
    kind, points = blobs
    rows, member = draw(kind, 5)
    logits = make_head(head, points, NeighbourGraph(points))(rows, member, several)
    assert (logits.argmax(1) == kind).mean() > 0.95
    p = to_probability(logits, several)
    assert np.isfinite(p).all() and (several or np.allclose(p.sum(1), 1))


@pytest.mark.parametrize("head", HEADS)
def test_heads_with_one_label_only(blobs, head):
    kind, points = blobs
    rows, member = draw(kind, 2, classes=[1])
    p = to_probability(make_head(head, points, NeighbourGraph(points))(rows, member, False), False)
    assert np.allclose(p, 1)


def test_large_runs_are_thinned(blobs, monkeypatch):
    kind, points = blobs
    monkeypatch.setattr(neighbour_graph, "LARGEST_GRAPH", 150)
    rows, member = draw(kind, 5)
    logits = make_head("propagation", points, NeighbourGraph(points))(rows, member, False)
    assert (logits.argmax(1) == kind).mean() > 0.9


def test_temperature_mends_overconfidence():
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 4, 4000)
    logits = np.eye(4)[kind] + rng.normal(size=(4000, 4))  # the true posterior has temperature 1
    member = np.eye(4, dtype=bool)[kind]
    assert choose_temperature(5 * logits, member, False) == pytest.approx(5, rel=0.1)
    assert choose_temperature(logits[:5], member[:5], False) is None
    p = to_probability(logits, False)
    right = p.argmax(1) == kind
    assert reliability(p.max(1), right).ece < 0.03
    sharp = to_probability(5 * logits, False)
    assert reliability(sharp.max(1), right).ece > 0.2


def test_reliability_by_hand():
    found = reliability(np.array([0.15, 0.15, 0.95, 1.0]), np.array([True, False, True, True]))
    assert found.count.tolist() == [0, 2, 0, 0, 0, 0, 0, 0, 0, 2]
    assert found.ece == pytest.approx((2 * abs(0.5 - 0.15) + 2 * abs(1 - 0.975)) / 4)
    assert reliability(np.empty(0), np.empty(0, bool)).ece is None


def test_left_out_frames_are_not_seen(blobs):
    """A head that remembers what it was shown would name every frame; left out, it knows none."""
    kind, _ = blobs
    rows, member = draw(kind, 4)

    def rote(rows, member, several):
        out = np.zeros((400, 5))
        out[rows] = member
        return out

    place, logits = left_out_logits(rote, rows, member, False)
    assert sorted(place) == list(range(20)) and not logits.any()
    assert not len(left_out_logits(rote, *draw(kind, 1), False)[0])


def test_a_class_that_nobody_named(blobs):
    kind, points = blobs
    rows, member = draw(kind, 6, classes=[0, 1, 2, 3])
    unknown = unknown_probability(NeighbourGraph(points), rows, member)
    rest = np.setdiff1d(np.arange(400), rows)
    strange = kind[rest] == 4
    assert (unknown[rest][strange] > 0.5).mean() > 0.8 and (unknown[rest][~strange] > 0.5).mean() < 0.1
    assert not unknown[rows].any()
    few = unknown_probability(NeighbourGraph(points), *draw(kind, 1, classes=[0, 1]))  # nothing to calibrate on
    assert np.median(few[kind > 1]) > np.median(few[kind <= 1])


def test_labels_before_proposals_and_none_at_all(blobs):
    kind, points = blobs
    ids = np.arange(400).astype(np.uint64) + 7
    rows, member = draw(kind, 6)
    found = Proposer(ids, points).propose(NAMES, rows, member)
    assert (found.best[kind >= 0] == kind).mean() > 0.9 and found.meta["left_out_accuracy"] > 0.8
    assert not found.proposed()[rows].any() and not found.next_value[rows].any()
    empty = Proposer(ids, points).propose((), np.empty(0, np.int64), np.zeros((0, 0), bool))
    assert empty.probability.shape == (400, 0) and empty.best.tolist() == [-1] * 400 and empty.next_value.max() == 1
    text = io.StringIO()
    assert write_proposals(text, found) == 400
    row = next(csv.DictReader(io.StringIO(text.getvalue())))
    assert row["frame_id"] == "7" and float(row["p:cube"]) <= 1


def test_several_labels_of_a_frame(blobs):
    kind, points = blobs
    rows, member = draw(kind, 8)
    member = np.concatenate([member, (kind[rows] < 2)[:, None]], axis=1)  # "facetted": cubes and rods
    found = Proposer(np.arange(400).astype(np.uint64), points).propose((*NAMES, "facetted"), rows, member)
    rest = ~found.labelled
    assert found.meta["several"]
    assert ((found.probability[rest, 5] > 0.5) == (kind[rest] < 2)).mean() > 0.9
    both = found.proposed()[rest & (kind == 0)]
    assert (both[:, 0] & both[:, 5]).mean() > 0.5


def test_suggestions_reach_every_class_sooner_than_chance(blobs):
    kind, points = blobs
    proposer = Proposer(np.arange(400).astype(np.uint64), points)
    chosen: list[int] = []
    for _ in range(8):
        classes = np.unique(kind[chosen])
        found = proposer.propose(
            tuple(NAMES[c] for c in classes), np.array(chosen, np.int64), kind[chosen][:, None] == classes
        )
        chosen += next_rows(found.next_value, proposer.points, 1).tolist()
    assert len(set(kind[chosen])) == 5 and len(set(chosen)) == 8


def test_suggestions_of_a_batch_differ():
    points = np.repeat(np.eye(3) * 9, 50, axis=0) + np.random.default_rng(0).normal(size=(150, 3))
    value = next_value(np.zeros((150, 0)), NeighbourGraph(points), np.empty(0, np.int64))
    rows = next_rows(value, points, 12)
    assert len(set(rows)) == 12 and set(rows // 50) == {0, 1, 2}
    assert len(next_rows(np.zeros(150), points, 5)) == 0


def test_clusters_worth_naming(blobs):
    kind, points = blobs
    ids = np.arange(400).astype(np.uint64)
    rows, member = draw(kind, 6, classes=[0, 1, 2])
    found = Proposer(ids, points).propose(NAMES[:3], rows, member)
    labels = kind.astype(np.int32)
    clustering = Clustering("density", ids, labels, np.ones(400, np.float32), labels, ids[:5])
    order = next_clusters(found, clustering)
    assert {order[0]["cluster"], order[1]["cluster"]} == {3, 4} and len(order) == 5
    assert order[-1]["labelled"] > 0 and order[0]["worth"] >= order[-1]["worth"]


def test_only_a_persons_labels_are_evidence(tmp_path):
    ids = np.arange(5).astype(np.uint64)
    person = LabelBook(tmp_path / "labels.sqlite", "ada")
    person.add(ids[:2], "cube")
    LabelBook(person.path, "proposal (ada)").add(ids[2:4], "cube")
    assert person.frames_with("cube").tolist() == [0, 1, 2, 3]
    classes, rows, member = known_frames(person.state(), ids)
    assert classes == ("cube",) and rows.tolist() == [0, 1] and member.all()
    person.add(ids[2:3], "cube")  # a person confirms one
    assert known_frames(person.state(), ids)[1].tolist() == [0, 1, 2]
    assert person.state().spoken_of().tolist() == [0, 1, 2]
    person.undo()
    assert known_frames(person.state(), ids)[1].tolist() == [0, 1]
    assert person.frames_with("cube").tolist() == [0, 1, 2, 3]
