"""Density, one population, assignment and the whole fit, on blobs."""

import logging
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from sorter.cluster import reduce
from sorter.cluster.assign import assign_by_neighbours, medoids
from sorter.cluster.assigner import Assigner
from sorter.cluster.density import by_size, density_clusters, one_population, resample_agreement, stable_clusters
from sorter.cluster.fit import ClusterConfig, bright_rows, cluster_points, cluster_sizes, fit, lay_out, rows_to_fit
from sorter.cluster.identity import keep_numbers
from sorter.cluster.reduce import Projection, concatenate, principal_components, scale_block
from sorter.cluster.reshape import cut_levels, cut_tree
from sorter.core.clustering import Clustering
from sorter.core.embedding import Embedding
from sorter.core.errors import InputError

CENTRES = 8 * np.eye(6)


def blobs(sizes, seed=0, d=6):
    rng = np.random.default_rng(seed)
    kind = np.repeat(np.arange(len(sizes)), sizes)
    points = rng.normal(size=(len(kind), d)) + CENTRES[kind, :d]
    order = rng.permutation(len(kind))
    return points[order].astype(np.float32), kind[order]


def embedding(points, name="made", seed=3):
    ids = np.random.default_rng(seed).permutation(10 * len(points))[: len(points)].astype(np.uint64)
    return Embedding(name, ids, points.astype(np.float32))


FAST = ClusterConfig(umap_dims=0)


def test_a_layout_leaves_the_number_of_threads_of_torch():
    # numba sets it in launching its own: a training would come out another way after UMAP than in a fresh process.
    code = (
        "import torch, numpy as np; from sorter.cluster.reduce import umap; torch.ones(2, 2) @ torch.ones(2, 2);"
        "umap(np.random.default_rng(0).random((60, 4)), 2, 5, 0.1, 0); print(torch.get_num_threads())"
    )
    settings = {"env": {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "2"}, "text": True}
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, **settings).stdout == "1\n"


def test_blobs_are_found_and_named_by_size():
    points, kind = blobs([60, 150, 90])
    made = embedding(points)
    clustering, layout = fit(made, np.ones(300), FAST)
    truth = kind[np.argsort(made.frame_id)]
    clustered = clustering.labels >= 0
    assert clustering.n_clusters == 3 and clustered.mean() > 0.9
    assert adjusted_rand_score(truth[clustered], clustering.labels[clustered]) == 1
    assert [truth[clustering.labels == c][0] for c in range(3)] == [1, 2, 0]
    assert clustering.meta["sizes"] == sorted(clustering.meta["sizes"], reverse=True)
    assert (clustering.assigned >= 0).all() and adjusted_rand_score(truth, clustering.assigned) > 0.98
    assert np.array_equal(clustering.assigned[clustered], clustering.labels[clustered])
    assert (clustering.strength[~clustered] == 0).all() and clustering.strength.max() <= 1
    assert [clustering.labels[clustering.frame_id == m][0] for m in clustering.medoids] == [0, 1, 2]
    assert len(clustering.tree) and layout.xy.shape == (300, 2)


def test_the_tree_is_one_of_rows_where_dim_hits_are_left_out_too():
    points, _ = blobs([60, 150, 90])
    photons = np.where(np.arange(300) % 3 == 0, 1.0, 1e4)
    clustering, _ = fit(embedding(points), photons, replace(FAST, bright_share=0.6))
    leaves = clustering.tree["child"][clustering.tree["child"] < 300]
    assert 0 < clustering.meta["n_clustered_first"] == len(leaves) < 300
    for level in cut_levels(clustering):
        labels, _ = cut_tree(clustering.tree, 300, level, 5)
        assert set(np.flatnonzero(labels >= 0)) <= set(leaves)
        where = clustering.labels[labels >= 0]
        if labels.max() == 2:
            assert adjusted_rand_score(where, labels[labels >= 0]) > 0.9


