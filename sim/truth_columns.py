"""Truth of a simulated run on its way from the files of the units to that of the run, a piece at a time."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path

import numpy as np
from numpy.lib.format import read_array_header_1_0, read_array_header_2_0, read_magic
from numpy.typing import NDArray


@dataclass(frozen=True)
class TruthColumn:
    """Truth of all frames of a run: name; shape (n_frames, ...); dtype; parts: its values, from the first frame on."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    parts: Iterator[NDArray]

    def pieces(self, rows: int) -> Iterator[tuple[slice, NDArray]]:
        """Values in pieces of ``rows`` frames (the last may be shorter), and the rows of each."""
        start, held = 0, np.empty((0, *self.shape[1:]), self.dtype)
        for part in self.parts:
            held = np.concatenate([held, part])
            whole = len(held) - len(held) % rows if start + len(held) < self.shape[0] else len(held)
            for first in range(0, whole, rows):
                piece = held[first : min(first + rows, whole)]
                yield slice(start + first, start + first + len(piece)), piece
            start, held = start + whole, held[whole:]


def truth_columns(paths: Sequence[Path]) -> Iterator[TruthColumn]:
    """The columns of a run from the .npz files of its units, in order of the frames. Each is read while it is taken: text of a
    kilobyte per frame, or volumes of crystals, would fill the memory."""
    headers = [_headers(path) for path in paths]
    for name in headers[0]:
        shapes, kinds = zip(*(header[name] for header in headers))
        shape = (sum(shape[0] for shape in shapes), *shapes[0][1:])
        yield TruthColumn(name, shape, reduce(np.promote_types, set(kinds)), map(partial(_column, name), paths))


def _headers(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Shape and dtype of each array of an .npz file, without reading them."""
    found = {}
    with zipfile.ZipFile(path) as archive:
        for entry in archive.namelist():
            with archive.open(entry) as file:
                versions = {(1, 0): read_array_header_1_0, (2, 0): read_array_header_2_0}
                shape, _, dtype = versions[read_magic(file)](file)
                found[entry.removesuffix(".npy")] = shape, dtype
    return found


def _column(name: str, path: Path) -> NDArray:
    with np.load(path) as arrays:
        return arrays[name]
