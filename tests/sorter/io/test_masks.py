"""Masks of the field's conventions."""

import numpy as np
import pytest

from sorter.core.errors import InputError
from sorter.io.masks import bad_pixels, guess_convention, read_mask_file, to_cxi_bits


@pytest.mark.parametrize(
    ("convention", "good", "bad"),
    [
        ("cxi", [0, 0x1000, 0x10000, 0x20, 0x800], [0x1, 0x2, 0x4, 0x8, 0x10, 0x80, 0x200, 0x400, 0x1004]),
        ("good", [1, 7], [0]),
        ("bad", [0], [1, 0x1000]),
        ("nexus", [0, 1 << 16, 1 << 31], [1, 1 << 1, 1 << 4, 1 << 8, 1 << 15]),
        ("euxfel", [0, 1 << 16, 1 << 22, (1 << 16) | (1 << 22)], [1, 1 << 5, (1 << 16) | 1, 0xFFFFFFFF]),
    ],
)
def test_conventions(convention, good, bad):
    assert not bad_pixels(to_cxi_bits(np.array(good, np.uint32), convention)).any()
    assert bad_pixels(to_cxi_bits(np.array(bad, np.uint32), convention)).all()


def test_true_is_bad_in_a_mask_of_truth_values_unless_said_otherwise():
    assert bad_pixels(to_cxi_bits(np.array([True, False]), "cxi")).tolist() == [True, False]
    assert bad_pixels(to_cxi_bits(np.array([True, False]), "good")).tolist() == [False, True]


@pytest.mark.parametrize(
    ("dataset", "convention"),
    [
        ("/entry_1/instrument_1/detector_1/mask", "cxi"),
        ("/entry_1/data_1/mask", "good"),
        ("/entry/instrument/detector/pixel_mask", "nexus"),
        ("/entry_1/result_1/mask_shared", "cxi"),
    ],
)
def test_convention_by_place(dataset, convention):
    assert guess_convention(dataset) == convention


def test_mask_files(tmp_path):
    import h5py

    mask = np.zeros((4, 5), np.uint8)
    mask[1, 1] = 1
    np.save(tmp_path / "m.npy", mask)
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["a"], file["b"] = mask, mask * 2
    assert np.argwhere(bad_pixels(read_mask_file(tmp_path / "m.npy", "bad"))).tolist() == [[1, 1]]
    assert np.argwhere(bad_pixels(read_mask_file(f"{tmp_path}/m.h5:/b", "cxi"))).tolist() == [[1, 1]]
    for bad, message in [("m.h5", "holds 2 arrays"), ("none.npy", "no such file"), ("m.h5:/c", "cannot be read")]:
        with pytest.raises(InputError, match=message):
            read_mask_file(f"{tmp_path}/{bad}", "cxi")
    with pytest.raises(InputError, match="not known; use one of"):
        to_cxi_bits(mask, "upside down")
