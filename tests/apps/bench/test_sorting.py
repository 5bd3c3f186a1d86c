"""The sorting bench on small labelled work folders."""

import json

import numpy as np
import pytest

from apps.bench import labelled_runs, methods, sorting, sorting_figure
from apps.bench.methods import METHODS, Method, default_method
from apps.bench.sorting import SortingBenchConfig, bench_sorting
from apps.bench.sorting_table import mean_of, paired, summarise, table_text
from apps.cli.__main__ import main
from sorter.core.errors import InputError
from tests.workfolders import make_work_folder

PLAIN = (("umap_dims", 0), ("bright_share", 1.0))


@pytest.fixture
def bench(tmp_path, monkeypatch):
    few = {
        "features": Method("features", PLAIN),
        "spectral": Method("spectral", PLAIN),
        "templates": Method(classifier="log-likelihood"),
        "default": Method("contrastive+features", PLAIN),
    }
    monkeypatch.setattr(sorting, "METHODS", few)
    monkeypatch.setattr(sorting, "default_method", lambda: "default")
    monkeypatch.setattr(sorting, "SHOTS", 5)
    monkeypatch.setattr("sorter.cluster.few_labels.N_DRAWS", 2)
    works = [make_work_folder(tmp_path / f"r{seed}", n=150, seed=seed) for seed in (0, 1)]
    for work in works:
        work.path.rename(work.path.with_name(f"{work.path.parent.name}.work"))
    paths = tuple(str(work.path.with_name(f"{work.path.parent.name}.work")) for work in works)
    return SortingBenchConfig(runs=paths, folder=str(tmp_path / "bench"), cluster_seeds=(0, 1))


def test_every_method_on_every_run_and_a_second_call_reads_what_is_there(bench, tmp_path, monkeypatch):
    first = bench_sorting(bench)
    assert [(r["run"], r["method"]) for r in first["rows"]] == [
        (run, method) for run in ("r0.work", "r1.work") for method in ("features", "spectral", "templates", "default")
    ]
    made = [row for row in first["rows"] if row["method"] in ("features", "default")]
    assert all(row["hit_f1"] == 1 and row["hits_ari_assigned"] > 0.95 for row in made)
    templates = next(row for row in first["rows"] if row["method"] == "templates")
    assert templates["classifier_balanced_accuracy"] > 0.6 and "bright_ari" not in templates
    spectral = next(row for row in first["rows"] if row["method"] == "spectral")
    assert spectral["train_seconds"] > 0 and 0 <= spectral["hits_ari"] <= 1
    monkeypatch.setattr("sorter.cluster.fit.find_clusters", None)
    monkeypatch.setattr(labelled_runs, "BASELINES", dict.fromkeys(labelled_runs.BASELINES))
    monkeypatch.setattr(sorting, "labelled_accuracy", None)
    assert bench_sorting(bench) == first
    json.dumps(first, allow_nan=False)
    text = table_text(first).splitlines()
    assert len(text) > 6 and "±" in text[1] and "default less each other method" in "".join(text)
    sorting_figure.draw(first, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_work_folders_are_only_read(bench):
    from sorter.io.workfolder import WorkFolder

    work = WorkFolder.open(bench.runs[0])
    before = {kind: work.result_names(kind) for kind in ("embeddings", "clusters", "layouts")}
    bench_sorting(bench)
    assert before == {kind: work.result_names(kind) for kind in before} and not work.manifests()


def test_a_training_of_another_length_is_done_anew(tmp_path):
    work = make_work_folder(tmp_path, n=60, results=False)
    work.path.rename(tmp_path / "run0.work")

    def trained(steps):
        found = labelled_runs.prepared(tmp_path / "run0.h5", tmp_path, ["contrastive", "features"], steps)
        return [m["config"]["steps"] for m in found.manifests("train")]

    assert [trained(1), trained(1), trained(2), trained(2)] == [[1], [1], [1, 2], [1, 2]]


def test_means_and_summary():
    rows = [{"a": 1.0, "b": None, "c": {"20": 0.5}}, {"a": 3.0, "b": 2.0, "c": {"20": 0.7}}]
    assert mean_of(rows) == {"a": 2.0, "b": None, "c": {"20": pytest.approx(0.6)}}
    found = [{"recipe": "r", "method": "m", "hit_f1": v, "knn_balanced_accuracy": {"20": 0.5}} for v in (0.9, 1.0)]
    entry = summarise(found, ["m"])[0]
    assert entry["hit F1"] == pytest.approx(0.95) and entry["hit F1 sd"] == pytest.approx(np.std([0.9, 1.0], ddof=1))
    assert entry["k-NN 20"] == 0.5 and entry["ARI bright"] is None


def test_paired_differences():
    """Runs differ by far more than methods; the difference run by run is what counts."""
    rows = [
        {"recipe": "r", "run": str(i), "method": method, "bright_ari": base + gain + 0.001 * i, **extra}
        for i, base in enumerate((0.2, 0.5, 0.8))
        for method, gain, extra in (
            ("default", 0.1, {"knn_balanced_accuracy": {"20": 0.7}}),
            ("rival", 0.0, {"knn_balanced_accuracy": {"20": 0.2}, "classifier_balanced_accuracy": 0.6}),
        )
    ]
    found = {entry["column"]: entry for entry in paired(rows, "default")}
    assert found["ARI bright"]["mean"] == pytest.approx(0.1) and found["ARI bright"]["better"]
    assert found["k-NN 20"]["mean"] == pytest.approx(0.1)  # against the rival's best way to use 20 labels
    alone = paired(rows[:2], "default")[0]
    assert alone["standard_error"] is None and not alone["better"]


def test_the_default_is_a_method_and_every_baseline_names_its_paper():
    assert METHODS[default_method()].overrides == ()
    used = {part for m in METHODS.values() for part in m.embedding.split("+")} & set(methods.BASELINES)
    assert used == set(methods.BASELINES)
    assert {m.classifier for m in METHODS.values()} - {""} == set(methods.LABELLED)
    assert all(m.source for m in METHODS.values() if m.classifier or m.embedding in methods.BASELINES)


def test_unknown_method_and_run(tmp_path, capsys):
    with pytest.raises(InputError, match="method nosuch"):
        SortingBenchConfig(methods=("nosuch",))
    with pytest.raises(InputError, match="2 numbers for 3 recipes"):
        SortingBenchConfig(frames=(100, 200))
    assert main(["bench", "sorting", "--runs", str(tmp_path / "gone.h5")]) == 2
    assert "no such file" in capsys.readouterr().err
