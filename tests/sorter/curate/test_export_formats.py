"""Exports for further programs, read back as those programs read them."""

import csv
import json

import h5py
import numpy as np
import pytest
import zarr

from sorter.core.errors import InputError
from sorter.curate.label_book import LabelBook
from sorter.curate.table import table_order
from sorter.stages.export import ExportConfig, export
from sorter.stages.subset import SubsetConfig
from tests.workfolders import make_work_folder


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    work = make_work_folder(tmp_path_factory.mktemp("formats"), n=60, n_sources=2)
    ids = work.frames().frame_ids
    LabelBook(work.labels_path).add(np.random.default_rng(0).permutation(ids)[:20], "picked")
    return work


@pytest.fixture
def chosen(work):
    """The chosen frames in the order of the run, bad pixels empty."""
    store = work.frames()
    ordered = store.frame_ids[table_order(store)]
    ids = ordered[np.isin(ordered, LabelBook(work.labels_path).frames_with("picked"))]
    return ids, np.where(store.bad_pixels, 0, store.read(ids))


def exported(work, tmp_path, name):
    return export(work, SubsetConfig(label="picked"), ExportConfig(str(tmp_path / name)))


def test_emc_holds_every_photon_in_its_place(work, chosen, tmp_path):
    ids, frames = chosen
    raw = exported(work, tmp_path, "picks.emc").read_bytes()
    n, n_pix, kind = np.frombuffer(raw[:12], "<i4")
    assert (n, n_pix, kind) == (len(ids), frames[0].size, 0)
    body = np.frombuffer(raw[1024:], "<i4")
    ones, multi = body[:n], body[n : 2 * n]
    parts = np.split(body[2 * n :], np.cumsum([ones.sum(), multi.sum(), multi.sum()]))
    assert not len(parts[3])
    rebuilt = np.zeros((n, n_pix), int)
    for k, counts, places in ((0, ones, parts[0]), (1, multi, parts[1])):
        rows = np.repeat(np.arange(n), counts)
        rebuilt[rows, places] = 1 if k == 0 else parts[2]
    assert np.array_equal(rebuilt, frames.reshape(n, -1)) and parts[2].min() > 1


def test_emc_in_hdf5_holds_the_same(work, chosen, tmp_path):
    ids, frames = chosen
    with h5py.File(exported(work, tmp_path, "picks.emc.h5")) as file:
        assert file["num_pix"][0] == frames[0].size and file["place_ones"].chunks == (1,)
        rebuilt = np.zeros((len(ids), frames[0].size), int)
        for row in range(len(ids)):
            rebuilt[row, file["place_ones"][row]] = 1
            rebuilt[row, file["place_multi"][row]] = file["count_multi"][row]
        assert np.array_equal(rebuilt, frames.reshape(len(ids), -1)) and np.array_equal(file["id"][:], ids)


def test_zarr_and_index_and_blacklist(work, chosen, tmp_path):
    ids, _ = chosen
    group = zarr.open_group(exported(work, tmp_path, "picks.zarr"), mode="r")
    assert np.array_equal(group["frames"][:], work.frames().read(ids)) and np.array_equal(group["frame_id"][:], ids)
    assert group.attrs["shotsort_export"]["rule"] == "label picked"
    path = exported(work, tmp_path, "picks.index.npy")
    store = work.frames()
    ordered = store.frame_ids[table_order(store)]
    assert np.array_equal(ordered[np.load(path)], ids)
    assert json.loads(path.with_name(path.name + ".json").read_text())["frame_id"] == ids.tolist()
    flags = exported(work, tmp_path, "picks.blacklist.txt").read_text().split()
    assert np.array_equal(ordered[np.array(flags) == "0"], ids) and len(flags) == 60


def test_tables_of_the_chosen_frames(work, chosen, tmp_path):
    ids, _ = chosen
    with open(exported(work, tmp_path, "picks.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["frame_id"]) for row in rows] == ids.tolist() and {row["label"] for row in rows} == {"picked"}
    pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow (the extra 'parquet') is not installed")
    table = pq.read_table(exported(work, tmp_path, "picks.parquet")).to_pydict()
    assert table["frame_id"] == ids.tolist() and isinstance(table["hit"][0], bool)
    for row, strength in zip(rows, table["strength"]):
        assert strength is None if row["strength"] == "" else strength == pytest.approx(float(row["strength"]))


def test_what_is_no_photon_count_and_unknown_ends_are_said(work, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="cannot tell the format"):
        exported(work, tmp_path, "picks.tif")
    with pytest.raises(InputError, match="does not exist"):
        exported(work, tmp_path / "none", "picks.emc")
    (tmp_path / "folder.emc").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        exported(work, tmp_path, "folder.emc")
    from dataclasses import replace

    import sorter.stages.export as stage

    real = stage.recorded_frames
    monkeypatch.setattr(stage, "recorded_frames", lambda *args: replace(real(*args), unit="adu"))
    with pytest.raises(InputError, match="ingest with --gain"):
        exported(work, tmp_path, "picks.emc")
    assert not (tmp_path / "picks.emc").exists()
