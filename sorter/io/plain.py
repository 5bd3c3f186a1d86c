"""Arrays to which a few rows are added many times a second: laid out without compression, so that a row has its place in a file.

zarr itself reads and writes a whole chunk, and needs a millisecond of processor time, for each write; that is too much for a
dozen arrays ten times a second. Which rows count is said elsewhere, and written last: what lies behind those may be anything.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from sorter.io.whole import whole_file, write_text_whole


def create_plain(
    group: zarr.Group, name: str, shape: tuple[int, ...], dtype: np.dtype, chunk_rows: int, fill: Any = 0
) -> zarr.Array:
    """An array (N, ...) to which `PlainRows` can write, in chunks of ``chunk_rows`` rows."""
    chunks = (chunk_rows, *(max(1, n) for n in shape[1:]))
    return group.create_array(name, shape=shape, dtype=dtype, chunks=chunks, compressors=None, fill_value=fill)


def is_plain(array: zarr.Array) -> bool:
    """Whether `PlainRows` can write to an array: whole uncompressed rows in every chunk."""
    whole_rows = array.chunks[1:] == tuple(max(1, n) for n in array.shape[1:])
    return array.ndim > 0 and not array.compressors and not array.filters and array.shards is None and whole_rows


class PlainRows:
    """Writes rows of the plain array ``array``, whose folder is ``path``, in the files that zarr reads."""

    def __init__(self, path: Path, array: zarr.Array) -> None:
        self._path, self._fill, self._chunk_rows = path, array.fill_value, int(array.chunks[0])
        self._width, self._dtype = array.shape[1:], np.dtype(array.dtype)
        self._row_bytes = int(np.prod(self._width, dtype=np.int64)) * self._dtype.itemsize

    def write(self, first: int, values: NDArray) -> None:
        """Write rows first..first+n-1, ``values`` (n, ...); the array must have room for them. Raises OSError."""
        rows = np.ascontiguousarray(values, self._dtype)
        while len(rows) and self._row_bytes:
            number, place = divmod(first, self._chunk_rows)
            n = min(self._chunk_rows - place, len(rows))
            self._write_at(self._chunk(number), place * self._row_bytes, rows[:n].tobytes())
            rows, first = rows[n:], first + n

    def clear(self, first: int) -> None:
        """Give rows from ``first`` on their fill value: a killed writer may have left some."""
        number, place = divmod(first, self._chunk_rows)
        if self._chunk_path(number).exists() and self._row_bytes:
            rest = self._empty(self._chunk_rows - place)
            self._write_at(self._chunk(number), place * self._row_bytes, rest)
        while (path := self._chunk_path(number := number + 1)).exists():
            path.unlink()

    def _chunk_path(self, number: int) -> Path:
        return self._path.joinpath("c", str(number), *("0" for _ in self._width))

    def _chunk(self, number: int) -> Path:
        """The file of a chunk; a new one holds the fill value in all rows, so that later writes need no room on the disk."""
        path = self._chunk_path(number)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as partial:
                partial.write_bytes(self._empty(self._chunk_rows))
        return path

    def _empty(self, n: int) -> bytes:
        return np.full((n, *self._width), self._fill, self._dtype).tobytes()

    @staticmethod
    def _write_at(path: Path, offset: int, raw: bytes) -> None:
        with path.open("r+b", buffering=0) as file:
            view = memoryview(raw)
            while view:
                n = os.pwrite(file.fileno(), view, offset)
                view, offset = view[n:], offset + n


class Attributes:
    """The attributes of the zarr group at ``path``, of which one at a time is replaced; one writer."""

    def __init__(self, path: Path) -> None:
        self._file = path / "zarr.json"
        self._said: dict[str, Any] = json.loads(self._file.read_text())

    def __getitem__(self, name: str) -> Any:
        return self._said["attributes"][name]

    def __setitem__(self, name: str, value: Any) -> None:
        """Replace an attribute; the file is whole at any moment. Raises WorkFolderError."""
        self._said.setdefault("attributes", {})[name] = value
        write_text_whole(self._file, json.dumps(self._said))
