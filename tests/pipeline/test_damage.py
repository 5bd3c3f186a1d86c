"""A shard with a flipped byte: its file is named, everything else is sorted; and a folder that another process holds."""

import csv
import fcntl

import numpy as np
import pytest

from apps.cli.__main__ import main
from sim.run import simulate
from sorter.io import zarr_writer
from sorter.io.workfolder import WorkFolder

N, BLOCK = 300, 32


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.setattr(zarr_writer, "CHUNK_BYTES", BLOCK * 64 * 64 * 2)
    monkeypatch.setattr(zarr_writer, "CHUNKS_PER_SHARD", 2)
    run = tmp_path / "run.h5"
    simulate("clusters", N, 5, run, {"layout.n_px": 64, "max_radius_nm": 100, "blank_fraction": 0.2}, workers=1)
    assert main(["ingest", str(run), "-w", str(tmp_path / "work"), "-q"]) == 0
    return WorkFolder.open(tmp_path / "work")


def flip_a_byte(work, shard):
    path = work.frames_path / "frames" / "c" / str(shard) / "0" / "0"
    raw = bytearray(path.read_bytes())
    raw[100] ^= 4  # in the first block of the shard
    path.write_bytes(raw)


@pytest.mark.parametrize("when", ["before the hits", "after the hits"])
def test_the_rest_of_a_damaged_run_is_sorted(work, when, caplog, tmp_path, capsys):
    flip_a_byte(work, 2)
    lost = work.frames().frame_ids[2 * 2 * BLOCK : (2 * 2 + 1) * BLOCK]
    if when == "before the hits":
        assert main(["ingest", str(tmp_path / "run.h5"), "-w", str(work.path), "--hits", "all"]) == 0
        assert "c/2/0/0" in caplog.text and "frames 128..159" in caplog.text
        assert not np.isin(work.read_hits().hit_ids, lost).any() and len(work.read_hits().hit_ids) == N - BLOCK
    assert main(["embed", str(work.path), "--model", "features"]) == 0
    assert main(["cluster", str(work.path), "--embedding", "features"]) == 0
    clustered = work.read_clustering("density").frame_id
    assert np.array_equal(np.sort(clustered), np.sort(np.setdiff1d(work.read_hits().hit_ids, lost)))
    assert "c/2/0/0" in caplog.text and "left out" in caplog.text
    assert main(["table", str(work.path), "--to", str(tmp_path / "frames.csv")]) == 0
    with open(tmp_path / "frames.csv", newline="") as file:
        rows = {int(row["frame_id"]): row for row in csv.DictReader(file)}
    assert len(rows) == N and all(rows[int(i)]["cluster"] == "" for i in lost)
    capsys.readouterr()
    if when == "before the hits":
        assert main(["report", str(work.path)]) == 0
    else:  # some of the frames it would show are gone: said in one line
        assert main(["report", str(work.path)]) in (0, 2)
        assert "Traceback" not in capsys.readouterr().err


def test_a_second_process_is_refused_and_told_who_holds_the_folder(work, capsys):
    with (work.path / ".lock").open("a+") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        handle.truncate(0)
        handle.write("shotsort train (process 4711 on beamline since 2026-01-01)")
        handle.flush()
        assert main(["embed", str(work.path), "--model", "features"]) == 2
    said = capsys.readouterr().err
    assert "in use by shotsort train (process 4711 on beamline" in said and "wait for it or stop it" in said
