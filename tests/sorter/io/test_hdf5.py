"""Finding the frames of an HDF5 file, and metadata where the field keeps them."""

import subprocess
import sys

import h5py
import numpy as np
import pytest

from sorter.core.errors import InputError
from sorter.io.adapters import open_recording
from sorter.io.describe import describe
from sorter.io.hdf5_tree import natural_key
from sorter.io.masks import bad_pixels
from sorter.io.recording import ReadOptions
from tests.sorter.io.recorded_files import some_frames

FRAMES = some_frames(6)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.h5"


def recording(path, **options):
    with open_recording(path, ReadOptions(**options)) as reader:
        return reader.recording


def test_links_to_one_dataset_are_one_candidate(path):
    with h5py.File(path, "w") as file:
        file["z/frames"] = FRAMES
        file["a"] = h5py.SoftLink("/z/frames")
        file["group"] = h5py.SoftLink("/z")
        file["hard"] = file["z/frames"]
        file["lost"] = h5py.SoftLink("/nowhere")
        file["z/up"] = h5py.SoftLink("/")
    found = recording(path)
    assert found.n_frames == 6 and any("lost leads nowhere" in r for r in found.remarks)
    assert recording(path, dataset="a").dataset == recording(path, dataset="/z/frames").dataset == found.dataset


def test_external_link(path, tmp_path):
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["deep/frames"] = FRAMES
    with h5py.File(path, "w") as file:
        file["frames"] = h5py.ExternalLink("data.h5", "/deep/frames")
    with open_recording(path) as reader:
        np.testing.assert_array_equal(reader.read(0, 6), FRAMES)


def test_two_candidates_are_listed(path):
    with h5py.File(path, "w") as file:
        file["entry_10/data"], file["entry_2/data"] = FRAMES, FRAMES
    with pytest.raises(InputError, match=r"2 datasets could be the frames \(/entry_2/data 6x16x20.*/entry_10/data"):
        recording(path)
    assert recording(path, dataset="/entry_10/data").dataset == "/entry_10/data"
    with pytest.raises(InputError, match="no dataset /entry_3; there are: /entry_2/data"):
        recording(path, dataset="/entry_3")
    assert "2 datasets could be" in describe(path, ReadOptions())["odd"][0]


def test_no_stack_lists_what_is_there(path):
    with h5py.File(path, "w") as file:
        file["image"], file["delay"] = FRAMES[0], np.arange(5.0)
    with pytest.raises(InputError, match=r"no 3-D dataset of frames; there are: /delay 5 float64, /image 16x20 uint16"):
        recording(path)


def test_truth_masks_and_small_matrices_are_no_frames(path):
    with h5py.File(path, "w") as file:
        file["data"], file["mask"], file["truth/density"] = FRAMES, np.zeros(FRAMES.shape, np.uint32), FRAMES
        file["rotation"] = np.zeros((6, 3, 3))
    found = recording(path)
    assert found.dataset == "/data" and found.has_frame_masks


def test_truncated_file(path):
    with h5py.File(path, "w") as file:
        file["data"] = some_frames(50)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="truncated"):
        recording(path)


def test_damaged_chunk_names_the_frames(path):
    with h5py.File(path, "w") as file:
        data = file.create_dataset("data", data=FRAMES, chunks=(1, 16, 20), compression="gzip")
        offset = data.id.get_chunk_info(3).byte_offset
    with path.open("r+b") as raw:
        raw.seek(offset)
        raw.write(b"\xff" * 40)
    with open_recording(path) as reader, pytest.raises(InputError, match=r"frames 2\.\.4 of /data cannot be read"):
        reader.read(2, 5)


def test_zero_frames(path):
    with h5py.File(path, "w") as file:
        file["data"] = np.zeros((0, 16, 20))
    with pytest.raises(InputError, match="zero frames"):
        recording(path)


def test_modules_are_stacked(path):
    with h5py.File(path, "w") as file:
        file["data"] = FRAMES.reshape(6, 2, 8, 20)
    with open_recording(path) as reader:
        np.testing.assert_array_equal(reader.read(1, 3), FRAMES[1:3])


