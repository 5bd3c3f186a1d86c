"""The rule for later points against hdbscan's own prediction; neighbours against scikit-learn."""

import numpy as np
import pytest
from hdbscan import HDBSCAN, approximate_predict
from sklearn.neighbors import NearestNeighbors

from sorter.cluster.assign import DensityAssigner
from sorter.cluster.density import by_size
from sorter.cluster.neighbours import nearest


def cloud(n, seed, d=4, centres=6):
    rng = np.random.default_rng(seed)
    middle = np.random.default_rng(0).normal(size=(centres, d)) * 5
    kind = rng.integers(0, centres, n)
    points = middle[kind] + rng.normal(size=(n, d)) * (0.3 + 0.4 * kind[:, None])
    points[: n // 10] = rng.uniform(-12, 12, (n // 10, d))
    return points


@pytest.mark.parametrize("largest", [0, 300])
@pytest.mark.parametrize("min_samples", [1, 5, 10])
@pytest.mark.parametrize("selection", ["eom", "leaf"])
def test_later_points_get_what_hdbscan_predicts(min_samples, selection, largest):
    base, later = cloud(1500, 1), cloud(600, 2)
    base[:30] = base[0]  # duplicates have a core distance of 0
    later[5] = base[0]
    options = {"max_cluster_size": largest, "cluster_selection_method": selection, "prediction_data": True}
    model = HDBSCAN(20, min_samples=min_samples, **options).fit(base)
    with np.errstate(all="ignore"):
        expected, strength = approximate_predict(model, later)
    labels, old = by_size(model.labels_)
    assigner = DensityAssigner.of_fit(base, labels, model.condensed_tree_.to_numpy(), min_samples)
    found = assigner(later)
    renamed = np.append(np.argsort(old), -1).astype(np.int32)
    np.testing.assert_array_equal(found.labels, renamed[expected])
    np.testing.assert_allclose(found.strength, np.where(expected < 0, 0, strength), rtol=1e-5, atol=1e-6)
    assert len(np.unique(found.labels)) > 4


def test_an_assigner_comes_back_from_its_arrays_and_does_not_depend_on_company():
    base, later = cloud(400, 1), cloud(90, 2)
    model = HDBSCAN(15, min_samples=5).fit(base)
    assigner = DensityAssigner.of_fit(base, by_size(model.labels_)[0], model.condensed_tree_.to_numpy(), 5)
    again = DensityAssigner(**assigner.arrays())
    whole = assigner(later)
    for start in range(0, 90, 7):
        part = again(later[start : start + 7])
        np.testing.assert_array_equal(part.labels, whole.labels[start : start + 7])
        np.testing.assert_array_equal(part.strength, whole.strength[start : start + 7])
    assert len(assigner(later[:0]).labels) == 0
    far = assigner(later[:1] + 1e6)
    assert far.labels[0] == -1 and far.core_distance[0] > 1e5 and far.strength[0] == 0


@pytest.mark.parametrize("n", [1, 5, 130, 9000])
@pytest.mark.parametrize("d", [5, 16])
@pytest.mark.parametrize("spread", ["gaussian", "far away", "tight groups"])
def test_neighbours_are_those_of_scikit_learn(n, d, spread):
    """Far from the origin, and in groups much tighter than their distances, single precision alone does not tell them apart."""
    rng = np.random.default_rng(n)
    both = rng.normal(size=(n + 70, d))
    if spread == "far away":
        both += 1e4
    if spread == "tight groups":
        both = 30 * rng.normal(size=(4, d))[rng.integers(0, 4, n + 70)] + 1e-4 * both
    points, queries = both[:n], both[n:]
    distance, rows = nearest(points, queries, 7)
    expected = NearestNeighbors(n_neighbors=min(7, n), algorithm="kd_tree").fit(points).kneighbors(queries)
    np.testing.assert_array_equal(rows, expected[1])
    np.testing.assert_allclose(distance, expected[0], rtol=1e-9)


@pytest.mark.parametrize("d", [3, 12])
def test_neighbours_of_duplicates_and_of_none(d):
    points = np.zeros((60, d))
    distance, rows = nearest(points, points[:2], 5)
    assert (distance == 0).all() and all(len(set(r)) == 5 for r in rows)
    assert nearest(points, points[:0], 5)[0].shape == (0, 5)
