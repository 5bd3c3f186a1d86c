"""The contract that every adapter of recorded files keeps, and what is special to each."""

import numpy as np
import pytest
import zarr

from sorter.core.errors import InputError
from sorter.io.adapters import ADAPTERS, adapter, adapter_name, expand_sources, open_recording
from sorter.io.masks import bad_pixels
from sorter.io.recording import ReadOptions
from tests.sorter.io.recorded_files import BAD, MAKERS, cxi, cxi_entries, hdf5, npy, some_frames

FRAMES = some_frames()


@pytest.fixture(params=sorted(MAKERS))
def recorded(request, tmp_path):
    path = MAKERS[request.param](tmp_path, FRAMES)
    with open_recording(path) as reader:
        yield path, reader


class TestContract:
    def test_describes_the_frames(self, recorded):
        path, reader = recorded
        recording = reader.recording
        assert recording.n_frames == len(FRAMES) and recording.shape_px == FRAMES.shape[1:]
        assert recording.path == str(path) and recording.run_id == path.name
        assert recording.reader == reader.name == adapter_name(path) and ADAPTERS[reader.name]
        assert np.dtype(recording.dtype).kind in "ui" and recording.dataset

    def test_reads_any_range_in_any_order(self, recorded):
        _, reader = recorded
        for start, stop in [(0, len(FRAMES)), (5, 9), (1, 2), (5, 9), (len(FRAMES) - 1, len(FRAMES))]:
            got = reader.read(start, stop)
            assert got.shape == (stop - start, *FRAMES.shape[1:])
            np.testing.assert_array_equal(got, FRAMES[start:stop])

    def test_columns_have_a_row_per_frame(self, recorded):
        _, reader = recorded
        for table in (reader.columns, reader.truth):
            whole, part = table(0, len(FRAMES)), table(3, 7)
            assert whole.keys() == part.keys()
            for name, values in whole.items():
                assert len(values) == len(FRAMES) and values.dtype.kind in "buifU"
                np.testing.assert_array_equal(part[name], values[3:7])

    def test_masks_fit_the_frames(self, recorded):
        _, reader = recorded
        bits = reader.recording.mask_bits
        if bits is not None:
            assert bits.shape == FRAMES.shape[1:] and np.flatnonzero(bad_pixels(bits)).tolist() == [
                np.ravel_multi_index(BAD, bits.shape)
            ]
        if reader.recording.has_frame_masks:
            assert reader.read_bad(2, 5).shape == (3, *FRAMES.shape[1:])

    def test_opens_again(self, recorded):
        path, reader = recorded
        with adapter(reader.name)(path, ReadOptions()) as again:
            np.testing.assert_array_equal(again.read(4, 6), FRAMES[4:6])


def test_hdf5_column_names_and_text(tmp_path):
    with open_recording(hdf5(tmp_path, FRAMES)) as reader:
        columns = reader.columns(10, 12)
    assert columns["sample"].tolist() == ["drop 10", "drop 11"] and columns["delay_s"].tolist() == [5.0, 5.5]


@pytest.mark.parametrize("spelling", ["experiment_identifier", "experimental_identifier"])
def test_cxi_geometry_mask_and_both_spellings(tmp_path, spelling):
    with open_recording(cxi(tmp_path, FRAMES, spelling)) as reader:
        geometry = reader.recording.geometry
        assert reader.columns(0, 2)[spelling].tolist() == ["shot0", "shot1"]
    assert geometry.pixel_size_m == 75e-6 and geometry.distance_m == 0.5
    assert geometry.wavelength_m == pytest.approx(1.2398e-9, rel=1e-4)  # 1 keV
    assert geometry.beam_center_px == pytest.approx((7.5, 9.5))  # the corner of the first pixel is at (-0.5, -0.5)


def test_entries_come_in_natural_order(tmp_path):
    with open_recording(cxi_entries(tmp_path, FRAMES)) as reader:
        assert reader.columns(0, 12)["data"].tolist() == [[i, 2 * i] for i in range(12)]


def test_entries_of_different_shapes_are_refused(tmp_path):
    import h5py

    path = cxi_entries(tmp_path, FRAMES)
    with h5py.File(path, "r+") as file:
        del file["entry_7/instrument_1/detector_1/data"]
        file["entry_7/instrument_1/detector_1/data"] = np.zeros((9, 9))
    with open_recording(path) as reader, pytest.raises(InputError, match="entry_7 has a frame of"):
        reader.read(0, 12)


