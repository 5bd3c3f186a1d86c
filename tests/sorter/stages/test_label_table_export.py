"""The commands label, table, subset and export on a work folder."""

import csv
import json

import h5py
import numpy as np
import pytest

from apps.cli.__main__ import main
from sorter.curate.label_book import LabelBook
from sorter.stages.table import table
from tests.workfolders import make_work_folder


@pytest.fixture
def work(tmp_path):
    return make_work_folder(tmp_path, n=100, n_sources=2)


def run(capsys, *words):
    code = main([str(w) for w in words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def read_rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_table_has_a_row_per_frame_in_order(work, tmp_path):
    LabelBook(work.labels_path).add(work.frames().frame_ids[:3], "b, quoted")
    LabelBook(work.labels_path).add(work.frames().frame_ids[1:2], "a")
    assert table(work, tmp_path / "frames.csv") == 100
    rows = read_rows(tmp_path / "frames.csv")
    names = "frame_id,source_file,source_index,photons,hit,cluster,strength,assigned_cluster,label,x,y"
    assert ",".join(rows[0]) == names
    keys = [(r["source_file"], int(r["source_index"])) for r in rows]
    assert keys == sorted(keys) and {int(r["source_index"]) for r in rows} == set(range(50))
    assert [r["label"] for r in rows[:4]] == ["b, quoted", "a;b, quoted", "b, quoted", ""]
    hits, clustering, layout = work.read_hits(), work.read_clustering("density"), work.read_layout("contrastive")
    for row in rows:
        i = int(np.flatnonzero(hits.frame_id == np.uint64(row["frame_id"]))[0])
        assert float(row["photons"]) == hits.photons[i]
        assert row["hit"] == ("true" if hits.is_hit[i] else "false")
        if not hits.is_hit[i]:
            assert [row[k] for k in ("cluster", "strength", "assigned_cluster", "x", "y")] == [""] * 5
            continue
        c = int(np.flatnonzero(clustering.frame_id == np.uint64(row["frame_id"]))[0])
        assert int(row["cluster"]) == clustering.labels[c] and int(row["assigned_cluster"]) == clustering.assigned[c]
        assert np.float32(row["strength"]) == clustering.strength[c]
        assert np.allclose([float(row["x"]), float(row["y"])], layout.xy[c])
    assert "-1" in {r["cluster"] for r in rows}


def test_table_before_clustering_and_of_blanks(tmp_path, capsys):
    for name, settings in (("early", {"results": False}), ("blank", {"classes": ()})):
        work = make_work_folder(tmp_path / name, n=20, **settings)
        code, out, _ = run(capsys, "table", work.path)
        rows = list(csv.DictReader(out.splitlines()))
        assert code == 0 and len(rows) == 20 and {r["cluster"] for r in rows} == {""}


def test_label_from_the_command_line(work, capsys):
    code, out, _ = run(capsys, "label", work.path, "--cluster", 1, "icosahedron")
    members = np.sort(work.read_clustering("density").members(1))
    book = LabelBook(work.labels_path)
    assert code == 0 and f"{len(members)} frames" in out and np.array_equal(book.frames_with("icosahedron"), members)
    assert book.events()[0].reason == "cluster 1 of density"
    ids = work.frames().frame_ids[:2]
    assert run(capsys, "label", work.path, "--frames", *ids, "bright")[0] == 0
    assert run(capsys, "label", work.path, "bright", "--frames", *ids)[1] == "nothing changed\n"
    assert book.counts() == {"bright": 2, "icosahedron": len(members)}
    assert run(capsys, "label", work.path, "--cluster", 1, "--remove", "icosahedron")[0] == 0
    assert book.labels() == ["bright"]
    assert run(capsys, "label", work.path, "--undo")[0] == 0 and book.labels() == ["bright", "icosahedron"]
    assert run(capsys, "label", work.path, "--redo")[0] == 0 and book.labels() == ["bright"]
    code, out, _ = run(capsys, "label", work.path, "--list", "--json")
    assert code == 0 and json.loads(out) == {"revision": 5, "labels": {"bright": 2}, "event": None}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["label", "W", "--cluster", "77", "x"], "cluster 77: not in clustering 'density' (clusters: 0..2"),
        (["label", "W", "--cluster", "0"], "give the label as a word"),
        (["label", "W", "x"], "choose frames by one of"),
        (["label", "W", "--frames", "12", "x"], "frame 12: not in this work folder"),
        (["label", "W", "--frames", "abc", "x", "--remove"], "'abc' is not a frame id"),
        (["label", "W", "--cluster", "0", "a;b"], "without ';'"),
        (["label", "W", "--cluster", "0", "--remove", "nosuch"], "label 'nosuch': no frame carries it (labels: none)"),
        (["label", "W", "--undo"], "nothing to undo"),
        (["export", "W", "--label", "nosuch"], "label 'nosuch': no frame carries it"),
        (["export", "W", "--cluster", "9"], "cluster 9: not in clustering"),
        (["export", "W"], "choose frames by one of"),
        (["export", "W", "--cluster", "0", "--clustering", "other"], "no clusters 'other'"),
        (["export", "W", "--subset", "other"], "no subsets 'other'"),
        (["subset", "W"], "give the subset a name"),
        (["table", "W", "--layout", "other"], "no layouts 'other'"),
    ],
)
def test_one_line_and_exit_2(work, capsys, words, message):
    code, out, err = run(capsys, *[work.path if w == "W" else w for w in words])
    assert code == 2 and message in err and err.count("\n") == 1 and out == ""


def test_damaged_label_book_is_one_line(work, capsys):
    work.labels_path.write_bytes(b"garbage" * 1000)
    for words in (["label", work.path, "--list"], ["table", work.path]):
        code, _, err = run(capsys, *words)
        assert code == 2 and "labels.sqlite: damaged" in err and err.count("\n") == 1


def test_subset_and_export(work, tmp_path, capsys):
    assert run(capsys, "subset", work.path, "--cluster", 0, "largest")[0] == 0
    code, out, _ = run(capsys, "subset", work.path, "--list", "--json")
    stored = json.loads(out)["subsets"][0]
    assert code == 0 and stored["name"] == "largest" and stored["rule"] == "cluster 0 of density"
    target = tmp_path / "picks.cxi"
    code, out, _ = run(capsys, "export", work.path, "--subset", "largest", "--to", target, "--json")
    assert code == 0 and json.loads(out)["sha256"] == stored["sha256"]
    with h5py.File(target) as file:
        assert len(file["entry_1/data_1/data"]) == stored["n_frames"]
    assert run(capsys, "export", work.path, "--subset", "largest", "--to", tmp_path / "ids.txt")[0] == 0
    assert run(capsys, "export", work.path, "--frames", tmp_path / "ids.txt", "--to", target)[0] == 0
    with h5py.File(target) as file:
        assert len(file["entry_1/data_1/data"]) == stored["n_frames"]
