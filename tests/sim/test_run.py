import json
import os

import h5py
import numpy as np
import pytest
import zarr

from sim import run
from sim.contact_sheet import contact_sheet, tone
from sim.dataset import SimulatedFrames
from sim.output import output_for
from sim.recipes import make_recipe
from sim.run import simulate
from sorter.core.errors import InputError
from tests.sim.small_runs import SMALL

FAST = {**SMALL, "vary": 3}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "run.h5"
    assert simulate("clusters", 300, 5, path, FAST, workers=1) == "written"
    return path


def test_file_has_the_paths_of_cxi_and_the_truth(written):
    recipe = make_recipe("clusters", FAST, 5)
    with h5py.File(written) as file:
        data = file["entry_1/data_1/data"]
        assert (
            data.shape == (300, 32, 32)
            and data.dtype == np.uint16
            and data.attrs["axes"] == "experiment_identifier:y:x"
        )
        detector = file["entry_1/instrument_1/detector_1"]
        assert data == detector["data"]
        assert file["entry_1"].attrs["kind"] == "run"
        assert np.array_equal(detector["mask"][:], recipe.recording.cxi_mask)
        assert detector["distance"][()] == recipe.geometry.distance_m
        assert detector["x_pixel_size"][()] == detector["y_pixel_size"][()] == recipe.geometry.pixel_size_m
        assert detector["beam_center_px"][:].tolist() == [15.5, 15.5]
        source = file["entry_1/instrument_1/source_1"]
        assert source["wavelength"][()] == pytest.approx(13.5e-9)
        assert source["energy"][()] / 1.602176634e-19 == pytest.approx(91.84, rel=1e-3)  # 13.5 nm in eV
        truth = file["truth"]
        assert {"class", "hit", "photons", "radius_m", "quaternion_wxyz", "pair_id", "labels"} <= set(truth)
        assert all(len(truth[name]) == 300 for name in truth)
        assert truth["class"].asstr()[0] in ("blank", *recipe.options.mixture)
        assert json.loads(truth.attrs["description"])["seed"] == 5


def test_frames_are_those_of_the_recipe_whatever_their_number(written, tmp_path):
    recipe = make_recipe("clusters", FAST, 5)
    with h5py.File(written) as file:
        assert np.array_equal(file["entry_1/data_1/data"][:256], recipe.block(0).frames)
        assert np.array_equal(file["entry_1/data_1/data"][256:], recipe.block(1).frames[:44])
        few = tmp_path / "few.cxi"
        simulate("clusters", 7, 5, few, FAST, workers=1)
        with h5py.File(few) as other:
            assert np.array_equal(other["entry_1/data_1/data"][:], file["entry_1/data_1/data"][:7])
            assert np.array_equal(other["truth/photons"][:], file["truth/photons"][:7])


def test_workers_do_not_change_a_bit(written, tmp_path):
    path = tmp_path / "two.h5"
    simulate("clusters", 300, 5, path, FAST, workers=2)
    with h5py.File(written) as one, h5py.File(path) as two:
        assert np.array_equal(one["entry_1/data_1/data"][:], two["entry_1/data_1/data"][:])
        for name in one["truth"]:
            a, b = one["truth"][name][:], two["truth"][name][:]
            assert a.tobytes() == b.tobytes() or a.tolist() == b.tolist(), name


def test_complete_run_is_left_alone_and_another_is_not_overwritten(written):
    before = written.stat().st_mtime_ns
    assert simulate("clusters", 300, 5, written, FAST) == "complete"
    assert written.stat().st_mtime_ns == before
    with pytest.raises(InputError, match=r"seed = 5 there, 6 here.*--overwrite"):
        simulate("clusters", 300, 6, written, FAST)
    with pytest.raises(InputError, match="blank_fraction"):
        simulate("clusters", 300, 5, written, {**FAST, "blank_fraction": 0.1})
    assert written.stat().st_mtime_ns == before


def test_overwrite_replaces_and_foreign_files_are_safe(tmp_path):
    path = tmp_path / "x.h5"
    path.write_bytes(b"measured data")
    with pytest.raises(InputError, match="not a run made by this command"):
        simulate("clusters", 4, 0, path, FAST, workers=1)
    assert path.read_bytes() == b"measured data"
    assert simulate("clusters", 4, 0, path, FAST, workers=1, overwrite=True) == "written"
    with h5py.File(path) as file:
        assert len(file["entry_1/data_1/data"]) == 4
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("suffix", [".h5", ".zarr"])
def test_interrupted_run_goes_on(tmp_path, monkeypatch, suffix):
    whole, path = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    simulate("clusters", 600, 1, whole, FAST, workers=1)
    real, done = run.unit_of_frames, []

    def cut(*arguments):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(arguments[1])
        return real(*arguments)

    monkeypatch.setattr(run, "unit_of_frames", cut)
    with pytest.raises(KeyboardInterrupt):
        simulate("clusters", 600, 1, path, FAST, workers=1)
    assert not path.exists()
    with pytest.raises(InputError, match=r"\.partial"):
        simulate("clusters", 600, 2, path, FAST, workers=1)
    done.clear()
    monkeypatch.setattr(run, "unit_of_frames", lambda *a: done.append(a[1]) or real(*a))
    assert simulate("clusters", 600, 1, path, FAST, workers=1) == "resumed"
    assert done == [512]
    if suffix == ".h5":
        with h5py.File(whole) as one, h5py.File(path) as two:
            assert np.array_equal(one["entry_1/data_1/data"][:], two["entry_1/data_1/data"][:])
    else:
        one, two = zarr.open_group(whole, mode="r"), zarr.open_group(path, mode="r")
        assert np.array_equal(one["frames"][:], two["frames"][:])
        assert np.array_equal(one["truth/photons"][:], two["truth/photons"][:])