def test_psocake_mask_is_one_for_good_and_a_link_to_the_detectors_is_cxi(path):
    good = np.ones((16, 20), np.uint16)
    good[1, 2] = 0
    with h5py.File(path, "w") as file:
        file["entry_1/data_1/data"], file["entry_1/data_1/mask"] = FRAMES, good
    assert np.argwhere(bad_pixels(recording(path).mask_bits)).tolist() == [[1, 2]]
    flags = np.zeros((16, 20), np.uint32)
    flags[3, 4], flags[5, 6] = 0x8, 0x1000
    with h5py.File(path, "w") as file:
        file["entry_1/data_1/data"], file["entry_1/instrument_1/detector_1/mask"] = FRAMES, flags
        file["entry_1/data_1/mask"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/mask")
    assert np.argwhere(bad_pixels(recording(path).mask_bits)).tolist() == [[3, 4]]
    assert bad_pixels(recording(path, mask_convention="good").mask_bits).sum() == 16 * 20 - 2


def test_nexus_geometry_and_pixel_mask(path):
    mask = np.zeros((16, 20), np.uint32)
    mask[0, 1], mask[0, 2] = 1, 1 << 31
    with h5py.File(path, "w") as file:
        detector = file.create_group("entry/instrument/detector")
        detector["data"], detector["pixel_mask"] = FRAMES, mask
        detector["distance"], detector["x_pixel_size"] = 250.0, 75.0
        detector["distance"].attrs["units"], detector["x_pixel_size"].attrs["units"] = "mm", "um"
        detector["beam_center_x"], detector["beam_center_y"] = 9.5, 7.25
        file["entry/instrument/beam/incident_wavelength"] = 1.5
        file["entry/instrument/beam/incident_wavelength"].attrs["units"] = "angstrom"
        file["entry/data"] = h5py.SoftLink("/entry/instrument/detector")
        file["entry/entry_identifier"] = "run 7"
    found = recording(path)
    assert found.run_id == "run 7" and np.argwhere(bad_pixels(found.mask_bits)).tolist() == [[0, 1]]
    geometry = found.geometry
    assert geometry.distance_m == pytest.approx(0.25) and geometry.pixel_size_m == pytest.approx(75e-6)
    assert geometry.wavelength_m == pytest.approx(1.5e-10) and geometry.beam_center_px == (7.25, 9.5)


def test_energy_that_cannot_be_joules_is_ev_and_said(path):
    with h5py.File(path, "w") as file:
        file["entry_1/data"], file["entry_1/source/energy"] = FRAMES, 92.0
    found = recording(path)
    assert found.geometry.wavelength_m == pytest.approx(13.48e-9, rel=1e-3)
    assert any("cannot be joules" in r for r in found.remarks)


@pytest.mark.parametrize(("text", "unit"), [("photons", "photon"), ("counts", "photon"), ("ADU", "adu"), ("", None)])
def test_unit_attribute(path, text, unit):
    with h5py.File(path, "w") as file:
        file["data"] = FRAMES
        file["data"].attrs["units"] = text
    assert recording(path).unit == unit


def test_columns_of_the_same_name_get_more_of_their_path(path):
    with h5py.File(path, "w") as file:
        file["data"], file["a/x"], file["b/x"], file["b/y"] = FRAMES, np.arange(6), np.arange(6) * 2, np.arange(6)
    with open_recording(path) as reader:
        assert sorted(reader.columns(0, 1)) == ["a_x", "b_x", "y"]


def test_natural_order():
    assert sorted(["entry_10", "entry_2", "entry_1"], key=natural_key) == ["entry_1", "entry_2", "entry_10"]


def test_describe_says_what_is_odd(path):
    frames = FRAMES.astype(np.float32)
    frames[:, 2, 2], frames[:, 3, 3] = np.nan, -1
    with h5py.File(path, "w") as file:
        file["data"] = frames
    odd = " | ".join(describe(path, ReadOptions())["odd"])
    for words in ("6 values are NaN", "negative", "no mask", "beam_center_px"):
        assert words in odd


def test_volumes_are_refused_with_the_reason(path):
    with h5py.File(path, "w") as file:
        file["data"] = np.zeros((3, 12, 12, 12), np.float32)
        file["data"].attrs["axes"] = "experiment_identifier:z:y:x"
    with pytest.raises(InputError, match="holds volumes"):
        recording(path)


@pytest.fixture
def swmr_file(tmp_path):
    """A file that is written in SWMR mode, and a function that appends one frame and its row of machine data."""
    path = tmp_path / "live.h5"
    file = h5py.File(path, "w", libver="latest", locking=False)  # one process cannot have both kinds
    frames = file.create_dataset("data", (1, 16, 16), np.uint16, maxshape=(None, 16, 16), chunks=(1, 16, 16))
    energy = file.create_dataset("energy", (1,), np.float64, maxshape=(None,))
    file.swmr_mode = True

    def append(dataset, value):
        dataset.resize(len(dataset) + 1, axis=0)
        dataset[-1] = value
        dataset.flush()

    yield path, lambda v: append(frames, v), lambda v: append(energy, v)
    file.close()


def test_a_file_that_grows(swmr_file):
    path, frame, energy = swmr_file
    frame(1)  # at this moment there are two frames and one row of machine data
    with open_recording(path, ReadOptions(live=True)) as reader:
        assert reader.refresh() == 1
        energy(0.5)
        assert reader.refresh() == 2
        frame(2)
        energy(0.25)
        assert reader.refresh() == 3
        assert reader.read(1, 3)[:, 0, 0].tolist() == [1, 2] and reader.columns(0, 3)["energy"].tolist() == [
            0,
            0.5,
            0.25,
        ]


def test_reading_live_never_locks_the_writer_out(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["data"] = np.zeros((3, 16, 16), np.uint16)
    with open_recording(path, ReadOptions(live=True)) as reader:
        assert reader.refresh() == 3
        code = f"import h5py; h5py.File({str(path)!r}, 'r+').close()"
        assert subprocess.run([sys.executable, "-c", code]).returncode == 0
