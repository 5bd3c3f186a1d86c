"""The sorting bench on small labelled work folders."""

import json

import numpy as np
import pytest

from apps.bench import sorting
from apps.bench.sorting import Method, SortingBenchConfig, bench_sorting, mean_of, summarise, table_text
from apps.cli.__main__ import main
from sorter.core.errors import InputError
from tests.workfolders import make_work_folder

PLAIN = (("umap_dims", 0), ("bright_share", 1.0))


@pytest.fixture
def bench(tmp_path, monkeypatch):
    methods = {"features": Method("features", PLAIN), "both": Method("contrastive+features", PLAIN)}
    monkeypatch.setattr(sorting, "METHODS", methods)
    monkeypatch.setattr("sorter.cluster.few_labels.N_DRAWS", 2)
    works = [make_work_folder(tmp_path / f"r{seed}", n=150, seed=seed) for seed in (0, 1)]
    for work in works:
        work.path.rename(work.path.with_name(f"{work.path.parent.name}.work"))
    paths = tuple(str(work.path.with_name(f"{work.path.parent.name}.work")) for work in works)
    return SortingBenchConfig(runs=paths, folder=str(tmp_path / "bench"), cluster_seeds=(0, 1))


def test_every_method_on_every_run_and_a_second_call_reads_what_is_there(bench, tmp_path, monkeypatch):
    first = bench_sorting(bench)
    assert [(r["run"], r["method"]) for r in first["rows"]] == [
        (run, method) for run in ("r0.work", "r1.work") for method in ("features", "both")
    ]
    assert all(row["hit_f1"] == 1 and row["hits_ari_assigned"] > 0.95 for row in first["rows"])
    assert len(list((tmp_path / "bench").glob("*.json"))) == 4
    monkeypatch.setattr("sorter.cluster.fit.find_clusters", None)
    assert bench_sorting(bench) == first
    json.dumps(first, allow_nan=False)
    text = table_text(first["table"]).splitlines()
    assert len(text) == 3 and "±" in text[1]


def test_work_folders_are_only_read(bench):
    from sorter.io.workfolder import WorkFolder

    work = WorkFolder.open(bench.runs[0])
    before = {kind: work.result_names(kind) for kind in ("embeddings", "clusters", "layouts")}
    bench_sorting(bench)
    assert before == {kind: work.result_names(kind) for kind in before} and not work.manifests()


def test_means_and_summary():
    rows = [{"a": 1.0, "b": None, "c": {"20": 0.5}}, {"a": 3.0, "b": 2.0, "c": {"20": 0.7}}]
    assert mean_of(rows) == {"a": 2.0, "b": None, "c": {"20": pytest.approx(0.6)}}
    found = [{"method": "m", "hit_f1": v, "knn_balanced_accuracy": {"20": 0.5}} for v in (0.9, 1.0)]
    entry = summarise(found, ["m"])[0]
    assert entry["hit F1"] == pytest.approx(0.95) and entry["hit F1 sd"] == pytest.approx(np.std([0.9, 1.0], ddof=1))
    assert entry["k-NN 20"] == 0.5 and entry["ARI bright"] is None


def test_unknown_method_and_run(tmp_path, capsys):
    with pytest.raises(InputError, match="method nosuch"):
        SortingBenchConfig(methods=("nosuch",))
    assert main(["bench", "sorting", "--runs", str(tmp_path / "gone.h5")]) == 2
    assert "no such file" in capsys.readouterr().err