def test_zarr_holds_the_same_run(written, tmp_path):
    path = tmp_path / "run.zarr"
    simulate("clusters", 300, 5, path, FAST, workers=1)
    group = zarr.open_group(path, mode="r")
    with h5py.File(written) as file:
        assert np.array_equal(group["frames"][:], file["entry_1/data_1/data"][:])
        assert np.array_equal(group["mask"][:], file["entry_1/instrument_1/detector_1/mask"][:] != 0)
        assert np.array_equal(group["truth/pair_id"][:], file["truth/pair_id"][:])
    assert group.attrs["geometry"]["distance_m"] == pytest.approx(make_recipe("clusters", FAST, 5).geometry.distance_m)
    assert simulate("clusters", 300, 5, path, FAST, workers=1) == "complete"


def test_what_cannot_be_written_is_said_in_one_line(tmp_path, monkeypatch):
    recipe = make_recipe("clusters", FAST, 0)
    with pytest.raises(InputError, match=r"use \.h5"):
        output_for(tmp_path / "x.csv", recipe.recording, {"n_frames": 1}, 256)
    with pytest.raises(InputError, match="no such folder"):
        simulate("clusters", 4, 0, tmp_path / "no" / "x.h5", FAST)
    with pytest.raises(InputError, match="GB are free"):
        simulate("clusters", 10**12, 0, tmp_path / "x.h5", FAST)
    with pytest.raises(InputError, match="at least 1"):
        simulate("clusters", 0, 0, tmp_path / "x.h5", FAST)

    def full(*_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("sim.output.Hdf5Output.write_frames", full)
    with pytest.raises(InputError, match="No space left"):
        simulate("clusters", 4, 0, tmp_path / "x.h5", FAST, workers=1)
    assert not (tmp_path / "x.h5").exists()


def test_dataset_yields_the_frames_of_the_run(written):
    batches = list(SimulatedFrames("clusters", 5, FAST, n_frames=300))
    frames = np.concatenate([b["frames"].numpy() for b in batches])
    with h5py.File(written) as file:
        assert np.array_equal(frames, file["entry_1/data_1/data"][:])
    assert [len(b["frames"]) for b in batches] == [256, 44]
    assert batches[1]["index"][0] == 256 and isinstance(batches[0]["class"][0], str)
    endless = iter(SimulatedFrames("clusters", 5, FAST, start=256))
    assert np.array_equal(next(endless)["frames"][:44].numpy(), frames[256:])
    with pytest.raises(InputError, match="multiple"):
        SimulatedFrames("clusters", 5, FAST, start=5)


def test_dataset_shares_blocks_between_workers(monkeypatch):
    from types import SimpleNamespace

    seen = []
    for worker in range(2):
        monkeypatch.setattr(
            "sim.dataset.get_worker_info", lambda worker=worker: SimpleNamespace(id=worker, num_workers=2)
        )
        seen += [int(b["index"][0]) for b in SimulatedFrames("clusters", 5, FAST, n_frames=700)]
    assert sorted(seen) == [0, 256, 512]


def test_contact_sheet_is_a_picture(tmp_path):
    from PIL import Image

    path = tmp_path / "sheet.png"
    contact_sheet("clusters", path, 12, 0, FAST)
    assert Image.open(path).size[0] > 500
    with pytest.raises(InputError, match="cannot write"):
        contact_sheet("clusters", tmp_path / "no" / "sheet.png", 2, 0, FAST)


def test_tone_is_logarithmic_and_marks_bad_pixels():
    bad = np.zeros((4, 4), bool)
    bad[0, 0] = True
    shown = tone(np.array(np.arange(16).reshape(4, 4), np.uint16), bad)
    assert (
        np.isnan(shown[0, 0]) and shown[3, 3] == pytest.approx(1, abs=0.01) and (np.diff(shown.ravel()[1:]) >= 0).all()
    )
    assert np.isfinite(tone(np.zeros((4, 4)))).all()
