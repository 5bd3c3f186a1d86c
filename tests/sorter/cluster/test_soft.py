"""Soft memberships against hdbscan's own membership_vector."""

import numpy as np
import pytest
from hdbscan import HDBSCAN
from hdbscan.prediction import membership_vector

from sorter.cluster.assign import DensityAssigner
from sorter.cluster.density import by_size
from sorter.cluster.fit import ClusterConfig, cluster_points
from tests.sorter.cluster.test_assign import cloud


@pytest.mark.parametrize("min_samples", [3, 10])
@pytest.mark.parametrize("selection", ["eom", "leaf"])
def test_shares_are_those_of_hdbscan(min_samples, selection):
    base, later = cloud(1500, 1), cloud(400, 2)
    model = HDBSCAN(20, min_samples=min_samples, cluster_selection_method=selection, prediction_data=True).fit(base)
    labels, order = by_size(model.labels_)
    expected = membership_vector(model, later)[:, order]
    assigner = DensityAssigner.of_fit(base, labels, model.condensed_tree_.to_numpy(), min_samples)
    found = assigner(later, 3)
    np.testing.assert_array_equal(found.labels, assigner(later).labels)
    largest = -np.sort(-expected, axis=1)[:, :3]
    np.testing.assert_allclose(found.soft_shares, largest, atol=2e-6)
    np.testing.assert_allclose(np.take_along_axis(expected, found.soft_labels, 1), largest, atol=2e-6)
    assert expected.max() > 0.5 and len(order) > 4


def test_fewer_clusters_than_are_asked_for_and_no_company_needed():
    base = np.concatenate([cloud(300, 1, centres=1)[30:], cloud(300, 2, centres=1)[30:] + 60])
    model = HDBSCAN(30, min_samples=5).fit(base)
    assigner = DensityAssigner.of_fit(base, by_size(model.labels_)[0], model.condensed_tree_.to_numpy(), 5)
    whole = assigner(base[::9], 3)
    assert (whole.soft_labels[:, 2] == -1).all() and (whole.soft_shares[:, 2] == 0).all()
    part = assigner(base[::9][5:8], 3)
    np.testing.assert_array_equal(part.soft_shares, whole.soft_shares[5:8])


def test_points_that_are_alike_have_finite_shares():
    base = np.concatenate([np.zeros((80, 3)), np.ones((80, 3)), cloud(300, 4, d=3)])
    model = HDBSCAN(20, min_samples=5).fit(base)
    labels = by_size(model.labels_)[0]
    assigner = DensityAssigner.of_fit(base, labels, model.condensed_tree_.to_numpy(), 5)
    found = assigner(np.concatenate([base, base + 1e-12]), 3)
    assert np.isfinite(found.soft_shares).all() and (found.soft_shares >= 0).all()
    assert (found.soft_labels[:80, 0] == labels[0]).all()


@pytest.mark.parametrize("max_fit", [50_000, 600])
def test_memberships_go_with_the_clusters_however_they_are_numbered(max_fit):
    points = cloud(1500, 3)
    config = ClusterConfig(umap_dims=0, pca_dims=0, max_fit=max_fit, largest_share=1.0, min_cluster_size=20)
    ids = np.arange(1500, dtype=np.uint64)
    first, memberships, _ = cluster_points("made", ids, points, np.ones(1500), config)
    assert memberships.fits(first)
    clustered = first.labels >= 0
    assert (memberships.clusters[clustered, 0] == first.labels[clustered]).mean() > 0.97
    assert (memberships.shares.sum(1) <= 1.0001).all() and (np.diff(memberships.shares, axis=1) <= 0).all()
    second, again, _ = cluster_points("made", ids, points, np.ones(1500), config, first)
    assert again.fits(second)
    np.testing.assert_array_equal(again.clusters, memberships.clusters)
