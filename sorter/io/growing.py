"""Results that grow by appended rows, so that frames can be sorted while they are recorded.

A result is written as a whole (`WorkFolder`) until somebody wants to append to it; then it is laid out anew, plain, and the
attribute ``rows`` of its group says which arrays have one row per frame and how many rows count. That number is written
last: a reader sees whole blocks, and what a killed writer left behind it is written over.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from sorter.io.plain import Attributes, PlainRows, create_plain
from sorter.io.whole import whole_folder, writing

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
        self._attributes = Attributes(path)
        self.n_rows = int(self._attributes[ROWS]["n_valid"])
        group = zarr.open_group(path, mode="r+")
        self._arrays: dict[str, Any] = {name: group[name] for name in names}
        self._rows = {name: PlainRows(path / name, array) for name, array in self._arrays.items()}

    def append(self, arrays: Mapping[str, NDArray]) -> None:
        """Add rows (n, ...) to every array; they count at once."""
        n = len(arrays[self.names[0]])
        if n == 0:
            return
        with writing(self.path):
            for name, array in self._arrays.items():
                if array.shape[0] < self.n_rows + n:
                    array.resize((self.n_rows + max(n, _ROOM_ROWS), *array.shape[1:]))
                self._rows[name].write(self.n_rows, arrays[name])
        self.keep(self.n_rows + n)

    def keep(self, n_rows: int) -> None:
        """Let the first ``n_rows`` rows count, and no others."""
        self._attributes[ROWS] = {"arrays": list(self.names), "n_valid": n_rows}
        self.n_rows = n_rows


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
            create_plain(group, name, values.shape, values.dtype, max(1, _CHUNK_BYTES // max(1, width)))[:] = values
        group.attrs.update(dict(old.attrs))
        group.attrs[ROWS] = {"arrays": list(names), "n_valid": n}
