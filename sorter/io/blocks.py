"""Stored frames, block by block, straight from the files of a sharded zarr array.

zarr 3.1 spends three times as long around its decoder as in it. `ShardBlocks` reads one block, checks it and decodes it, for
the layout that `zarr_writer` makes (sharding codec, blosc, crc32c); any other one is left to zarr (`ZarrBlocks`), and both
give the same frames.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

#: Offset and length, in a shard's index, of a block that was never written.
ABSENT = 2**64 - 1
_CRC_BYTES = 4
#: numcodecs' number of each of blosc's filters.
_SHUFFLE = {"noshuffle": 0, "shuffle": 1, "bitshuffle": 2}


class DamagedBlockError(Exception):
    """A block that cannot be decoded; the message says in which file and why."""


class Blocks(Protocol):
    """size: frames per block; read(block): (size or fewer, ny, nx) frames, the caller's own. Not for several threads."""

    size: int

    def read(self, block: int) -> NDArray:
        """Frames of one block. Raises DamagedBlockError."""
        ...


class ZarrBlocks:
    """`Blocks` of any zarr array, read by zarr."""

    def __init__(self, array: Any, path: Path) -> None:
        self._array, self._path, self.size = array, path, int(array.chunks[0])

    def read(self, block: int) -> NDArray:
        """Frames of one block. Raises DamagedBlockError."""
        try:
            return np.asarray(self._array[block * self.size : (block + 1) * self.size])
        except (OSError, RuntimeError, ValueError) as error:
            raise DamagedBlockError(f"{self._path}: {error}") from error


@dataclass(frozen=True)
class ShardLayout:
    """A shard is one file that holds whole blocks one after the other, and an index of them at its end.

    shape (size, ny, nx), dtype: of a block; per_shard: blocks; checked: whether a crc32c stands behind each; compression: what
    numcodecs' Blosc is made with.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    per_shard: int
    checked: bool
    compression: dict[str, Any]

    @property
    def size(self) -> int:
        """Frames in a block."""
        return self.shape[0]


class ShardBlocks:
    """`Blocks` of an array in shards of whole blocks; path: folder of the array."""

    def __init__(self, path: Path, layout: ShardLayout) -> None:
        self._path, self._shape, self._dtype = path, layout.shape, layout.dtype
        self.size, self._per_shard, self._checked = layout.size, layout.per_shard, layout.checked
        self._shard, self._file = -1, Path()
        self._handle: IO[bytes] | None = None
        self._index: NDArray[np.uint64] | None = None

    def read(self, block: int) -> NDArray:
        """Frames of one block; zeros where none was written. Raises DamagedBlockError."""
        from numcodecs.blosc import decompress

        frames = np.empty(self._shape, self._dtype)
        try:
            packed = self._packed(block)
            if packed is None:
                frames[:] = 0
            else:
                decompress(packed, frames)
        except (OSError, RuntimeError, ValueError) as error:
            raise DamagedBlockError(f"{self._file}: {error}") from error
        return frames

    def _open(self, shard: int) -> None:
        from google_crc32c import value as crc32c

        self._shard, self._file, self._index = -1, self._path / "c" / str(shard) / "0" / "0", None
        if self._handle is not None:
            self._handle.close()
            self._handle = None
        if self._file.exists():
            self._handle = self._file.open("rb")
            self._handle.seek(-(16 * self._per_shard + _CRC_BYTES), 2)
            raw = self._handle.read()
            _check(crc32c, raw)
            self._index = np.frombuffer(raw[:-_CRC_BYTES], "<u8").reshape(-1, 2)
        self._shard = shard

    def _packed(self, block: int) -> bytes | memoryview | None:
        """Compressed bytes of a block, None where it was never written."""
        from google_crc32c import value as crc32c

        raw = self.stored(block)
        if raw is None or not self._checked:
            return raw
        _check(crc32c, raw)
        return memoryview(raw)[:-_CRC_BYTES]

    def stored(self, block: int) -> bytes | None:
        """A block as it stands in its file, with its checksum, not looked at; None where it was never written.

        Raises OSError or ValueError where the file is not what a shard is.
        """
        shard, place = divmod(block, self._per_shard)
        if shard != self._shard:
            self._open(shard)
        if self._index is None or self._handle is None:
            return None
        offset, length = (int(v) for v in self._index[place])
        if offset == ABSENT:
            return None
        self._handle.seek(offset)
        raw = self._handle.read(length)
        if len(raw) < length:
            raise ValueError("the file ends too early")
        return raw


def _check(crc32c: Any, raw: bytes) -> None:
    if crc32c(raw[:-_CRC_BYTES]) != int.from_bytes(raw[-_CRC_BYTES:], "little"):
        raise ValueError("the checksum does not fit what is stored")


def open_blocks(array: Any, path: Path) -> Blocks:
    """The blocks of the zarr array ``array`` of frames, whose folder is ``path``; the quick way where its layout allows it."""
    layout = shard_layout(array, path)
    return ZarrBlocks(array, path) if layout is None else ShardBlocks(path, layout)


def shard_layout(array: Any, path: Path) -> ShardLayout | None:
    """How the shards of a zarr array are laid out; None where that is not what `zarr_writer` makes."""
    meta = json.loads((path / "zarr.json").read_text())
    first = meta["codecs"][0]
    if len(meta["codecs"]) != 1 or first["name"] != "sharding_indexed" or meta["fill_value"] != 0:
        return None
    inner = first["configuration"]
    names = [codec["name"] for codec in inner["codecs"]]
    size, *rest = inner["chunk_shape"]
    fits = (
        names in (["bytes", "blosc"], ["bytes", "blosc", "crc32c"])
        and inner["codecs"][0].get("configuration", {}).get("endian", "little") == "little"
        and tuple(rest) == tuple(meta["shape"][1:])
        and inner.get("index_location", "end") == "end"
        and [codec["name"] for codec in inner["index_codecs"]] == ["bytes", "crc32c"]
        and meta["chunk_key_encoding"] == {"name": "default", "configuration": {"separator": "/"}}
    )
    if not fits:
        return None
    blosc = dict(inner["codecs"][1]["configuration"])
    blosc["shuffle"] = _SHUFFLE[blosc["shuffle"]]
    per_shard = meta["chunk_grid"]["configuration"]["chunk_shape"][0] // size
    return ShardLayout((size, *rest), array.dtype.newbyteorder("="), per_shard, names[-1] == "crc32c", blosc)
