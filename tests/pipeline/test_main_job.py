"""The main job as a person types it: simulate, sort, label, export, table, evaluate; interrupted; with bad input."""

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest

from apps.cli.__main__ import main
from sim.run import simulate
from sorter.io.workfolder import WorkFolder

FRAMES = 400
SORT = ["--steps", "8", "--min-cluster-size", "8", "-q"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("recorded") / "run.h5"
    simulate("clusters", FRAMES, 5, path, {"layout.n_px": 64, "max_radius_nm": 100}, workers=1)
    return path


@pytest.fixture(scope="module")
def work(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("work") / "run"
    assert main(["sort", str(run), "-w", str(folder), *SORT]) == 0
    return folder


def read_csv(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def results(folder):
    """What a sorted work folder holds, times apart."""
    work = WorkFolder.open(folder)
    clustering, hits = work.read_clustering("density"), work.read_hits()
    embeddings = {name: work.read_embedding(name).vectors for name in sorted(work.result_names("embeddings"))}
    layout = work.read_layout(clustering.meta["embedding"])
    return {"hit": hits.is_hit, "labels": clustering.labels, "xy": layout.xy, **embeddings}


def test_sort_makes_everything(work):
    assert (work / "report.html").is_file()
    folder = WorkFolder.open(work)
    assert {"contrastive", "factorvae", "features"} & set(folder.result_names("embeddings"))
    assert {m["stage"] for m in folder.manifests()} >= {"ingest", "hits", "train", "embed", "cluster"}
    assert len(folder.read_clustering("density").frame_id) == folder.read_hits().is_hit.sum()


def test_called_again_it_does_nothing(work, run):
    before = len(WorkFolder.open(work).manifests())
    assert main(["sort", str(run), "-w", str(work), *SORT]) == 0
    assert len(WorkFolder.open(work).manifests()) == before


def test_evaluate_prints_one_strict_json_object(work, capsys):
    assert main(["evaluate", str(work), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    for key in ("hit_f1", "bright_ari", "bright_ari_without_noise", "bright_purity", "bright_noise", "hits_ari",
                "macro_f1_one_label_per_cluster"):  # fmt: skip
        assert key in figures
    assert set(figures["knn_balanced_accuracy"]) == set(figures["probe_balanced_accuracy"]) == {"1", "5", "20"}
    assert figures["hit_f1"] > 0.9


def test_label_export_and_table(work, run, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(work, folder)
    members = WorkFolder.open(folder).read_clustering("density").members(0)
    assert main(["label", str(folder), "--cluster", "0", "first kind"]) == 0
    assert main(["export", str(folder), "--label", "first kind", "--to", str(tmp_path / "picks.cxi")]) == 0
    assert main(["table", str(folder), "--to", str(tmp_path / "frames.csv")]) == 0
    rows = read_csv(tmp_path / "frames.csv")
    assert len(rows) == FRAMES
    assert [int(r["source_index"]) for r in rows] == list(range(FRAMES))
    assert {r["source_file"] for r in rows} == {str(run)}
    labelled = [r for r in rows if r["label"] == "first kind"]
    assert {int(r["frame_id"]) for r in labelled} == {int(i) for i in members}
    for row in rows:
        assert (row["cluster"] == "") == (row["x"] == "") == (row["hit"] == "false")
    with h5py.File(tmp_path / "picks.cxi") as picks, h5py.File(run) as recorded:
        data = picks["entry_1/data_1/data"][()]
        index = sorted(int(r["source_index"]) for r in labelled)
        np.testing.assert_array_equal(data, recorded["entry_1/data_1/data"][()][index])


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["sort", "{tmp}/none.h5", "-w", "{tmp}/w"], "none.h5"),
        (["sort", "{tmp}/text.h5", "-w", "{tmp}/w"], "text.h5"),
        (["sort", "{run}", "-w", "{tmp}/w", "--dataset", "/nowhere"], "/nowhere"),
        (["sort", "{run}", "-w", "{tmp}/w", "--keep", "colour"], "colour"),
        (["sort", "{run}", "-w", "{tmp}/w", "--embedding", "magic"], "magic"),
        (["sort", "{run}", "-w", "{tmp}/text.h5"], "text.h5"),
        (["label", "{work}", "--cluster", "99", "x"], "99"),
        (["export", "{work}", "--label", "nobody said this", "--to", "{tmp}/x.cxi"], "nobody said this"),
        (["cluster", "{work}", "--embedding", "magic"], "magic"),
        (["report", "{tmp}"], "shotsort.json"),
        (["explore", "{tmp}/nothing"], "nothing"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(argv, says, run, work, tmp_path, capsys):
    (tmp_path / "text.h5").write_text("not HDF5")
    argv = [word.format(tmp=tmp_path, run=run, work=work) for word in argv]
    assert main(argv) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert says in error[-1] and error[-1].startswith(f"shotsort {argv[0]}: ")
    assert "Traceback" not in "".join(error)


def test_newer_work_folder_is_refused(work, tmp_path, capsys):
    folder = tmp_path / "newer"
    shutil.copytree(work, folder)
    (folder / "shotsort.json").write_text('{"schema_version": 99}')
    assert main(["report", str(folder)]) == 2
    assert "update shotsort" in capsys.readouterr().err


def test_all_blank_still_makes_a_table(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "dark.npy", rng.poisson(0.02, (300, 64, 64)).astype(np.uint16))
    assert main(["sort", str(tmp_path / "dark.npy"), "-w", str(tmp_path / "w"), *SORT]) == 0
    assert main(["table", str(tmp_path / "w"), "--to", str(tmp_path / "frames.csv")]) == 0
    rows = read_csv(tmp_path / "frames.csv")
    assert len(rows) == 300 and sum(r["hit"] == "true" for r in rows) <= 3
    assert (tmp_path / "w" / "report.html").is_file()


def test_few_hits_are_all_noise(run, tmp_path):
    with h5py.File(run) as file:
        frames = file["entry_1/data_1/data"][()]
        bright = np.flatnonzero(file["truth/photons"][()] > 5000)[:12]
    np.save(tmp_path / "few.npy", frames[bright])
    assert main(["sort", str(tmp_path / "few.npy"), "-w", str(tmp_path / "w"), "-q"]) == 0
    assert (WorkFolder.open(tmp_path / "w").read_clustering("density").labels == -1).all()


def test_killed_at_any_moment_it_comes_to_the_same_result(run, tmp_path):
    dice, kills = random.Random(0), 0

    def command(folder):
        return [sys.executable, "-m", "apps.cli", "sort", str(run), "-w", str(tmp_path / folder), *SORT]

    # Each run in a process of its own, with as many threads: rounding, and with it UMAP, depends on their number.
    settings = {"env": {**os.environ, "OMP_NUM_THREADS": "1"}, "stdout": subprocess.DEVNULL}
    subprocess.run(command("whole"), check=True, **settings)
    for _ in range(3):
        process = subprocess.Popen(command("killed"), start_new_session=True, **settings)
        try:
            process.wait(timeout=dice.uniform(3, 12))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
            time.sleep(0.1)
    subprocess.run(command("killed"), check=True, **settings)
    expected, found = results(tmp_path / "whole"), results(tmp_path / "killed")
    assert kills and expected.keys() == found.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-4, err_msg=name)