@pytest.mark.parametrize("config", [FAST, ClusterConfig()], ids=["plain", "umap"])
def test_row_order_changes_nothing_and_seeds_fix_the_result(config):
    points, _ = blobs([80, 80])
    made, photons = embedding(points), np.geomspace(1e2, 1e6, 160)
    mixed = np.random.default_rng(9).permutation(160)
    one, layout_one = fit(made, photons, config)
    two, layout_two = fit(Embedding("made", made.frame_id[mixed], made.vectors[mixed]), photons[mixed], config)
    for name in ("frame_id", "labels", "strength", "assigned", "medoids"):
        assert np.array_equal(getattr(one, name), getattr(two, name)), name
    assert np.array_equal(layout_one.xy, layout_two.xy)


@pytest.mark.parametrize("n", [0, 1, 2, 5, 29])
def test_too_few_hits_are_noise_and_said_so(n, caplog):
    with caplog.at_level(logging.WARNING):
        clustering, layout = fit(embedding(np.random.default_rng(0).normal(size=(n, 4))), np.ones(n), ClusterConfig())
    assert (clustering.labels == -1).all() and clustering.n_clusters == 0 and layout.xy.shape == (n, 2)
    assert np.isfinite(layout.xy).all() and "too few" in caplog.text


def test_duplicates_are_one_cluster():
    clustering, layout = fit(embedding(np.ones((100, 4))), np.ones(100), ClusterConfig())
    assert (clustering.labels == 0).all() and (clustering.strength == 1).all() and (layout.xy == 0).all()


def test_many_duplicates_among_others_keep_finite_strength():
    points, _ = blobs([100, 100])
    points[:80] = points[0]
    clustering, _ = fit(embedding(points), np.ones(200), FAST)
    assert np.isfinite(clustering.strength).all() and clustering.n_clusters >= 2
    assert np.isfinite(clustering.tree["lambda_val"]).all()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", ["gaussian", "uniform", "stretched"])
def test_one_population_is_not_cut(seed, shape):
    rng = np.random.default_rng(seed)
    points = rng.uniform(size=(400, 5)) if shape == "uniform" else rng.normal(size=(400, 5))
    points[:, 0] *= 6 if shape == "stretched" else 1
    clustering, _ = fit(embedding(points), np.ones(400), ClusterConfig(layout_neighbors=5))
    assert clustering.n_clusters == 1 or (clustering.labels == -1).all()
    assert clustering.n_clusters == 0 or (clustering.labels == 0).mean() > 0.95


def test_two_populations_are_not_taken_for_one():
    points, kind = blobs([200, 60])
    assert not one_population(points, kind)
    assert one_population(points[kind == 0], (points[kind == 0, 0] > CENTRES[0, 0]).astype(int))


def test_a_lone_outlier_is_noise():
    points = np.random.default_rng(1).normal(size=(300, 4))
    points[7] = 1e4
    made = embedding(points)
    clustering, _ = fit(made, np.ones(300), ClusterConfig())
    outlier = clustering.frame_id == made.frame_id[7]
    assert clustering.labels[outlier] == -1 and (clustering.labels >= 0).mean() > 0.8


def test_dim_hits_are_assigned_but_stay_noise():
    points, kind = blobs([150, 150])
    made, photons = embedding(points), np.geomspace(1e2, 1e6, 300)
    clustering, _ = fit(made, photons, ClusterConfig(umap_dims=0, bright_share=0.5))
    dim = photons[np.argsort(made.frame_id)] < np.median(photons)
    assert (clustering.labels[dim] == -1).all() and (clustering.labels[~dim] >= 0).mean() > 0.9
    assert adjusted_rand_score(kind[np.argsort(made.frame_id)], clustering.assigned) > 0.95


def test_the_pretrained_embedding_is_clustered_where_it_is_bright_enough():
    wide, narrow = np.geomspace(1e2, 1e6, 50), np.geomspace(3e4, 1e6, 50)
    assert 20 <= len(rows_to_fit(wide, "pretrained", None)) <= 30 and rows_to_fit(wide, "pretrained", None)[-1] == 49
    assert len(rows_to_fit(narrow, "pretrained", None)) == 50 == len(rows_to_fit(wide, "features", None))
    assert len(rows_to_fit(wide, "pretrained", 0.2)) == 10 and len(rows_to_fit(wide[:0], "pretrained", None)) == 0


