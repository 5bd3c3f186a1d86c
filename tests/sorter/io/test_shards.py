"""Frames appended to shards a few at a time, against zarr's own reading; what a killed writer left, and what is damaged."""

import numpy as np
import pytest
import zarr

from sorter.core.errors import InputError
from sorter.io.blocks import open_blocks
from sorter.io.shards import ShardWriter
from tests.sorter.io.test_blocks import BLOSC, make

FRAMES = np.random.default_rng(3).poisson(2, (150, 6, 5)).astype(np.uint16)


def empty(path, **options):
    array, path, _ = make(path, n=1, **options)
    array.resize((150, 6, 5))
    return array, path


@pytest.mark.parametrize("steps", [[150], [1] * 70, [3, 0, 40, 7, 64, 36]])
@pytest.mark.parametrize("options", [{}, {"compressors": (BLOSC,)}], ids=["checked", "unchecked"])
def test_zarr_reads_what_was_appended(tmp_path, steps, options):
    array, path = empty(tmp_path / "a", **options)
    writer, n = ShardWriter(path, array, 0), 0
    for step in steps:
        writer.append(FRAMES[n : n + step])
        writer.flush()
        n += step
        np.testing.assert_array_equal(array[:n], FRAMES[:n])
    np.testing.assert_array_equal(open_blocks(array, path).read(1), FRAMES[8:16])


@pytest.mark.parametrize("n", [0, 5, 8, 31, 32, 45])
def test_another_writer_goes_on_behind_the_frames_that_count(tmp_path, n):
    array, path = empty(tmp_path / "a")
    first = ShardWriter(path, array, 0)
    first.append(FRAMES[:50])  # as if killed when n of them counted
    first.flush()
    again = ShardWriter(path, array, n)
    again.append(FRAMES[100:130])
    again.flush()
    np.testing.assert_array_equal(array[: n + 30], np.concatenate([FRAMES[:n], FRAMES[100:130]]))


def test_a_damaged_block_that_is_full_stays_as_it_is_and_one_that_is_not_is_named(tmp_path):
    array, path = empty(tmp_path / "a")
    writer = ShardWriter(path, array, 0)
    writer.append(FRAMES[:12])
    writer.flush()
    shard = path / "c" / "0" / "0" / "0"
    raw = bytearray(shard.read_bytes())
    raw[20] ^= 1
    shard.write_bytes(raw)
    again = ShardWriter(path, array, 8)
    again.append(FRAMES[8:20])
    again.flush()
    blocks = open_blocks(array, path)
    np.testing.assert_array_equal(blocks.read(1), FRAMES[8:16])
    with pytest.raises(Exception, match="checksum"):
        blocks.read(0)
    with pytest.raises(InputError, match="c/0/0/0"):
        ShardWriter(path, array, 5)


def test_other_layouts_are_refused(tmp_path):
    array = zarr.open_group(tmp_path / "g", mode="w").create_array(
        "frames", shape=(9, 6, 5), dtype="u2", chunks=(3, 6, 5)
    )
    with pytest.raises(InputError, match="new work folder"):
        ShardWriter(tmp_path / "g" / "frames", array, 0)
