"""Hits that come later: their cluster by the rule of the fit, their neighbours' place, and what is unlike anything."""

import numpy as np
import pytest

from sorter.cluster.base import Base, usual_distance
from sorter.cluster.config import ClusterConfig
from sorter.cluster.groups import find_groups


def two_blobs(n, seed):
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 2, n)
    return rng.normal(size=(n, 6)) + 20 * kind[:, None], kind.astype(np.int32)


@pytest.fixture(scope="module")
def base():
    points, kind = two_blobs(400, 0)
    groups = find_groups(points, np.arange(400), ClusterConfig(umap_dims=0, largest_share=1.0))
    return (
        Base(groups.assigner, points, groups.labels, points[:, :2], 10, usual_distance(points, points, 10)),
        kind,
        groups,
    )


def test_later_hits_get_the_cluster_of_their_kind(base):
    base, kind, groups = base
    points, later = two_blobs(200, 1)
    placed = base(points)
    assert placed.far.mean() < 0.1
    number = {int(k): int(np.bincount(groups.labels[(kind == k) & (groups.labels >= 0)]).argmax()) for k in (0, 1)}
    expected = np.array([number[int(k)] for k in later])
    near = ~placed.far
    np.testing.assert_array_equal(placed.assigned[near], expected[near])
    np.testing.assert_array_equal(placed.labels[near & (placed.labels >= 0)], expected[near & (placed.labels >= 0)])
    np.testing.assert_array_equal(placed.labels[near], groups.assigner(points).labels[near])
    assert ((placed.strength > 0) == (placed.labels >= 0)).all()
    assert np.abs(placed.xy[near] - points[near, :2]).mean() < 2


def test_one_by_one_is_the_same_as_together(base):
    points, _ = two_blobs(30, 2)
    together, single = base[0](points), [base[0](p[None]) for p in points]
    for name in ("labels", "strength", "assigned", "far", "xy"):
        np.testing.assert_array_equal(getattr(together, name), np.concatenate([getattr(s, name) for s in single]))


def test_far_from_everything(base):
    placed = base[0](np.full((1, 6), 60.0))
    assert placed.far.all() and placed.labels[0] == placed.assigned[0] == -1 and placed.strength[0] == 0


def test_nothing_to_place(base):
    assert len(base[0](np.empty((0, 6))).labels) == 0
