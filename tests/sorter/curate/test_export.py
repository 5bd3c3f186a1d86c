"""Subsets and exported files."""

import json

import h5py
import numpy as np
import pytest

from sorter.core.errors import InputError
from sorter.core.geometry import Geometry
from sorter.core.subset import Subset
from sorter.curate.choice import in_run_order, read_frame_ids
from sorter.curate.label_book import LabelBook
from sorter.curate.recorded import recorded_geometry
from sorter.stages.export import ExportConfig, export
from sorter.stages.subset import SubsetConfig, choose_frames, subset
from tests.workfolders import make_frames, make_work_folder


@pytest.fixture
def work(tmp_path):
    return make_work_folder(tmp_path, n=90, n_sources=2)


def label_some(work, n=30):
    ids = work.frames().frame_ids
    chosen = np.random.default_rng(0).permutation(ids)[:n]
    LabelBook(work.labels_path).add(chosen, "icosahedron", "picked")
    return ids[np.isin(ids, chosen)]


def test_cxi_has_the_paths_of_the_specification(work, tmp_path):
    ids = label_some(work)
    path = export(work, SubsetConfig(label="icosahedron"), ExportConfig(str(tmp_path / "picks.cxi")))
    store = work.frames()
    with h5py.File(path) as file:
        assert file["cxi_version"][()] == 160 and file["number_of_entries"][()] == 1
        detector = file["entry_1/instrument_1/detector_1"]
        assert np.array_equal(detector["data"][:], store.read(ids))
        assert detector["data"].attrs["axes"] == "experiment_identifier:y:x"
        assert detector["data"].attrs["unit"] == "photon"
        assert detector["experiment_identifier"].shape == (30,)
        assert np.array_equal(file["entry_1/data_1/data"][:], detector["data"][:])
        assert np.array_equal(detector["mask"][:], store.mask_recorded) and detector["mask"].dtype == np.uint32
        energy = file["entry_1/instrument_1/source_1/energy"][()]
        assert energy == pytest.approx(1.986e-25 / 13.5e-9, rel=1e-3)
        assert (detector["distance"][()], detector["x_pixel_size"][()]) == (0.1, 3e-4)
        # position of the beam centre, from the corner along the basis vectors, is the origin in x and y
        corner, basis = detector["corner_position"][:], detector["basis_vectors"][:]
        at_centre = corner + (15.5 + 0.5) * basis[0] + (15.5 + 0.5) * basis[1]
        assert basis.shape == (2, 3) and np.allclose(at_centre, [0, 0, 0.1])
        process = file["entry_1/process_1"]
        assert process["rule"][()] == b"label icosahedron" and process["label_book_revision"][()] == 1
        assert np.array_equal(process["frame_id"][:], ids)
        assert set(process["source_file"].asstr()[:]) == {s.path for s in store.info.sources}
        assert file["entry_1/note_1/data"].asstr()[0] == "icosahedron"
        assert process["sha256"].asstr()[()] == Subset("", ids, "", 0).sha256


def test_frames_come_from_the_files_and_binned_ones_from_the_work_folder(work, tmp_path):
    with h5py.File(tmp_path / "run0.h5", "r+") as file:
        file["/entry_1/data_1/data"][0] = 7
    everything = Subset("all", work.frames().frame_ids, "all", 0)
    recorded = np.load(export(work, everything, ExportConfig(str(tmp_path / "a.npy"))))
    held = np.load(export(work, everything, ExportConfig(str(tmp_path / "b.npy"), binned=True)))
    assert (recorded[0] == 7).all() and np.array_equal(recorded[1:], held[1:])
    assert np.array_equal(held, work.frames().read(everything.frame_id))
    about = json.loads((tmp_path / "b.npy.json").read_text())
    assert about["rule"] == "all" and about["frame_id"] == everything.frame_id.tolist()


def test_a_source_that_has_gone_is_named(work, tmp_path):
    label_some(work)
    (tmp_path / "run1.h5").unlink()
    target = tmp_path / "picks.cxi"
    with pytest.raises(InputError, match=r"run1\.h5: the recorded file has gone.*--binned"):
        export(work, SubsetConfig(label="icosahedron"), ExportConfig(str(target)))
    assert not target.exists() and not list(tmp_path.glob(".*partial"))
    assert export(work, SubsetConfig(label="icosahedron"), ExportConfig(str(target), binned=True)).exists()
    assert export(work, SubsetConfig(label="icosahedron"), ExportConfig(str(tmp_path / "a.txt"))).exists()


