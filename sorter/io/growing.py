"""Results that grow by appended rows, so that frames can be sorted while they are recorded.

A result is written as a whole (`WorkFolder`) until somebody wants to append to it; then it is laid out anew in chunks of a
few hundred kB, and the attribute ``rows`` of its group says which arrays have one row per frame and how many rows count.
That number is written last: a reader sees whole blocks, and what a killed writer left behind it is written over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from sorter.io.whole import whole_file, whole_folder, write_text_whole, writing

ROWS = "rows"
_CHUNK_BYTES = 256 << 10
_ROOM_ROWS = 65536


def rows_that_count(attrs: Mapping[str, Any]) -> tuple[frozenset[str], int | None]:
    """Names of a result's arrays that grow, and the number of their rows that count; None where nothing grows."""
    rows = attrs.get(ROWS)
    return (frozenset(rows["arrays"]), int(rows["n_valid"])) if rows else (frozenset(), None)


class GrowingResult:
    """Appends rows to the result at ``path``; one writer (the work folder's lock sees to that).

    names: its arrays that have one row per frame. Raises WorkFolderError where it cannot be written.
    """

    def __init__(self, path: Path, names: tuple[str, ...]) -> None:
        self.path, self.names = path, names
        group = zarr.open_group(path, mode="r")
        if rows_that_count(dict(group.attrs))[1] is None:
            _lay_out(path, group, names)
        self._said: dict[str, Any] = json.loads((path / "zarr.json").read_text())
        self.n_rows = rows_that_count(self._said["attributes"])[1] or 0
        group = zarr.open_group(path, mode="r+")
        self._columns = {name: _Column(path / name, group[name], self.n_rows) for name in names}

    def append(self, arrays: Mapping[str, NDArray]) -> None:
        """Add rows (n, ...) to every array; they count at once."""
        n = len(arrays[self.names[0]])
        if n == 0:
            return
        with writing(self.path):
            for name, column in self._columns.items():
                column.append(arrays[name])
        self._count(self.n_rows + n)

    def keep(self, n_rows: int) -> None:
        """Let the first ``n_rows`` rows count, and no others."""
        self._count(n_rows)
        for column in self._columns.values():
            column.go_to(n_rows)

    def _count(self, n_rows: int) -> None:
        self._said["attributes"][ROWS] = {"arrays": list(self.names), "n_valid": n_rows}
        write_text_whole(self.path / "zarr.json", json.dumps(self._said))
        self.n_rows = n_rows


class _Column:
    """Appends to one uncompressed array in the files that zarr reads: a chunk is the bytes of its rows. zarr itself needs
    a millisecond of processor time for each write, which is too much for a dozen arrays many times a second."""

    def __init__(self, path: Path, array: Any, n_rows: int) -> None:
        self._path, self._array = path, array
        self._rows = int(array.chunks[0])
        self.go_to(n_rows)

    def go_to(self, n_rows: int) -> None:
        """The next row is number ``n_rows``."""
        self._n = n_rows
        start = n_rows - n_rows % self._rows
        self._tail = np.zeros((self._rows, *self._array.shape[1:]), self._array.dtype)
        self._tail[: n_rows - start] = self._array[start:n_rows]

    def append(self, values: NDArray) -> None:
        """Write rows (n, ...); each chunk file is whole or absent."""
        if self._array.shape[0] < self._n + len(values):
            self._array.resize((self._n + max(len(values), _ROOM_ROWS), *self._array.shape[1:]))
        done = 0
        while done < len(values):
            place = self._n % self._rows
            n = min(self._rows - place, len(values) - done)
            if place == 0:
                self._tail[:] = 0
            self._tail[place : place + n] = values[done : done + n]
            self._write_chunk(self._n // self._rows)
            self._n, done = self._n + n, done + n

    def _write_chunk(self, number: int) -> None:
        if self._tail.size == 0:
            return
        path = self._path.joinpath("c", str(number), *("0" for _ in self._array.shape[1:]))
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as partial:
            partial.write_bytes(self._tail.tobytes())


def _lay_out(path: Path, old: zarr.Group, names: tuple[str, ...]) -> None:
    """Write the result anew, in chunks to which rows can be appended."""
    with whole_folder(path) as partial:
        group = zarr.open_group(partial, mode="w", zarr_format=3)
        n = 0
        for name, array in old.arrays():
            values = np.asarray(array[:])
            if name not in names:
                group.create_array(name, data=values)
                continue
            n = len(values)
            width = int(np.prod(values.shape[1:], dtype=np.int64)) * values.dtype.itemsize
            chunk = max(1, _CHUNK_BYTES // max(1, width))
            shape, chunks = (n, *values.shape[1:]), (chunk, *(max(1, s) for s in values.shape[1:]))
            group.create_array(name, shape=shape, dtype=values.dtype, chunks=chunks, compressors=None)[:] = values
        group.attrs.update(dict(old.attrs))
        group.attrs[ROWS] = {"arrays": list(names), "n_valid": n}