def test_cbf_gaps_and_header(tmp_path):
    import fabio.cbfimage

    frame = some_frames(1)[0].astype(np.int32)
    frame[3], frame[5, 5] = -1, -2
    header = "\n# Pixel_size 172e-6 m x 172e-6 m\n# Wavelength 1.5 A\n# Detector_distance 0.25 m\n# Beam_xy (10.5, 8.5) pixels\n"
    image = fabio.cbfimage.CbfImage(data=frame, header={"_array_data.header_contents": header})
    image.write(str(tmp_path / "a.cbf"))
    with open_recording(tmp_path / "a.cbf") as reader:
        recording = reader.recording
        np.testing.assert_array_equal(reader.read(0, 1)[0], frame)
    assert (bad_pixels(recording.mask_bits) == (frame < 0)).all()
    if "_array_data.header_contents" in image.header:
        assert recording.geometry.pixel_size_m in (None, pytest.approx(172e-6))


def test_euxfel_run(tmp_path):
    examples = pytest.importorskip("extra_data.tests.make_examples")
    examples.make_modern_spb_proc_run(tmp_path)
    with open_recording(tmp_path) as reader:
        recording = reader.recording
        assert recording.reader == "euxfel" and recording.shape_px == (16 * 512, 128) and recording.n_frames == 64 * 32
        assert recording.run_id == "p700000_r0142"
        assert reader.read(31, 34).shape == (3, 16 * 512, 128)
        assert reader.columns(31, 34)["trainId"].tolist() == [10000, 10001, 10001]
        assert reader.columns(31, 34)["pulseId"].tolist() == [31, 0, 1]
        assert np.flatnonzero(reader.read_bad(0, 1)).tolist() == [15 * 512 * 128 + 5]


def test_folder_of_images_is_its_images_in_natural_order(tmp_path):
    import tifffile

    for i in (10, 2, 1):
        tifffile.imwrite(tmp_path / f"shot_{i}.tif", FRAMES[0])
    tifffile.imwrite(tmp_path / "dark.tif", FRAMES[0])
    assert [p.rsplit("/", 1)[1] for p in expand_sources([tmp_path])] == ["shot_1.tif", "shot_2.tif", "shot_10.tif"]
    assert len(expand_sources([tmp_path / "shot_1.tif", tmp_path])) == 3


def test_npz_reads_on_without_starting_again(tmp_path):
    with open_recording(MAKERS["npz"](tmp_path, FRAMES)) as reader:
        parts = [reader.read(i, min(i + 5, 12)) for i in range(0, 12, 5)]
    np.testing.assert_array_equal(np.concatenate(parts), FRAMES)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: d / "nothing.h5", "no such file"),
        (lambda d: _write(d / "a.h5", b"text, no HDF5"), "not an HDF5 file"),
        (lambda d: _write(d / "a.xyz", b"text"), "not a format that is read"),
        (lambda d: _write(d / "a.npy", b"\x93NUMPY"), "not a whole .npy file"),
        (lambda d: _write(d / "a.npz", b"PK"), "not a whole .npz file"),
        (lambda d: _write(d / "a.tif", b"II"), "not a whole TIFF file"),
        (lambda d: _write(d / "a.cbf", b"#"), "cannot be read as a detector image"),
        (lambda d: d, "neither a zarr group"),
        (lambda d: npy(d, np.zeros((0, 9, 9))), "zero frames"),
        (lambda d: npy(d, np.zeros((9, 9))), "frames need three axes"),
        (lambda d: _zarr(d / "a.zarr", (2, 8, 8, 8)), "frames holds volumes, not frames"),
    ],
)
def test_bad_files_are_one_clear_line(tmp_path, make, message):
    with pytest.raises(InputError, match=message) as caught:
        open_recording(make(tmp_path))
    assert "\n" not in str(caught.value)


def _write(path, content):
    path.write_bytes(content)
    return path


def _zarr(path, shape):
    zarr.open_group(path, mode="w").create_array("frames", data=np.zeros(shape, np.float32))
    return path


@pytest.mark.parametrize("counter", [True, False])
def test_zarr_that_grows(tmp_path, counter):
    group = zarr.open_group(tmp_path / "live.zarr", mode="w")
    frames = group.create_array("data", shape=(2, 16, 16), dtype=np.uint16, chunks=(1, 16, 16))
    energy = group.create_array("energy", shape=(2,), dtype=np.float64, chunks=(64,))
    if counter:
        group.attrs["n_valid"] = 2
    with open_recording(tmp_path / "live.zarr") as reader:
        assert reader.refresh() == 2 and reader.has_counter == counter
        frames.resize((4, 16, 16))
        frames[2:] = 7
        assert reader.refresh() == 2  # the machine data are not there yet
        energy.resize((4,))
        energy[2:] = 0.5
        assert reader.refresh() == (2 if counter else 4)
        group.attrs["n_valid"] = 4
        assert reader.refresh() == 4 and reader.read(2, 4).max() == 7
        assert reader.columns(2, 4)["energy"].tolist() == [0.5, 0.5]