def test_bright_rows_are_all_where_brightness_is_narrow():
    assert len(bright_rows(np.linspace(1e3, 3e3, 50), 0.5)) == 50
    assert bright_rows(np.geomspace(1e2, 1e6, 50), 0.2).tolist() == list(range(40, 50))
    assert len(bright_rows(np.linspace(-5, 5, 50), 0.5)) == 25


def test_concatenation_joins_by_frame_and_weighs_blocks_alike():
    rng = np.random.default_rng(0)
    one = Embedding("a", np.arange(50, dtype=np.uint64), 100 * rng.normal(size=(50, 3)).astype(np.float32))
    two = Embedding("b", np.arange(10, 60, dtype=np.uint64)[::-1].copy(), rng.normal(size=(50, 5)).astype(np.float32))
    both = concatenate([one, two])
    assert both.name == "a+b" and both.frame_id.tolist() == list(range(10, 50)) and both.vectors.shape == (40, 8)
    assert np.allclose([both.vectors[:, :3].var(0).sum(), both.vectors[:, 3:].var(0).sum()], 1, atol=1e-4)
    assert np.allclose(both.vectors[0, 3:], scale_block(two.vectors[::-1][:40])[0], atol=1e-5)
    with pytest.raises(InputError, match="no frame in common"):
        concatenate([one, Embedding("c", np.array([999], np.uint64), np.ones((1, 2), np.float32))])


def test_vectors_must_be_finite():
    with pytest.raises(InputError, match="1 vectors are not finite"):
        scale_block(np.array([[1.0, np.nan], [1.0, 2.0]]))


