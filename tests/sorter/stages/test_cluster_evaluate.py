"""The stages cluster and evaluate on a work folder."""

import json
import logging
from dataclasses import replace

import numpy as np
import pytest

from apps.cli.__main__ import main
from sorter.core.errors import InputError, MissingResultError
from sorter.core.identity import rows_of
from sorter.stages.cluster import ClusterConfig, cluster, find_assigner
from sorter.stages.evaluate import EvaluateConfig, evaluate
from tests.workfolders import make_work_folder

KEYS = {
    "hit_f1", "bright_ari", "bright_ari_without_noise", "bright_purity", "bright_noise", "hits_ari", "hits_ari_assigned",
    "knn_balanced_accuracy", "probe_balanced_accuracy", "macro_f1_one_label_per_cluster",
}  # fmt: skip
FAST = ClusterConfig(umap_dims=0, bright_share=1.0)


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr("sorter.cluster.few_labels.N_DRAWS", 2)


def test_cluster_stores_clustering_and_layout_and_rests_when_up_to_date(tmp_path):
    work = make_work_folder(tmp_path, n=200)
    stored = cluster(work, FAST)
    assert stored.n_clusters == 3 and np.array_equal(np.sort(work.read_hits().hit_ids), stored.frame_id)
    assert stored.meta["embedding"] in work.result_names("layouts")
    assert len(work.manifests("cluster")) == 1
    assert np.array_equal(cluster(work, FAST).labels, stored.labels)
    assert len(work.manifests("cluster")) == 1
    cluster(work, FAST, force=True)
    assert len(work.manifests("cluster")) == 2


def test_evaluate_from_stored_truth_and_from_csv_agree(tmp_path):
    work = make_work_folder(tmp_path, n=200, n_sources=2)
    store = work.frames()
    truth = store.truth
    path = tmp_path / "truth.csv"
    rows = zip(store.source_file, store.source_index, truth["class"], truth["hit"], truth["photons"])
    lines = [f"{store.info.sources[f].path},{i},{c},{str(h).lower()},{p}" for f, i, c, h, p in rows]
    path.write_text("\n".join(["source_file,source_index,class,hit,photons", *lines[::-1]]))
    one, two = evaluate(work), evaluate(work, EvaluateConfig(str(path)))
    assert set(one) >= KEYS and one["hits_ari_assigned"] == 1 and one["hit_f1"] == 1
    for key in KEYS - {"knn_balanced_accuracy", "probe_balanced_accuracy"}:
        assert one[key] == pytest.approx(two[key])
    path.write_text("\n".join(line.split(",", 1)[1] for line in ["f,source_index,class,hit,photons", *lines]))
    with pytest.raises(InputError, match="add a column source_file"):
        evaluate(work, EvaluateConfig(str(path)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no rows"),
        ("source_index,class\n0,a", "no column hit, photons"),
        ("source_index,class,hit,photons\n0,a,maybe,3", "hit 'maybe'"),
        ("source_index,class,hit,photons\n0,a,true,many", "photons 'many'"),
        ("source_index,class,hit,photons\n900,a,true,3", "no such frame"),
        ("source_index,class,hit,photons\n1,a,true,3\n1,b,true,3", "two rows"),
    ],
)
def test_bad_truth_files(tmp_path, capsys, text, message):
    work = make_work_folder(tmp_path, n=30)
    (tmp_path / "truth.csv").write_text(text)
    assert main(["evaluate", str(work.path), "--truth", str(tmp_path / "truth.csv")]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_no_truth_and_no_folder(tmp_path, capsys):
    work = make_work_folder(tmp_path, n=30, truth=False)
    assert main(["evaluate", str(work.path)]) == 2
    assert "carries no truth" in capsys.readouterr().err
    assert main(["evaluate", str(tmp_path / "gone")]) == 2
    assert main(["cluster", str(work.path), "--embedding", "nosuch"]) == 2
    assert "no embeddings 'nosuch'" in capsys.readouterr().err


def test_command_line_figures(tmp_path, capsys):
    work = make_work_folder(tmp_path, n=150)
    assert main(["cluster", str(work.path), "--umap-dims", "0", "--min-cluster-size", "10", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_clusters"] == 3
    assert main(["evaluate", str(work.path), "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) >= KEYS
    assert main(["evaluate", str(work.path)]) == 0
    assert "bright_ari" in capsys.readouterr().out


def test_evaluate_before_clustering_gives_null(tmp_path):
    figures = evaluate(make_work_folder(tmp_path, n=40, results=False))
    assert figures["hit_f1"] == 1 and figures["bright_ari"] is None and figures["knn_balanced_accuracy"]["1"] is None


def test_too_few_hits_end_well(tmp_path, caplog):
    for name, settings in (("blank", {"classes": ()}), ("few", {"n": 12})):
        work = make_work_folder(tmp_path / name, **{"n": 30, "results": False, **settings})
        with caplog.at_level(logging.WARNING):
            clustering = cluster(work)
        assert (clustering.labels == -1).all() and len(clustering.labels) == len(work.read_hits().hit_ids)
        assert "too few" in caplog.text
        evaluate(work)


def test_embedding_that_misses_hits(tmp_path):
    work = make_work_folder(tmp_path, n=80)
    made = work.read_embedding("features")
    work.write_embedding(type(made)("features", made.frame_id[:-5], made.vectors[:-5]))
    with pytest.raises(MissingResultError, match="lacks 5 of"):
        cluster(work, ClusterConfig(embedding="features"))


def test_the_stored_assigner_sorts_frames_as_the_clustering_did(tmp_path):
    work = make_work_folder(tmp_path, n=300)
    clustering = cluster(work, replace(FAST, embedding="contrastive+features"))
    names, projection, assigner = find_assigner(work)
    assert names == ["contrastive", "features"]
    vectors = [work.read_embedding(name).vectors for name in names]
    found = assigner(projection(vectors))
    labels = clustering.labels[rows_of(clustering.frame_id, work.read_hits().hit_ids)]
    assert (found.labels == labels).mean() > 0.95


def test_another_fit_keeps_the_numbers_and_a_repeated_one_changes_nothing(tmp_path):
    work = make_work_folder(tmp_path, n=300)
    first = cluster(work, FAST)
    place = work.read_layout("contrastive+features").xy
    again = cluster(work, FAST, force=True)
    assert np.array_equal(again.labels, first.labels)
    assert np.array_equal(work.read_layout("contrastive+features").xy, place)
    assert {c["change"] for c in again.meta["changes"]} == {"same"}
