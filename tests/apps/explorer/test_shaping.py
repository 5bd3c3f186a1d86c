"""Clusters merged, split, cut and cleaned from a page."""

import time

import numpy as np
import pytest

from apps.explorer import heavy
from apps.explorer.jobs import Job
from apps.explorer.shaping import Shaping
from sorter.cluster.density import density_clusters
from sorter.cluster.groups import CLUSTER_STEPS
from sorter.cluster.reshape import cut_levels, cut_tree
from sorter.core.clustering import Clustering
from sorter.core.errors import InputError
from sorter.core.subset import Subset
from sorter.io.progress import Progress
from sorter.stages.cluster import ClusterConfig, cluster


@pytest.fixture
def shaping(state):
    return Shaping(state)


def test_merged_clusters_are_one_and_the_old_ones_stay(shaping, work):
    state = shaping.state
    with pytest.raises(InputError, match="select two"):
        shaping.merge()
    state.toggle_cluster(1)
    state.toggle_cluster(2)
    members = set(map(int, state.run.frame_id[state.selection.rows]))
    name = shaping.merge()
    made = work.read_clustering(name)
    assert made.n_clusters == 2 and any(set(map(int, made.members(k))) == members for k in range(2))
    assert made.meta["steps"] == [{"from": "density", "step": "merge", "clusters": [1, 2]}]
    assert work.read_clustering("density").n_clusters == 3
    state.show(None, name)
    state.toggle_cluster(0)
    state.toggle_cluster(1)
    assert shaping.merge() != name, "a name of its own"


def test_a_reclustering_is_only_taken_when_told(shaping, work):
    state = shaping.state
    state.toggle_cluster(0)
    state.toggle_cluster(1)
    args = shaping.request(5, 3, "eom")
    frame_id, groups, strength = heavy.recluster(*args)
    assert set(frame_id) == set(state.run.frame_id[state.selection.rows]) and groups.max() >= 1
    shaping.propose((frame_id, groups, strength), {"step": "re-cluster"})
    assert work.result_names("clusters") == ["density"]
    name = shaping.take()
    made = work.read_clustering(name)
    for group in range(int(groups.max()) + 1):
        mine = set(map(int, frame_id[groups == group]))
        assert any(set(map(int, made.members(k))) == mine for k in range(made.n_clusters))
    left = work.read_clustering("density").members(2)
    assert any(set(map(int, made.members(k))) == set(map(int, left)) for k in range(made.n_clusters)), (
        "others untouched"
    )
    with pytest.raises(InputError, match="nothing is proposed"):
        shaping.take()
    with pytest.raises(InputError, match="too few"):
        heavy.recluster(*args[:3], 500, 3, "eom")


def test_cutting_the_tree_where_hdbscan_cut_it_gives_its_clusters():
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(size=(120, 3)) + 9 * k for k in range(4)])
    result = density_clusters(points, 15, 5)
    counts = {}
    ids = np.arange(len(points), dtype=np.uint64)
    clustering = Clustering("density", ids, result.labels, result.strength, result.labels, ids[:4], result.tree)
    levels = cut_levels(clustering)
    assert (np.diff(levels) > 0).all()
    for level in levels:
        labels, strength = cut_tree(result.tree, len(points), level, 15)
        counts[level] = labels.max() + 1
        assert ((strength > 0) == (labels >= 0)).all() and (np.bincount(labels[labels >= 0]) >= 15).all()
        assert _naive(result.tree, len(points), level, 15) == _as_sets(labels)
    assert 4 in counts.values(), "the four blobs are found at some level"


def _as_sets(labels):
    return {frozenset(np.flatnonzero(labels == k).tolist()) for k in range(labels.max() + 1)}


def _naive(tree, n, level, min_size):
    """Walk down from the root: split nodes that split before the level, keep points that leave after it."""

    def below(node):
        rows = tree[tree["parent"] == node]
        points = [int(r["child"]) for r in rows if r["child"] < n and r["lambda_val"] >= level]
        for child in rows[rows["child"] >= n]["child"]:
            points += below(child)
        return points

    def walk(node):
        children = tree[(tree["parent"] == node) & (tree["child"] >= n)]
        if len(children) and children["lambda_val"][0] <= level:
            return [group for child in children["child"] for group in walk(child)]
        return [below(node)]

    return {frozenset(group) for group in walk(int(tree["parent"].min())) if len(group) >= max(min_size, 1)}


def test_a_drawn_selection_is_cleaned_in_the_embedding(shaping):
    state, run = shaping.state, shaping.state.run
    mine = np.flatnonzero(run.cluster == 0)
    strangers = np.flatnonzero(run.cluster == 1)[:5]
    state.select_rows(np.concatenate([mine, strangers]), "Lasso", "lasso drawn in the 2-D layout contrastive", "lasso")
    gone = shaping.clean()
    assert gone >= 5 and not np.isin(strangers, state.selection.rows).any()
    assert np.isin(mine, state.selection.rows).mean() > 0.95
    assert state.selection.reason.endswith("cleaned in contrastive")


def test_a_job_gives_its_result_its_error_or_is_cancelled(work):
    def end(job):
        while not job.poll():
            job._answers.poll(0.2)
        return job

    good = end(Job("adding", max, 1, 2))
    assert good.result == 2 and good.error is None
    bad = end(Job("exporting", heavy.export, str(work.path), "none", "x.cxi", False))
    assert "no subsets 'none'" in bad.error
    long = Job("waiting", __import__("time").sleep, 600)
    long.cancel()
    assert long.done and "cancelled" in long.error
    long._process.join(60)
    assert long._process.exitcode is not None


@pytest.fixture
def told():
    """What long work tells of its progress, in this process."""
    words = []
    Progress.listener = lambda what, done, total: words.append(f"{what} {100 * done // total} %" if total else what)
    yield words
    Progress.listener = None


def test_long_work_tells_its_steps_or_its_share(work, told, tmp_path):
    ids = work.read_hits().hit_ids
    heavy.recluster(str(work.path), "contrastive", ids, 10, 5, "eom")
    assert told == ["principal components, step 1 of 3", "dense groups, step 3 of 3"]
    told.clear()
    heavy.propose(str(work.path), "contrastive", "explorer")
    assert told == ["neighbours, step 1 of 2", "labels, step 2 of 2"]
    told.clear()
    cluster(work, ClusterConfig("features", umap_dims=0, name="other"))
    assert told == [f"{name}, step {k} of 4" for k, name in enumerate(CLUSTER_STEPS.names, 1)]
    told.clear()
    work.write_subset(Subset("picks", ids[:40], "picked", 0))
    heavy.export(str(work.path), "picks", str(tmp_path / "picks.cxi"), True)
    assert told == ["export 80 %", "export 100 %"]


def test_a_cancelled_export_leaves_nothing_behind(work, tmp_path):
    work.write_subset(Subset("picks", work.read_hits().hit_ids, "picked", 0))
    job = Job("exporting", _slow_export, str(work.path), str(tmp_path / "picks.cxi"))
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(".picks.cxi.*.partial")) and time.monotonic() < deadline:
        assert not job.poll()
        time.sleep(0.05)
    job.cancel()
    job._process.join(60)
    assert not list(tmp_path.glob("*picks*")) and "cancelled" in job.error


def _slow_export(work, to):
    """An export whose progress takes its time."""
    Progress.listener = lambda *_: time.sleep(600)
    return heavy.export(work, "picks", to, True)