def test_principal_components_agree_with_svd():
    points = np.random.default_rng(0).normal(size=(40, 7)) * np.arange(1, 8)
    centred = points - points.mean(0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    assert np.allclose(np.abs(principal_components(points, 3)), np.abs(u[:, :3] * s[:3]), atol=1e-3)


def test_assignment_agrees_with_a_loop():
    points, kind = blobs([40, 30])
    labels = np.where(np.random.default_rng(0).random(70) < 0.5, kind, -1).astype(np.int32)
    known = np.flatnonzero(labels >= 0)
    expected = labels.copy()
    for i in np.flatnonzero(labels < 0):
        distance = np.linalg.norm(points[known] - points[i], axis=1)
        near = np.argsort(distance)[:5]
        votes = [sum(1 / distance[j] for j in near if labels[known[j]] == c) for c in (0, 1)]
        expected[i] = int(np.argmax(votes)) if max(votes) / sum(votes) >= 0.7 else -1
    assert np.array_equal(assign_by_neighbours(points, labels, 5, min_share=0.7), expected)
    assert (assign_by_neighbours(points, np.full(70, -1), 5) == -1).all()


def test_names_by_size_and_medoids():
    labels, old = by_size(np.array([2, -1, 0, 0, 2, 2, 1]))
    assert labels.tolist() == [0, -1, 1, 1, 0, 0, 2] and old.tolist() == [2, 0, 1]
    points = np.array([[0.0], [1], [2], [10], [10], [13]])
    assert medoids(points, np.array([0, 0, 0, 1, 1, 1]), np.ones(6)).tolist() == [1, 3]


def test_a_projection_read_in_blocks_is_that_of_the_whole(monkeypatch):
    rng = np.random.default_rng(0)
    parts = [100 + 5 * rng.normal(size=(90, 4)), rng.normal(size=(90, 7)) * np.arange(1, 8), np.ones((90, 2))]
    joined = concatenate(
        [Embedding(str(i), np.arange(90, dtype=np.uint64), p.astype("f4")) for i, p in enumerate(parts)]
    )
    expected = principal_components(scale_block(joined.vectors), 5)
    monkeypatch.setattr(reduce, "_BLOCK", 32)
    projection = Projection.of(parts, 5)
    assert np.allclose(projection(parts), expected, atol=1e-5)
    assert np.allclose(projection([p[7:9] for p in parts]), expected[7:9], atol=1e-5)
    assert Projection.of(parts, 0)(parts).shape == (90, 13)
    parts[1][3, 2] = np.inf
    with pytest.raises(InputError, match="1 vectors are not finite"):
        Projection.of(parts, 5)


def test_a_run_larger_than_what_is_fitted_is_sorted_by_a_sample():
    points, kind = blobs([900, 700, 500])
    made = embedding(points)
    truth = kind[np.argsort(made.frame_id)]
    for config in (ClusterConfig(umap_dims=0, max_fit=500), ClusterConfig(max_fit=500)):
        clustering, layout = fit(made, np.ones(2100), config)
        known = clustering.labels >= 0
        assert clustering.meta["n_drawn"] == 500 and layout.meta["n_fitted"] >= 500
        assert clustering.n_clusters == 3 and known.mean() > 0.9
        assert adjusted_rand_score(truth[known], clustering.labels[known]) > 0.99
        centres = [np.median(layout.xy[truth == k], axis=0) for k in range(3)]
        nearer = np.argmin([np.linalg.norm(layout.xy - c, axis=1) for c in centres], axis=0)
        assert (nearer == truth).mean() > 0.97
        again, _ = fit(made, np.ones(2100), config)
        assert np.array_equal(again.labels, clustering.labels) and np.array_equal(again.strength, clustering.strength)


def test_a_group_too_rare_for_the_sample_is_found_in_what_is_left():
    points, kind = blobs([2000, 2000, 60], d=5)
    points[kind == 2] = 0.2 * points[kind == 2] + 20
    made = embedding(points)
    rare = kind[np.argsort(made.frame_id)] == 2
    clustering, _ = fit(made, np.ones(4060), ClusterConfig(umap_dims=0, max_fit=600))
    assert clustering.meta["rare_clusters"] == 1
    number = np.bincount(clustering.labels[rare] + 1).argmax() - 1
    assert number >= 0 and ((clustering.labels == number) == rare).mean() > 0.999
    assert clustering.meta["persistence"][number] is None and clustering.meta["sizes"][number] >= 50


@pytest.mark.parametrize("config", [FAST, ClusterConfig(max_fit=300), ClusterConfig(umap_dims=0, max_fit=300)])
def test_what_was_fitted_is_assigned_as_it_was_clustered(config):
    points, _ = blobs([400, 300])
    made = embedding(points)
    ids = np.sort(made.frame_id)
    ordered = points[np.argsort(made.frame_id)]
    clustering, _, assigner = cluster_points("made", ids, ordered, np.ones(700), config)
    found = Assigner.of_arrays(assigner.arrays())(ordered)
    same = found.labels == clustering.labels
    assert same.mean() > 0.97  # a fitted point is its own neighbour, which makes its core distance smaller
    if clustering.meta["n_drawn"]:
        assert same.mean() > 0.985
    far = assigner(ordered[:2] + 1e4)
    assert (far.labels == -1).all() and (far.core_distance > 1e3).all()


def test_clusters_keep_their_numbers_and_the_layout_its_places():
    points, kind = blobs([400, 300, 200])
    ids = np.arange(900, dtype=np.uint64)
    first, _, _ = cluster_points("made", ids, points, np.ones(900), FAST)
    place = lay_out("made", ids, points, first.labels, FAST)
    more = np.concatenate([points, blobs([0, 0, 400], seed=5)[0]])  # the third is now the largest
    ids = np.arange(1300, dtype=np.uint64)
    second, _, _ = cluster_points("made", ids, more, np.ones(1300), FAST, first)
    again = lay_out("made", ids, more, second.labels, FAST, place)
    old, new = first.labels, second.labels[:900]
    known = (old >= 0) & (new >= 0)
    assert (old[known] == new[known]).all()
    assert [c["was"] for c in second.meta["changes"]] == [0, 1, 2]
    assert second.meta["sizes"][2] == max(second.meta["sizes"])

    def turned(layout):  # angle of the line from the first class to the second
        a, b = (np.median(layout.xy[:900][kind == k], axis=0) for k in (0, 1))
        return np.arctan2(*(b - a))

    apart = np.angle(np.exp(1j * (turned(again) - turned(place))))
    assert abs(apart) < 0.5 and again.meta["started_from_earlier"] and second.meta["gone"] == []


def test_numbers_of_split_joined_and_new_clusters():
    ids = np.arange(100, dtype=np.uint64)
    old = np.repeat([0, 1, 2, -1], [40, 30, 20, 10]).astype(np.int32)
    noise = np.zeros(100, np.float32)
    before = Clustering("density", ids, old, noise, old, ids[[0, 40, 70]])
    labels = np.repeat([2, 0, 1, 3], [39, 31, 15, 15]).astype(np.int32)
    called, changes = keep_numbers(before, ids, labels, np.array([2, 0, 1, 3]))
    assert called.tolist() == [2, 0, 1, 3]
    assert [(c["was"], c["change"]) for c in changes] == [(0, "same"), (1, "same"), (2, "changed"), (None, "new")]
    fewer = np.where(labels >= 2, -1, labels)
    called, changes = keep_numbers(before, ids, fewer, np.array([0, 1]))
    assert [(c["was"], c["change"]) for c in changes] == [(2, "changed"), (1, "same")]


def test_the_sweep_takes_what_most_sizes_agree_on():
    points, _ = blobs([120, 120, 120, 40])
    result, sweep = stable_clusters(points, [10, 20, 30, 60, 150], 5, "eom")
    assert [entry["min_cluster_size"] for entry in sweep] == [10, 20, 30, 60, 150]
    best = max(sweep, key=lambda entry: entry["agreement"])
    assert best["n_clusters"] == result.labels.max() + 1 >= 3
    alone, _ = stable_clusters(points, [20], 5, "eom")
    assert np.array_equal(alone.labels, density_clusters(points, 20, 5).labels)
    assert cluster_sizes(10_000, None) == [60, 80, 100, 125, 150] and cluster_sizes(10_000, 7) == [7]
    assert cluster_sizes(100, None) == [15]


def test_halves_bring_clear_clusters_back_and_noise_not():
    points, _ = blobs([120, 120, 120])
    clear = density_clusters(points, 20, 5)
    assert clear.validity is not None and clear.validity > 0.3
    assert resample_agreement(points, clear, 20, 5, "eom") > 0.9
    cloud = np.random.default_rng(0).normal(size=(360, 3))
    assert resample_agreement(cloud, density_clusters(cloud, 8, 3), 8, 3, "eom") < 0.5
    assert resample_agreement(points[:12], clear, 20, 5, "eom") is None


def test_density_needs_two_clusters_worth_of_points():
    assert (density_clusters(np.random.default_rng(0).normal(size=(19, 2)), 10, 5).labels == -1).all()


@pytest.mark.parametrize(
    "wrong", [{"pca_dims": -1}, {"min_cluster_size": 1}, {"selection": "x"}, {"bright_share": 0.0}]
)
def test_config_is_checked(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        ClusterConfig(**wrong)


def test_a_large_cluster_is_cut_into_its_parts_but_one_without_parts_stays_whole():
    rng = np.random.default_rng(0)
    near = [rng.normal(c, 0.1, (150, 2)) for c in ((0, 0), (1, 0), (0, 1))]  # three parts, close together
    far = [rng.normal(c, 0.1, (60, 2)) for c in ((30, 0), (0, 30))]
    points = np.concatenate(near + far)
    cut = density_clusters(points, 30, 5, largest_share=0.3)
    assert len(cut.persistence) == 5
    lump = np.concatenate([rng.normal(0, 0.1, (450, 2)), *far])
    assert (density_clusters(lump, 30, 5, largest_share=0.3).labels[:450] == 0).mean() > 0.8


def test_a_cut_that_halves_do_not_bring_back_is_not_made(monkeypatch):
    """A ring is one cluster however it is drawn; its parts are those of the draw."""
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, 600)
    ring = np.stack([np.cos(angle), np.sin(angle)], 1) * rng.normal(10, 0.1, (600, 1))
    points = np.concatenate([ring, *(rng.normal(c, 0.1, (60, 2)) for c in ((40, 0), (0, 40)))])
    kept = density_clusters(points, 15, 5, largest_share=0.3)
    assert len(kept.persistence) == 3 and (kept.labels[:600] == 0).all()
    assert resample_agreement(points, kept, 15, 5, "eom", 0.3) > 0.9
    monkeypatch.setattr("sorter.cluster.density._COMES_BACK", 2.0)
    assert len(density_clusters(points, 15, 5, largest_share=0.3).persistence) > 3
