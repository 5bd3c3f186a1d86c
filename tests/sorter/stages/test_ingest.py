"""Ingest from files to the frame store: adding, resuming, geometry, masks, bad values, bad input."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from sorter.core.errors import InputError, MissingResultError, WorkFolderError
from sorter.core.identity import frame_ids
from sorter.io.workfolder import WorkFolder
from sorter.io.zarr_store import ZarrFrameStore
from sorter.io.zarr_writer import FrameBlock, FrameWriter
from sorter.stages.hits import find_hits
from sorter.stages.ingest import IngestConfig, ingest
from tests.sorter.io.recorded_files import BAD, MAKERS, cxi, hdf5, npy, some_frames

FRAMES = some_frames(12)


def stored(store):
    return store.read(store.frame_ids)


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_every_format_arrives(tmp_path, name):
    path = MAKERS[name](tmp_path, FRAMES)
    store = ingest(path, tmp_path / "work")
    np.testing.assert_array_equal(stored(store), FRAMES)
    assert store.unit == "photon" and store.info.complete and store.info.sources[0].path == str(path)
    np.testing.assert_array_equal(
        store.frame_ids, frame_ids(path.name, store.info.sources[0].dataset, np.arange(len(FRAMES)))
    )
    if name in ("cxi", "npz", "zarr"):
        assert np.argwhere(store.bad_pixels).tolist() == [list(BAD)]


def test_several_files_one_run_and_only_what_is_new_is_added(tmp_path):
    first, second = hdf5(tmp_path, FRAMES, "a.h5"), hdf5(tmp_path, some_frames(5, seed=1), "b.h5")
    work = tmp_path / "work"
    before = ingest([first], work)
    store = ingest([first, second], work)
    assert len(store) == 17 and store.source_file.tolist() == [0] * 12 + [1] * 5
    assert store.source_index.tolist() == [*range(12), *range(5)]
    np.testing.assert_array_equal(store.frame_ids[:12], before.frame_ids)
    assert len(ingest([second, first], work)) == 17
    assert len(WorkFolder(work).manifests("ingest")) == 2, "a call without anything new leaves no manifest"
    hdf5(tmp_path, np.concatenate([FRAMES, some_frames(4, seed=2)]), "a.h5")  # it has grown
    grown = ingest([first], work)
    assert len(grown) == 21 and grown.source_index[-4:].tolist() == [12, 13, 14, 15]
    np.testing.assert_array_equal(stored(grown)[-4:], some_frames(4, seed=2))


def test_ids_do_not_depend_on_the_folder_or_company(tmp_path):
    (tmp_path / "x").mkdir()
    a, b = hdf5(tmp_path, FRAMES, "a.h5"), hdf5(tmp_path, some_frames(5, seed=1), "b.h5")
    together, alone = ingest([b, a], tmp_path / "w1"), ingest(os.path.relpath(a), tmp_path / "w2")
    np.testing.assert_array_equal(together.frame_ids[5:], alone.frame_ids)
    assert alone.info.sources[0].path == os.path.relpath(a)


def test_same_name_other_frames_is_refused(tmp_path):
    for name in "xy":
        (tmp_path / name).mkdir()
    a, b = hdf5(tmp_path / "x", FRAMES), hdf5(tmp_path / "y", some_frames(5, seed=1))
    with pytest.raises(InputError, match="cannot be told apart"):
        ingest([a, b], tmp_path / "work")
    ingest(a, tmp_path / "work")
    with pytest.raises(InputError, match="other frames; rename it"):
        ingest(b, tmp_path / "work")
    moved = (tmp_path / "x" / "run.h5").rename(tmp_path / "run.h5")
    assert len(ingest(moved, tmp_path / "work")) == 12  # the same frames from another place are not new


def test_options_say_what_the_file_does_not(tmp_path):
    config = IngestConfig(center_px=(7, 9), distance_m=0.3, pixel_size_m=75e-6, wavelength_m=1e-9)
    geometry = ingest(npy(tmp_path, FRAMES), tmp_path / "work", config).geometry
    assert (geometry.beam_center_px, geometry.beam_center_source) == ((7.0, 9.0), "option")
    assert (geometry.distance_m, geometry.pixel_size_m, geometry.wavelength_m) == (0.3, 75e-6, 1e-9)
    again = ingest(tmp_path / "run.npy", tmp_path / "work", IngestConfig(center_px=(6, 8)))
    assert again.geometry.beam_center_px == (6.0, 8.0) and again.geometry.distance_m == 0.3
    with pytest.raises(InputError, match="ingested with bin 1, not 2; give a new work folder"):
        ingest(tmp_path / "run.npy", tmp_path / "work", IngestConfig(bin=2))


def test_mask_of_a_person_is_added_to_that_of_the_file(tmp_path):
    mask = np.ones(FRAMES.shape[1:], np.uint8)
    mask[5, 5] = 0
    np.save(tmp_path / "mask.npy", mask)
    config = IngestConfig(mask=str(tmp_path / "mask.npy"), mask_convention="good")
    store = ingest(npy(tmp_path, FRAMES), tmp_path / "work", config)
    assert np.argwhere(store.bad_pixels).tolist() == [[5, 5]]
    np.save(tmp_path / "mask.npy", mask[:-1])
    with pytest.raises(InputError, match=r"mask .*mask.npy: has 15 x 20 pixels, frames have 16 x 20"):
        ingest(npy(tmp_path, FRAMES), tmp_path / "other", config)


def test_the_convention_of_a_person_s_mask_is_not_that_of_the_file(tmp_path):
    mask = np.zeros(FRAMES.shape[1:], np.uint8)
    mask[5, 5] = 1
    np.save(tmp_path / "mask.npy", mask)
    config = IngestConfig(mask=str(tmp_path / "mask.npy"), mask_convention="bad")
    store = ingest(cxi(tmp_path, FRAMES), tmp_path / "work", config)
    assert np.argwhere(store.bad_pixels).tolist() == sorted([list(BAD), [5, 5]])


def test_nan_and_infinity_are_masked_and_said(tmp_path, caplog):
    frames = FRAMES.astype(np.float64)
    frames[3, 4, 5], frames[:, 6, 7] = np.inf, np.nan
    store = ingest(npy(tmp_path, frames), tmp_path / "work")
    assert np.argwhere(store.bad_pixels).tolist() == [[4, 5], [6, 7]]
    assert np.isfinite(stored(store)).all() and store.dtype == np.float32 and store.unit == "photon"
    assert store.bad_count[4, 5] == 1 and store.bad_count[6, 7] == 12
    assert "2 pixels are NaN, infinite or masked in some frames" in caplog.text


def test_a_module_that_is_missing_now_and_then_is_not_masked(tmp_path, caplog):
    frames = np.tile(FRAMES.astype(np.float32), (20, 1, 1))
    frames[100, :8] = np.nan
    store = ingest(npy(tmp_path, frames), tmp_path / "work")
    assert not store.bad_pixels.any() and "not masked" in caplog.text
    assert (stored(store)[100, :8] == 0).all()


def test_a_dead_frame_does_not_mask_the_detector(tmp_path, caplog):
    frames = FRAMES.astype(np.float64)
    frames[4], frames[5, 2, 3] = np.nan, np.inf
    store = ingest(npy(tmp_path, frames), tmp_path / "work")
    assert np.argwhere(store.bad_pixels).tolist() == [[2, 3]] and (stored(store)[4] == 0).all()
    assert "1 frames have no good pixel at all" in caplog.text
    dead = ingest(npy(tmp_path, np.full((12, 16, 20), np.nan)), tmp_path / "dead")
    assert not dead.bad_pixels.any() and not find_hits(tmp_path / "dead").is_hit.any()


def test_a_mask_that_takes_every_pixel_is_refused(tmp_path):
    np.save(tmp_path / "mask.npy", np.ones(FRAMES.shape[1:], np.uint8))
    with pytest.raises(InputError, match="takes every pixel; check the mask and its convention"):
        ingest(npy(tmp_path, FRAMES), tmp_path / "work", IngestConfig(mask=str(tmp_path / "mask.npy")))
    assert not (tmp_path / "work").exists()


def test_binning_sums_good_pixels(tmp_path):
    store = ingest(cxi(tmp_path, FRAMES), tmp_path / "work", IngestConfig(bin=2))
    clean = FRAMES.astype(np.uint32)
    clean[:, BAD[0], BAD[1]] = 0
    np.testing.assert_array_equal(stored(store), clean.reshape(12, 8, 2, 10, 2).sum((2, 4)))
    assert store.good_fraction[1, 1] == 0.75 and not store.bad_pixels.any() and store.dtype == np.uint32
    assert store.geometry.pixel_size_m == 150e-6 and store.geometry.beam_center_px == pytest.approx((3.5, 4.5))
    assert store.mask_recorded.shape == (16, 20) and store.info.binning == 2


def test_large_frames_are_binned_by_themselves(tmp_path):
    store = ingest(npy(tmp_path, some_frames(2, (300, 600))), tmp_path / "work")
    assert store.info.binning == 3 and store.shape_px == (100, 200)


def test_raw_adu_become_photons_or_stay_negative(tmp_path):
    rng = np.random.default_rng(0)
    dark = 1000 + rng.normal(0, 5, (16, 20))
    raw = dark + 30.0 * FRAMES + rng.normal(0, 2, FRAMES.shape) + rng.normal(0, 20, (12, 16, 1))
    np.save(tmp_path / "dark.npy", dark)
    path = npy(tmp_path, np.rint(raw).astype(np.int16))
    assert ingest(path, tmp_path / "w0").unit == "adu"
    plain = ingest(path, tmp_path / "w1", IngestConfig(dark=str(tmp_path / "dark.npy")))
    assert plain.unit == "adu" and plain.dtype == np.float32 and stored(plain).min() < 0
    few = np.where(np.arange(20) < 6, FRAMES, 0)  # most pixels of a row are dark, as the common mode needs
    raw = dark + 30.0 * few + rng.normal(0, 2, FRAMES.shape) + rng.normal(0, 20, (12, 16, 1))
    np.save(tmp_path / "few.npy", raw)
    config = IngestConfig(dark=str(tmp_path / "dark.npy"), gain="30", common_mode="row")
    photons = ingest(tmp_path / "few.npy", tmp_path / "w2", config)
    assert photons.unit == "photon"
    np.testing.assert_array_equal(stored(photons), few)


def test_frames_of_different_shapes(tmp_path):
    np.save(tmp_path / "b.npy", some_frames(2, (9, 9)))
    with pytest.raises(InputError, match=r"frames of 9 x 9 pixels, those of .*run.npy have 16 x 20"):
        ingest([npy(tmp_path, FRAMES), tmp_path / "b.npy"], tmp_path / "work")
    assert not (tmp_path / "work").exists(), "bad input makes no work folder"
    ingest(npy(tmp_path, FRAMES), tmp_path / "work")
    with pytest.raises(InputError, match="those in the work folder had 16 x 20"):
        ingest(tmp_path / "b.npy", tmp_path / "work")


def test_truncated_and_damaged_files_lose_nothing(tmp_path):
    work = tmp_path / "work"
    ingest(npy(tmp_path, FRAMES), work)
    with h5py.File(tmp_path / "bad.h5", "w") as file:
        data = file.create_dataset("data", data=FRAMES, chunks=(1, 16, 20), compression="gzip")
        offset = data.id.get_chunk_info(5).byte_offset
    with (tmp_path / "bad.h5").open("r+b") as raw:
        raw.seek(offset)
        raw.write(b"\xff" * 30)
    with pytest.raises(InputError, match="cannot be read"):
        ingest(tmp_path / "bad.h5", work)
    assert len(WorkFolder(work).frames()) == 12
    assert len(ingest(tmp_path / "run.npy", work)) == 12 and WorkFolder(work).frames().info.complete


def test_all_blank_is_a_run_without_hits(tmp_path):
    ingest(npy(tmp_path, np.zeros((40, 16, 20), np.uint16)), tmp_path / "work")
    hits = find_hits(tmp_path / "work")
    assert not hits.is_hit.any() and hits.meta["fit"]["populations"] == "blanks only" and (hits.photons == 0).all()


def test_places_that_are_no_work_folder(tmp_path):
    path = npy(tmp_path, FRAMES)
    with pytest.raises(WorkFolderError, match="holds other files"):
        ingest(path, tmp_path)
    with pytest.raises(WorkFolderError, match="is a file"):
        ingest(path, path)
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer" / "shotsort.json").write_text('{"schema_version": 99}')
    with pytest.raises(WorkFolderError, match="newer shotsort"):
        ingest(path, tmp_path / "newer")
    for broken in ("{", "[]", '{"schema_version": "1"}'):
        (tmp_path / "newer" / "shotsort.json").write_text(broken)
        with pytest.raises(WorkFolderError, match=r"shotsort\.json: .*bring back a copy"):
            ingest(path, tmp_path / "newer")


def test_interrupted_ingest_goes_on(tmp_path, monkeypatch):
    path, work = npy(tmp_path, some_frames(60)), tmp_path / "work"
    monkeypatch.setattr("sorter.io.zarr_writer.CHUNK_BYTES", 4 * FRAMES[0].nbytes)
    monkeypatch.setattr("sorter.io.zarr_writer.CHUNKS_PER_SHARD", 2)
    monkeypatch.setattr("sorter.io.zarr_writer.SHARDS_PER_COMMIT", 1)
    monkeypatch.setattr("sorter.stages.ingest._READ_BYTES", 5 * FRAMES[0].nbytes)
    from sorter.io.numpy_files import NpyReader

    real = NpyReader.read

    def stop(self, start, end):
        if start >= 30:
            raise KeyboardInterrupt
        return real(self, start, end)

    monkeypatch.setattr(NpyReader, "read", stop)
    with pytest.raises(KeyboardInterrupt):
        ingest(path, work)
    part = WorkFolder(work).frames()
    assert 0 < len(part) < 60 and not part.info.complete
    np.testing.assert_array_equal(stored(part), some_frames(60)[: len(part)])
    with pytest.raises(MissingResultError, match="interrupted"):
        find_hits(work)
    seen = []
    monkeypatch.setattr(NpyReader, "read", lambda self, a, b: seen.append(a) or real(self, a, b))
    np.testing.assert_array_equal(stored(ingest(path, work)), some_frames(60))
    assert min(start for start in seen if start) == len(part), "frames that are there are not read again"


KILLED = """
import sys, time
from sorter.io import zarr_writer
zarr_writer.CHUNKS_PER_SHARD, zarr_writer.SHARDS_PER_COMMIT = 1, 1
from sorter.io.numpy_files import NpyReader
from sorter.stages import ingest
ingest._READ_BYTES = 64 * 640
real = NpyReader.read
NpyReader.read = lambda self, a, b: (time.sleep(0.002), real(self, a, b))[1]
ingest.ingest(sys.argv[1], sys.argv[2])
"""


def test_killed_at_any_time(tmp_path):
    frames = some_frames(6000)
    path, work = npy(tmp_path, frames), tmp_path / "work"
    rng = np.random.default_rng(0)
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", KILLED, path, work], cwd=Path(__file__).parents[3])
        before = time.monotonic()
        while not (work / "frames.zarr" / "frames" / "c").exists() and time.monotonic() - before < 30:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if (work / "frames.zarr").exists():
            part = ZarrFrameStore(work / "frames.zarr")
            np.testing.assert_array_equal(stored(part), frames[: len(part)])
            np.testing.assert_array_equal(part.source_index, np.arange(len(part)))
    store = ingest(path, work)
    np.testing.assert_array_equal(stored(store), frames)
    assert not [*work.rglob("*.partial")], "what a killed process left half-written is cleared away"
    n, images = WorkFolder(work).read_statistics()
    assert n == 6000
    np.testing.assert_allclose(images["mean"], frames.mean(0))


def test_statistics_are_kept_up_to_date(tmp_path):
    a, b = hdf5(tmp_path, FRAMES, "a.h5"), hdf5(tmp_path, some_frames(5, seed=1), "b.h5")
    ingest(a, tmp_path / "work")
    ingest(b, tmp_path / "work")
    n, images = WorkFolder(tmp_path / "work").read_statistics()
    both = np.concatenate([FRAMES, some_frames(5, seed=1)]).astype(float)
    assert n == 17
    for name in ("mean", "std", "max"):
        np.testing.assert_allclose(images[name], getattr(both, name)(0))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"bin": 0}, "bin 0"),
        ({"unit": "volt"}, "unit 'volt'"),
        ({"mask_convention": "x"}, "mask convention 'x'"),
        ({"common_mode": "x"}, "common mode 'x'"),
    ],
)
def test_config_is_checked(values, message):
    with pytest.raises(InputError, match=message):
        IngestConfig(**values)


def test_frames_that_a_live_run_skipped_are_added(tmp_path):
    frames = np.random.default_rng(3).poisson(1.0, (40, 16, 16)).astype(np.uint16)
    with h5py.File(tmp_path / "run.h5", "w") as file:
        file["data"] = frames[:10]
    store = ingest(tmp_path / "run.h5", tmp_path / "work")
    writer = FrameWriter(store.path)
    writer.reserve(5)
    ids = frame_ids("run.h5", "/data", np.arange(25, 30))
    writer.append(FrameBlock(frames[25:30], ids, 0, 25, {}, {}), gaps=True)
    writer.commit()
    with h5py.File(tmp_path / "run.h5", "w") as file:
        file["data"] = frames
    store = ingest(tmp_path / "run.h5", tmp_path / "work")
    assert len(store) == 40
    np.testing.assert_array_equal(store.read(frame_ids("run.h5", "/data", np.arange(40))), frames)