def test_moved_together_the_files_are_found(work, tmp_path):
    label_some(work)
    there = tmp_path / "archive"
    there.mkdir()
    for name in ("run0.h5", "run1.h5", "work"):
        (tmp_path / name).rename(there / name)
    assert export(there / "work", SubsetConfig(cluster=0), ExportConfig(str(tmp_path / "c.cxi"))).exists()


def test_a_changed_source_is_refused(work, tmp_path):
    with h5py.File(tmp_path / "run0.h5", "w") as file:
        file["/entry_1/data_1/data"] = make_frames(np.zeros(3, int), np.ones(3), np.random.default_rng(0))
    with pytest.raises(InputError, match=r"run0\.h5: changed since it was ingested"):
        export(work, SubsetConfig(cluster=0), ExportConfig(str(tmp_path / "c.cxi")))


def test_recorded_files_are_never_written(work, tmp_path):
    before = (tmp_path / "run0.h5").read_bytes()
    with pytest.raises(InputError, match="never changed"):
        export(work, SubsetConfig(cluster=0), ExportConfig(str(tmp_path / "run0.h5")))
    assert (tmp_path / "run0.h5").read_bytes() == before


@pytest.mark.parametrize("name", ["picks.tiff", "nofolder/picks.cxi", "work"])
def test_targets_that_cannot_be(work, tmp_path, name):
    with pytest.raises(InputError, match=name):
        export(work, SubsetConfig(cluster=0), ExportConfig(str(tmp_path / name)))


def test_recorded_geometry_undoes_binning():
    recorded = Geometry((65, 70), 1e-4, 0.1, 1e-9, (31.2, 33.0), 0.5, "estimated")
    back = recorded_geometry(recorded.binned(2), 2, (65, 70))
    assert back.shape_px == (65, 70) and np.allclose(back.beam_center_px, recorded.beam_center_px)
    assert (back.pixel_size_m, back.beam_center_error_px) == (1e-4, 0.5)


def test_stored_subsets_do_not_follow_later_labels(work):
    ids = label_some(work)
    stored = subset(work, "picks", SubsetConfig(label="icosahedron"))
    LabelBook(work.labels_path).remove(ids[:5], "icosahedron")
    again = choose_frames(work, SubsetConfig(subset="picks"))
    assert np.array_equal(again.frame_id, ids) and again.sha256 == stored.sha256
    assert len(choose_frames(work, SubsetConfig(label="icosahedron")).frame_id) == 25


def test_run_order_and_lost_frames():
    run = np.array([5, 3, 9, 1], np.uint64)
    chosen, lost = in_run_order(Subset("s", np.array([1, 5, 77, 5], np.uint64), "r", 0), run)
    assert chosen.frame_id.tolist() == [5, 1] and lost == 1
    with pytest.raises(InputError, match="none of its 1 frames"):
        in_run_order(Subset("s", np.array([77], np.uint64), "r", 0), run)


def test_lists_of_frames(tmp_path):
    path = tmp_path / "ids"
    path.write_text("# mine\n12 0 run.h5\n\n9223372036854775807\n")
    assert read_frame_ids(path).tolist() == [12, 2**63 - 1]
    path.write_text("photons,frame_id\n3,12\n4,13\n")
    assert read_frame_ids(path).tolist() == [12, 13]
    path.write_text('source_file,label,frame_id\nrun#1.h5,"#1, ""good""",12\nrun#1.h5,,13\n')
    assert read_frame_ids(path).tolist() == [12, 13]
    for text, message in (("", "no frame ids"), ("1.5\n", "'1.5' is not a frame id"), ("-3\n", "'-3'")):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            read_frame_ids(path)
    with pytest.raises(InputError, match="gone: cannot be read"):
        read_frame_ids(tmp_path / "gone")


def test_exactly_one_rule():
    with pytest.raises(InputError, match="given: none"):
        SubsetConfig()
    with pytest.raises(InputError, match="given: label, cluster"):
        SubsetConfig(label="a", cluster=0)
