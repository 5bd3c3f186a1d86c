"""Frames in numpy's own files, read by range: .npy through a memory map, .npz through its zip stream."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO, ClassVar

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from sorter.core.errors import InputError
from sorter.core.geometry import Geometry
from sorter.io.masks import to_cxi_bits
from sorter.io.recording import MAX_COLUMN_VALUES, Reader, ReadOptions, Recording, check_frames, require_file


class NpyReader(Reader):
    """One array (N, ny, nx) in a .npy file."""

    name: ClassVar[str] = "npy"

    def __init__(self, path: str | Path, options: ReadOptions) -> None:
        found = require_file(path)
        try:
            self._frames = np.load(found, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"{path}: not a whole .npy file of numbers ({error}); write it again") from error
        _check_numbers(path, "array", self._frames.dtype)
        check_frames(path, "the array", self._frames.shape)
        shape = self._frames.shape
        self.recording = Recording(
            str(path), "array", found.name, self.name, shape[0], self._frames.dtype, Geometry((shape[1], shape[2]))
        )

    def read(self, start: int, stop: int) -> NDArray:
        """(stop - start, ny, nx) frames."""
        return np.array(self._frames[start:stop])


class NpzReader(Reader):
    """One stack (N, ny, nx) among the arrays of a .npz file; arrays with one row per frame are columns, ``mask`` is the mask."""

    name: ClassVar[str] = "npz"

    def __init__(self, path: str | Path, options: ReadOptions) -> None:
        self._path = path
        found = require_file(path)
        try:
            self._zip = zipfile.ZipFile(found)
            heads = {n.removesuffix(".npy"): self._head(n) for n in self._zip.namelist() if n.endswith(".npy")}
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}: not a whole .npz file of numbers ({error}); write it again") from error
        name = self._choose(heads, options.dataset)
        shape, _, dtype = heads[name]
        check_frames(path, name, shape)
        rows = {n: h for n, h in heads.items() if n not in (name, "mask") and h[0][:1] == shape[:1]}
        self._columns = {n: self._array(n) for n, h in rows.items() if np.prod(h[0][1:]) <= MAX_COLUMN_VALUES}
        bits = None
        if "mask" in heads and heads["mask"][0] == shape[1:]:
            bits = to_cxi_bits(self._array("mask"), options.mask_convention or "cxi")
        self._stream: IO[bytes] | None = None
        self._next = 0
        self.recording = Recording(
            str(path), name, found.name, self.name, shape[0], dtype, Geometry((shape[1], shape[2])), mask_bits=bits
        )

    def _head(self, member: str) -> tuple[tuple[int, ...], bool, np.dtype]:
        with self._zip.open(member) as stream:
            return _read_head(stream)

    def _choose(self, heads: dict, wanted: str | None) -> str:
        there = ", ".join(f"{n} {'x'.join(map(str, h[0]))} {h[2]}" for n, h in heads.items())
        stacks = [n for n, h in heads.items() if len(h[0]) == 3 and h[2].kind in "uif" and min(h[0][1:]) >= 8]
        names = [n for n in heads if n == wanted] if wanted is not None else stacks
        if len(names) != 1:
            what = "no 3-D array of frames" if not names else f"{len(names)} arrays could be the frames"
            raise InputError(f"{self._path}: {what}; there are: {there}; choose with --dataset")
        if heads[names[0]][1]:
            raise InputError(f"{self._path}: {names[0]} is in Fortran order; save it with np.ascontiguousarray")
        _check_numbers(self._path, names[0], heads[names[0]][2])
        return names[0]

    def _array(self, name: str) -> NDArray:
        with self._zip.open(f"{name}.npy") as stream:
            return npy_format.read_array(stream, allow_pickle=False)

    def read(self, start: int, stop: int) -> NDArray:
        """(stop - start, ny, nx) frames; reading on from where the last call stopped costs no second pass."""
        shape, dtype = self.recording.shape_px, self.recording.dtype
        each = int(np.prod(shape)) * dtype.itemsize
        try:
            if self._stream is None or start < self._next:
                self._rewind()
            assert self._stream is not None
            while self._next < start:
                self._stream.read(each)
                self._next += 1
            data = self._stream.read(each * (stop - start))
        except (OSError, zipfile.BadZipFile, EOFError) as error:
            raise InputError(
                f"{self._path}: frames {start}..{stop - 1} cannot be read ({error}); write it again"
            ) from error
        self._next = stop
        return np.frombuffer(data, dtype).reshape(stop - start, *shape)

    def _rewind(self) -> None:
        self._stream = self._zip.open(f"{self.recording.dataset}.npy")
        _read_head(self._stream)
        self._next = 0

    def columns(self, start: int, stop: int) -> dict[str, NDArray]:
        """Arrays with one row per frame."""
        return {name: values[start:stop] for name, values in self._columns.items()}

    def close(self) -> None:
        """Close the file."""
        self._zip.close()


def _read_head(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = npy_format.read_magic(stream)
    read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    return read(stream)


def _check_numbers(path: str | Path, name: str, dtype: np.dtype) -> None:
    if dtype.kind not in "uif":
        raise InputError(f"{path}: {name} holds {dtype}; frames are whole or floating-point numbers")
