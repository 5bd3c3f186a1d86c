"""Appends frames to a sharded zarr array, a few at a time or by the thousand: the counterpart of `blocks`.

zarr reads, decodes, encodes and writes all that a shard holds so far whenever frames are added to it. Here a block is compressed
once, when it is full, and the compressed blocks of the shard that is not full yet are kept.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.core.errors import InputError
from sorter.io.blocks import ABSENT, DamagedBlockError, ShardBlocks, shard_layout
from sorter.io.whole import whole_file, writing


class ShardWriter:
    """Appends frames behind the first ``n`` of the zarr array ``array``, whose folder is ``path``; one writer.

    Each shard is a file that is written whole, under another name that is then renamed. Raises InputError where the array is
    laid out in another way than `zarr_writer` does it, or what is there cannot be read.
    """

    def __init__(self, path: Path, array: Any, n: int) -> None:
        from numcodecs import Blosc

        layout = shard_layout(array, path)
        if layout is None:
            raise InputError(
                f"{path}: is not laid out in shards of blosc blocks; ingest the run into a new work folder"
            )
        options = {k: v for k, v in layout.compression.items() if k != "typesize"}  # that of the frames' type
        self._path, self._layout, self._blosc = path, layout, Blosc(**options)
        self._n = self._stored = n
        self._packed: list[bytes] = []
        self._last = np.zeros(layout.shape, layout.dtype)  # the block that is not full yet
        self._resume(ShardBlocks(path, layout))

    def _resume(self, blocks: ShardBlocks) -> None:
        """Take up what the shard that is not full holds; blocks that are full are copied as they are."""
        block, place = divmod(self._n, self._layout.size)
        first = block - block % self._layout.per_shard
        try:
            stored = [blocks.stored(number) for number in range(first, block)]
            self._packed = [self._pack(self._last) if raw is None else raw for raw in stored]
            if place:
                self._last[:place] = blocks.read(block)[:place]
        except (OSError, ValueError, DamagedBlockError) as error:
            raise InputError(
                f"{self._path}: frames cannot be added, what is there cannot be read ({error}); give a new work folder"
            ) from error

    def append(self, frames: NDArray) -> None:
        """Add frames (n, ny, nx); full shards are on the disk afterwards, the rest after `flush`. Raises WorkFolderError."""
        while len(frames):
            place = self._n % self._layout.size
            n = min(self._layout.size - place, len(frames))
            self._last[place : place + n] = frames[:n]
            frames, self._n = frames[n:], self._n + n
            if place + n == self._layout.size:
                self._packed.append(self._pack(self._last))
                self._last[:] = 0
            if len(self._packed) == self._layout.per_shard:
                self._write(self._packed)
                self._packed = []

    def flush(self) -> None:
        """Write what is not on the disk yet. Raises WorkFolderError."""
        if self._stored < self._n:
            partly = self._n % self._layout.size > 0
            self._write([*self._packed, *([self._pack(self._last)] if partly else [])])

    def _pack(self, block: NDArray) -> bytes:
        from google_crc32c import value as crc32c

        packed = bytes(self._blosc.encode(block))
        return packed + crc32c(packed).to_bytes(4, "little") if self._layout.checked else packed

    def _write(self, blocks: list[bytes]) -> None:
        """The shard that ends with the frames appended last."""
        from google_crc32c import value as crc32c

        number = (self._n - 1) // (self._layout.size * self._layout.per_shard)
        lengths = np.array([len(block) for block in blocks], "<u8")
        index = np.full((self._layout.per_shard, 2), ABSENT, "<u8")
        index[: len(blocks)] = np.stack([np.cumsum(lengths) - lengths, lengths], 1)
        path = self._path / "c" / str(number) / "0" / "0"
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as partial, partial.open("wb") as file:
            file.writelines([*blocks, index.tobytes(), crc32c(index.tobytes()).to_bytes(4, "little")])
        self._stored = self._n
