"""CXI files with one frame per entry: ``/entry_1``, ``/entry_2``, ... (CXIDB-94 and others)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

import h5py
import numpy as np
from numpy.typing import NDArray

from sorter.core.errors import InputError
from sorter.io.hdf5_metadata import Metadata
from sorter.io.hdf5_tree import FileTree, FoundDataset, as_text, column_names, natural_key, open_hdf5, read_tree
from sorter.io.masks import bad_pixels, to_cxi_bits
from sorter.io.recording import MAX_COLUMN_VALUES, Reader, ReadOptions, Recording, check_frames

_ENTRY = re.compile(r"entry_\d+")
_MASK_NAMES = ("mask", "pixel_mask", "mask_shared")


def entry_names(file: h5py.File) -> list[str]:
    """Groups ``entry_N`` of a file in natural order."""
    names = [name for name in file if _ENTRY.fullmatch(name) and isinstance(file[name], h5py.Group)]
    return sorted(names, key=natural_key)


def _images(tree: FileTree) -> list[FoundDataset]:
    """Datasets that could be the single frame of an entry: (ny, nx) or (1, ny, nx)."""
    sides = [(d, d.shape[1:] if len(d.shape) == 3 and d.shape[0] == 1 else d.shape) for d in tree.datasets]
    numbers = [(d, s) for d, s in sides if len(s) == 2 and min(s) >= 8 and d.dtype.kind in "uif"]
    return [d for d, _ in numbers if d.path.rsplit("/", 1)[-1] not in _MASK_NAMES]


def has_single_frames(path: str | Path, live: bool = False) -> bool:
    """Whether a file keeps one frame per entry: entries in plenty, or a CXI file, with an image and no stack in the first."""
    with open_hdf5(path, live) as file:
        names = entry_names(file)
        if not names or (len(names) < 2 and "cxi_version" not in file):
            return False
        tree = read_tree(file, f"/{names[0]}")
        stacks = [d for d in tree.datasets if len(d.shape) >= 3 and d.shape[0] > 1 and min(d.shape[-2:]) >= 8]
        return not stacks and bool(_images(tree))


class EntriesReader(Reader):
    """Frames of a CXI file with one frame per entry, in the natural order of the entries."""

    name: ClassVar[str] = "cxi_entries"

    def __init__(self, path: str | Path, options: ReadOptions) -> None:
        self._path = path
        self._file = open_hdf5(path, options.live)
        try:
            self._describe(options)
        except BaseException:
            self._file.close()
            raise

    def _describe(self, options: ReadOptions) -> None:
        first, *_ = names = entry_names(self._file)
        tree = read_tree(self._file, f"/{first}")
        found = self._choose(tree, options.dataset)
        self._inner = found.path.split("/", 2)[2]
        self._entries = [name for name in names if self._inner in self._file[name]]
        shape = found.shape[-2:]
        check_frames(self._path, found.path, (len(self._entries), *shape))
        metadata = Metadata(self._file, tree, found)
        mask = metadata.mask_dataset()
        self._mask = None if mask is None else mask.path.split("/", 2)[2]
        self._convention = None if mask is None else options.mask_convention or metadata.convention(mask)
        bits = None if mask is None else to_cxi_bits(self._file[mask.path][()], str(self._convention)).reshape(shape)
        self._columns = self._find_columns(tree, found, mask)
        remarks = [f"one frame per entry, {len(self._entries)} of {len(names)} entries", *metadata.remarks]
        self.recording = Recording(
            str(self._path), f"/entry_N/{self._inner}", metadata.run_id(self._path), self.name, len(self._entries),
            found.dtype, metadata.geometry((shape[0], shape[1])), metadata.unit(), bits, mask is not None, tuple(remarks),
        )  # fmt: skip

    def _choose(self, tree: FileTree, wanted: str | None) -> FoundDataset:
        images = _images(tree)
        if wanted is not None:
            inner = re.sub(r"^/?entry_(\d+|N)/", "", wanted)
            images = [d for d in images if any(p.split("/", 2)[2] == inner for p in (d.path, *d.aliases))]
        if len(images) != 1:
            there = ", ".join(d.text for d in tree.datasets[:12])
            raise InputError(
                f"{self._path}: {len(images)} datasets of an entry could be the frame (there are: {there}); use --dataset"
            )
        return images[0]

    def _find_columns(self, tree: FileTree, found: FoundDataset, mask: FoundDataset | None) -> dict[str, str]:
        """Small datasets of the first entry that all entries have in the same shape; short name -> path in the entry."""
        skip = {found.path, *([] if mask is None else [mask.path])}
        inner = []
        for dataset in tree.datasets:
            text = h5py.check_string_dtype(dataset.dtype) is not None
            size = int(np.prod(dataset.shape, dtype=np.int64))
            small = size == 1 if text else size <= MAX_COLUMN_VALUES and dataset.dtype.kind in "buif"
            if dataset.path not in skip and small:
                inner.append(dataset.path.split("/", 2)[2])
        inner = [p for p in inner if all(self._same_kind(p, name) for name in self._entries)]
        return dict(zip(column_names([f"/{p}" for p in inner]), inner))

    def _same_kind(self, inner: str, entry: str) -> bool:
        first, other = self._file[self._entries[0]][inner], self._file[entry].get(inner)
        return isinstance(other, h5py.Dataset) and other.shape == first.shape

    def _stack(self, inner: str, start: int, stop: int) -> list[NDArray]:
        try:
            return [np.asarray(self._file[entry][inner][()]) for entry in self._entries[start:stop]]
        except (OSError, RuntimeError, KeyError) as error:
            raise InputError(
                f"{self._path}: entries {start + 1}..{stop} cannot be read ({error}); copy it again"
            ) from error

    def read(self, start: int, stop: int) -> NDArray:
        """(stop - start, ny, nx) frames; raises InputError where entries differ in shape or are damaged."""
        images = [np.squeeze(image) for image in self._stack(self._inner, start, stop)]
        for entry, image in zip(self._entries[start:stop], images):
            if image.shape != self.recording.shape_px:
                raise InputError(
                    f"{self._path}: /{entry} has a frame of {image.shape}, the first one has {self.recording.shape_px};"
                    " a run needs frames of one shape"
                )
        return np.stack(images)

    def read_bad(self, start: int, stop: int) -> NDArray[np.bool_]:
        """(stop - start, ny, nx) bad pixels from the mask of each entry."""
        bits = to_cxi_bits(np.stack(self._stack(str(self._mask), start, stop)), str(self._convention))
        return bad_pixels(bits).reshape(len(bits), *self.recording.shape_px)

    def columns(self, start: int, stop: int) -> dict[str, NDArray]:
        """Small values that each entry has."""
        out = {}
        for name, inner in self._columns.items():
            values = np.stack(self._stack(inner, start, stop))
            text = h5py.check_string_dtype(self._file[self._entries[0]][inner].dtype) is not None
            out[name] = as_text(values) if text else values
        return out

    def close(self) -> None:
        """Close the file."""
        self._file.close()
