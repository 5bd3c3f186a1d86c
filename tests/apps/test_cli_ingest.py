"""``shotsort info`` and ``shotsort ingest`` as a person calls them."""

import json

import h5py
import numpy as np
import pytest

from apps.cli.__main__ import main
from tests.sorter.io.recorded_files import cxi, hdf5, npy, some_frames

FRAMES = some_frames(30)


def call(capsys, *words):
    code = main([str(w) for w in words])
    return code, capsys.readouterr()


def test_ingest_then_info(tmp_path, capsys):
    work = tmp_path / "work"
    code, said = call(capsys, "ingest", cxi(tmp_path, FRAMES), "-w", work, "--json")
    found = json.loads(said.out)
    assert code == 0 and found["frames"] == 30 and found["unit"] == "photon" and found["beam_center_source"] == "file"
    code, said = call(capsys, "info", work)
    assert code == 0 and "30 frames" in said.out and "centre (7.50, 9.50) px (file)" in said.out
    code, said = call(capsys, "ingest", tmp_path / "run.cxi", "-w", work, "--hits", "all")
    assert code == 0 and "all 30 frames are taken as hits, as asked" in said.out


def test_hits_by_a_given_threshold(tmp_path, capsys):
    code, said = call(capsys, "ingest", npy(tmp_path, FRAMES), "-w", tmp_path / "w", "--hits", "99", "--json")
    assert code == 0 and json.loads(said.out)["hits"] == 0
    code, said = call(capsys, "ingest", tmp_path / "run.npy", "-w", tmp_path / "w", "--hits", "many")
    assert code == 2 and "give auto, all, or a number" in said.err


def test_info_reads_well_and_is_json(tmp_path, capsys):
    code, said = call(capsys, "info", cxi(tmp_path, FRAMES))
    assert code == 0
    for words in ("30 of 16 x 20 pixels, uint16", "1 bad pixels", "wavelength 1.23984 nm", "experiment_identifier"):
        assert words in said.out
    code, said = call(capsys, "info", tmp_path / "run.cxi", hdf5(tmp_path, FRAMES), "--json")
    found = json.loads(said.out)["files"]
    assert [f["frames"]["n"] for f in found] == [30, 30] and found[1]["candidates"] == ["/scan/detector/images"]


def test_info_of_a_file_without_a_clear_stack_is_no_error(tmp_path, capsys):
    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["a"], file["b"] = FRAMES, FRAMES
    code, said = call(capsys, "info", tmp_path / "two.h5")
    assert code == 0 and "2 datasets could be the frames" in said.out
    code, said = call(capsys, "info", tmp_path / "two.h5", "--dataset", "/b")
    assert code == 0 and "in /b" in said.out


def bad_file(folder, case):
    path = folder / "run.h5"
    if case == "missing":
        return path
    if case == "text":
        path.write_text("no HDF5")
        return path
    with h5py.File(path, "w") as file:
        if case == "no stack":
            file["image"] = FRAMES[0]
        elif case == "two":
            file["a"], file["b"] = FRAMES, FRAMES
        elif case == "zero":
            file["data"] = np.zeros((0, 16, 20))
        else:
            file["data"] = some_frames(500)
    if case == "truncated":
        path.write_bytes(path.read_bytes()[:100_000])
    return path


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("missing", "no such file"),
        ("text", "not an HDF5 file"),
        ("no stack", "no 3-D dataset of frames; there are: /image 16x20 uint16"),
        ("two", "2 datasets could be the frames (/a 30x16x20 uint16, /b 30x16x20 uint16)"),
        ("zero", "holds zero frames"),
        ("truncated", "truncated"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(tmp_path, capsys, case, message):
    code, said = call(capsys, "ingest", bad_file(tmp_path, case), "-w", tmp_path / "work")
    assert code == 2 and message in said.err and said.err.count("\n") == 1 and said.out == ""
    assert not (tmp_path / "work").exists()


def test_warned_and_done_all_the_same(tmp_path, capsys, caplog):
    frames = FRAMES.astype(float)
    frames[2, 3, 3] = np.nan
    code, _ = call(capsys, "ingest", npy(tmp_path, frames), "-w", tmp_path / "work")
    assert code == 0 and "1 pixels are NaN" in caplog.text


def test_center_that_is_no_pair(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["ingest", str(npy(tmp_path, FRAMES)), "-w", str(tmp_path / "w"), "--center", "7"])
    assert stopped.value.code == 2 and "give two numbers" in capsys.readouterr().err
