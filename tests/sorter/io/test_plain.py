"""Rows written in their place, against zarr's own reading."""

import numpy as np
import pytest
import zarr

from sorter.io.plain import Attributes, PlainRows, create_plain, is_plain


@pytest.mark.parametrize("dtype", ["u8", "f4", "bool"])
@pytest.mark.parametrize("width", [(), (3,), (0,)])
def test_zarr_reads_what_was_written(tmp_path, dtype, width):
    group = zarr.open_group(tmp_path, mode="w")
    fill = np.nan if dtype == "f4" else 0
    array = create_plain(group, "a", (100, *width), np.dtype(dtype), 16, fill)
    values = np.random.default_rng(0).integers(0, 2, (100, *width)).astype(dtype)
    rows = PlainRows(tmp_path / "a", array)
    for start, stop in ((0, 5), (5, 5), (5, 40), (60, 61)):  # rows 40 to 59 are left out
        rows.write(start, values[start:stop])
    expected = np.full_like(values, fill)
    expected[:40], expected[60] = values[:40], values[60]
    np.testing.assert_array_equal(array[:], expected)
    rows.clear(20)
    expected[20:] = fill
    np.testing.assert_array_equal(array[:], expected)


def test_what_is_plain(tmp_path):
    group = zarr.open_group(tmp_path, mode="w")
    assert is_plain(create_plain(group, "a", (10, 3), np.dtype("f4"), 4))
    assert not is_plain(group.create_array("b", shape=(10,), dtype="f4", chunks=(4,)))
    assert not is_plain(group.create_array("c", shape=(10, 3), dtype="f4", chunks=(4, 2), compressors=None))


def test_attributes_are_those_that_zarr_reads(tmp_path):
    group = zarr.open_group(tmp_path, mode="w")
    group.attrs["there"] = 1
    attributes = Attributes(tmp_path)
    attributes["new"] = {"n": 2}
    assert dict(zarr.open_group(tmp_path, mode="r").attrs) == {"there": 1, "new": {"n": 2}}
    assert attributes["there"] == 1
