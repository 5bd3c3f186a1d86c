"""Agreement figures against naive loops and scikit-learn."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from sorter.cluster import agreement as agree
from sorter.cluster.few_labels import draw_per_class, few_label_accuracy, linear_probe, nearest_neighbours

labellings = st.integers(2, 40).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(-1, 4), min_size=n, max_size=n)] * 2)
)


def pair_counting_ari(a, b):
    """Rand index adjusted for chance, by looping over pairs."""
    same = [(a[i] == a[j], b[i] == b[j]) for i, j in combinations(range(len(a)), 2)]
    n = len(same)
    both, in_a, in_b = (sum(f(s) for s in same) for f in (all, lambda s: s[0], lambda s: s[1]))
    expected, largest = in_a * in_b / n, (in_a + in_b) / 2
    return 1.0 if largest == expected else (both - expected) / (largest - expected)


@settings(max_examples=60, deadline=None)
@given(labellings)
def test_ari_nmi_purity(pair):
    a, b = (np.array(v) for v in pair)
    assert agree.adjusted_rand_index(a, b) == pytest.approx(pair_counting_ari(a, b), abs=1e-12)
    assert agree.adjusted_rand_index(a, b) == pytest.approx(metrics.adjusted_rand_score(a, b), abs=1e-12)
    expected_nmi = metrics.normalized_mutual_info_score(a, b)
    assert agree.normalised_mutual_information(a, b) == pytest.approx(expected_nmi, abs=1e-9)
    naive = sum(max((a[b == g] == c).sum() for c in set(a)) for g in set(b)) / len(a)
    assert agree.purity(a, b) == pytest.approx(naive)


@settings(max_examples=40, deadline=None)
@given(labellings)
def test_macro_f1_and_balanced_accuracy(pair):
    a, b = (np.array(v).astype(str) for v in pair)
    expected = metrics.f1_score(a, b, labels=np.unique(a), average="macro", zero_division=0)
    assert agree.macro_f1(a, b) == pytest.approx(expected)
    assert agree.balanced_accuracy(a, b) == pytest.approx(
        metrics.recall_score(a, b, labels=np.unique(a), average="macro")
    )


def test_figures_without_frames():
    none = np.array([])
    assert agree.adjusted_rand_index(none, none) is None and agree.purity(none, none) is None
    assert agree.f1_score(np.zeros(3, bool), np.zeros(3, bool)) == (None, None, None)
    assert agree.f1_score(np.ones(2, bool), np.zeros(2, bool)) == (None, 0.0, 0.0)


@pytest.mark.parametrize("classify", [nearest_neighbours, linear_probe])
def test_few_labels_on_blobs(classify):
    rng = np.random.default_rng(0)
    kind = np.repeat([0, 1, 2], [100, 60, 10])
    near = few_label_accuracy(10 * np.eye(3)[kind] + rng.normal(size=(170, 3)), kind.astype(str), classify)
    far = few_label_accuracy(rng.normal(size=(170, 3)), kind.astype(str), classify)
    assert min(near.values()) > 0.95 and list(near) == ["1", "5", "20"]
    assert far["1"] == pytest.approx(1 / 3, abs=0.1) and far["20"] == pytest.approx(1 / 2, abs=0.1)
    assert few_label_accuracy(np.ones((6, 2)), np.array(list("aaabbb")), classify)["5"] is None


def test_drawn_frames_are_balanced_and_leave_some():
    classes = np.array(["a"] * 9 + ["b"] * 6 + ["c"] * 5)
    rows = draw_per_class(classes, 5, np.random.default_rng(0))
    assert sorted(classes[rows]) == ["a"] * 5 + ["b"] * 5 and len(set(rows)) == 10
