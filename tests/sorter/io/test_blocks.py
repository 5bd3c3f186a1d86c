"""Blocks straight from shards against zarr's own way; damage is named."""

import numpy as np
import pytest
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec, GzipCodec

from sorter.io.blocks import DamagedBlockError, ShardBlocks, ZarrBlocks, open_blocks

BLOSC = BloscCodec(cname="lz4", clevel=1, shuffle="bitshuffle")


def make(path, n=70, dtype="u2", shards=(32, 6, 5), **options):
    group = zarr.open_group(path, mode="w", zarr_format=3)
    codecs = {"compressors": (BLOSC, Crc32cCodec()), **options}
    array = group.create_array("frames", shape=(n, 6, 5), dtype=dtype, chunks=(8, 6, 5), shards=shards, **codecs)
    frames = np.random.default_rng(0).poisson(2, (n, 6, 5)).astype(dtype)
    array[:] = frames
    return array, path / "frames", frames


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f4"])
@pytest.mark.parametrize("compressors", [(BLOSC, Crc32cCodec()), (BLOSC,)], ids=["checked", "unchecked"])
def test_the_quick_way_gives_what_zarr_gives(tmp_path, dtype, compressors):
    array, path, frames = make(tmp_path / "a", dtype=dtype, compressors=compressors)
    quick, slow = open_blocks(array, path), ZarrBlocks(array, path)
    assert isinstance(quick, ShardBlocks) and quick.size == slow.size == 8
    for block in (8, 0, 3, 4, 1):
        expected = frames[8 * block : 8 * block + 8]
        np.testing.assert_array_equal(slow.read(block), expected)
        np.testing.assert_array_equal(quick.read(block)[: len(expected)], expected)
        assert quick.read(block).dtype == array.dtype and quick.read(block).flags.writeable


def test_blocks_that_were_never_written_are_zeros(tmp_path):
    array, path, _ = make(tmp_path / "a")
    array.resize((200, 6, 5))
    array[100:101] = 7
    blocks = open_blocks(array, path)
    for block in range(25):
        found = blocks.read(block)
        np.testing.assert_array_equal(found[: 200 - 8 * block], array[8 * block : 8 * block + 8])


@pytest.mark.parametrize(
    "options", [{"shards": None}, {"compressors": (GzipCodec(),)}, {"fill_value": 3}], ids=["unsharded", "gzip", "fill"]
)
def test_other_layouts_are_left_to_zarr(tmp_path, options):
    array, path, frames = make(tmp_path / "a", **options)
    blocks = open_blocks(array, path)
    assert isinstance(blocks, ZarrBlocks)
    np.testing.assert_array_equal(blocks.read(1), frames[8:16])


@pytest.mark.parametrize("where", ["block", "index", "short"])
def test_damage_is_found_and_its_file_named(tmp_path, where):
    array, path, frames = make(tmp_path / "a")
    shard = path / "c" / "1" / "0" / "0"
    raw = bytearray(shard.read_bytes())
    raw[30 if where == "block" else -30] ^= 1
    shard.write_bytes(raw if where != "short" else raw[: len(raw) // 2])
    blocks = open_blocks(array, path)
    with pytest.raises(DamagedBlockError, match="c/1/0/0"):
        [blocks.read(block) for block in range(4, 8)]
    np.testing.assert_array_equal(blocks.read(0), frames[:8])
