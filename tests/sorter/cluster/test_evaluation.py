"""Figures of a sorted run, by hand and against scikit-learn."""

import json

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, f1_score

from sorter.cluster.evaluation import Truth, evaluate_run
from sorter.core.clustering import Clustering
from sorter.core.embedding import Embedding
from sorter.core.hits import Hits

CLASSES = np.array(["a", "a", "a", "a", "b", "b", "b", "b", "blank", "blank"])
IS_HIT = CLASSES != "blank"
PHOTONS = np.array([3e4, 3e4, 2e4, 900, 5e4, 5e4, 1.9e4, 6e4, 0, 0])
FOUND = np.array([1, 1, 1, 0, 1, 1, 1, 0, 1, 0], bool)
IDS = np.arange(100, 110, dtype=np.uint64)
GROUP = np.array([0, 0, -1, 9, 1, 0, 1, 9, 1, 9])
ASSIGNED = np.array([0, 0, 0, 9, 1, 0, 1, 9, 1, 9])


def sorted_run():
    order = np.random.default_rng(0).permutation(10)
    hits = Hits(IDS[order], PHOTONS[order], PHOTONS[order].astype(np.float32), FOUND[order], 1.0)
    ids = hits.hit_ids
    rows = (ids - 100).astype(int)
    labels, assigned = (v[rows].astype(np.int32) for v in (GROUP, ASSIGNED))
    clustering = Clustering("density", ids, labels, np.ones(len(ids), np.float32), assigned, IDS[:2])
    return (
        Truth(IDS, CLASSES, IS_HIT, PHOTONS),
        hits,
        clustering,
        Embedding("e", ids, np.eye(10, 3, dtype=np.float32)[rows]),
    )


def test_figures_by_hand():
    figures = evaluate_run(*sorted_run())
    assert (figures["n_true_hits"], figures["n_bright"], figures["n_found_hits"]) == (8, 6, 7)
    # counted for hits: all but the 900-photon one; found 7 of which 6 true, of 7 true
    assert figures["hit_precision"] == pytest.approx(6 / 7) and figures["hit_recall"] == pytest.approx(6 / 7)
    assert figures["hit_f1"] == pytest.approx(6 / 7)
    bright_classes, bright_groups = list("aaabbb"), [0, 0, -1, 1, 0, -1]  # the last b was missed
    assert figures["bright_ari"] == pytest.approx(adjusted_rand_score(bright_classes, bright_groups))
    assert figures["bright_ari_without_noise"] == pytest.approx(adjusted_rand_score(list("aabb"), [0, 0, 1, 0]))
    assert figures["bright_purity"] == pytest.approx(3 / 4) and figures["bright_noise"] == pytest.approx(2 / 6)
    assert figures["hits_ari"] == pytest.approx(adjusted_rand_score(list("aaaabbbb"), [0, 0, -1, -1, 1, 0, 1, -1]))
    assigned = adjusted_rand_score(list("aaaabbbb"), [0, 0, 0, -1, 1, 0, 1, -1])
    assert figures["hits_ari_assigned"] == pytest.approx(assigned)
    named = ["a", "a", "", "", "b", "a", "b", ""]
    expected = f1_score(list("aaaabbbb"), named, labels=["a", "b"], average="macro")
    assert figures["macro_f1_one_label_per_cluster"] == pytest.approx(expected)


def test_null_where_not_available():
    truth, hits, *_ = sorted_run()
    figures = evaluate_run(truth, hits, None, None)
    assert figures["hit_f1"] == pytest.approx(6 / 7)
    for key in ("bright_ari", "hits_ari", "hits_ari_assigned", "bright_purity", "macro_f1_one_label_per_cluster"):
        assert figures[key] is None
    assert figures["knn_balanced_accuracy"] == figures["probe_balanced_accuracy"] == {"1": None, "5": None, "20": None}
    json.dumps(figures, allow_nan=False)


def test_a_run_of_blanks_has_figures():
    truth = Truth(IDS, np.full(10, "blank"), np.zeros(10, bool), np.zeros(10))
    hits = Hits(IDS, np.zeros(10), np.zeros(10, np.float32), np.zeros(10, bool), 1.0)
    none = np.empty(0, np.int32)
    empty = Clustering("density", IDS[:0], none, none.astype(np.float32), none, IDS[:0])
    figures = evaluate_run(truth, hits, empty, Embedding("e", IDS[:0], np.empty((0, 3), np.float32)))
    assert figures["hit_f1"] is None and figures["bright_ari"] is None
    json.dumps(figures, allow_nan=False)
