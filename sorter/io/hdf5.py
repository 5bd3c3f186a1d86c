"""HDF5 with a stack of frames anywhere in it; CXI and NeXus metadata are read where they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import h5py
import numpy as np
from numpy.typing import NDArray

from sorter.core.errors import InputError
from sorter.io.hdf5_metadata import Metadata
from sorter.io.hdf5_tree import (
    FileTree,
    FoundDataset,
    as_text,
    choose_dataset,
    column_datasets,
    column_names,
    grown_alike,
    open_hdf5,
    read_tree,
)
from sorter.io.masks import to_cxi_bits
from sorter.io.recording import MAX_COLUMN_VALUES, Reader, ReadOptions, Recording, check_frames

_TRUTH = "/truth/"


class Hdf5Reader(Reader):
    """Frames (N, ny, nx), or modules (N, module, ny, nx) stacked along y, of one HDF5 file."""

    name: ClassVar[str] = "hdf5"

    def __init__(self, path: str | Path, options: ReadOptions) -> None:
        self._path = path
        self._file = open_hdf5(path, options.live)
        try:
            tree = read_tree(self._file)
            found = choose_dataset(path, tree, options.dataset)
            self.grows = bool(self._file.swmr_mode)
            if self.grows:
                tree = grown_alike(self._file, tree, found.shape[0])
            self._frames: h5py.Dataset = self._file[found.path]
            self._describe(tree, found, options)
        except BaseException:
            self._file.close()
            raise

    def _describe(self, tree: FileTree, found: FoundDataset, options: ReadOptions) -> None:
        n, *axes = found.shape
        shape_px = (int(np.prod(axes[:-1])), axes[-1])
        check_frames(self._path, found.path, (n, *shape_px))
        if "z" in str(self._frames.attrs.get("axes", "")).split(":"):
            raise InputError(f"{self._path}: {found.path} holds volumes (axes z, y, x), not frames; give 2-D frames")
        metadata = Metadata(self._file, tree, found)
        mask = metadata.mask_dataset()
        self._convention = None if mask is None else options.mask_convention or metadata.convention(mask)
        self._frame_mask = None if mask is None or mask.shape != found.shape else self._file[mask.path]
        bits = None
        if mask is not None and self._frame_mask is None:
            bits = to_cxi_bits(self._file[mask.path][()], str(self._convention))
            bits = np.broadcast_to(bits, tuple(axes)).reshape(shape_px)
        geometry = metadata.geometry(shape_px)
        columns = list(column_datasets(tree, n, found, MAX_COLUMN_VALUES))
        columns = [d for d in columns if mask is None or d.path != mask.path]
        truth = [d.path for d in columns if d.path.startswith(_TRUTH)]
        plain = [d.path for d in columns if not d.path.startswith(_TRUTH)]
        self._truth = {p[len(_TRUTH) :].replace("/", "_"): p for p in truth}
        self._columns = dict(zip(column_names(plain), plain))
        remarks = list(metadata.remarks) + [f"link {p} leads nowhere" for p in tree.dangling]
        if len(axes) == 3 and axes[0] > 1:
            remarks.append(f"{found.path}: {axes[0]} modules are stacked along y, not assembled")
        if mask is not None:
            remarks.append(f"mask {mask.path} is read as '{self._convention}'")
        self.recording = Recording(
            str(self._path), found.path, metadata.run_id(self._path), self.name, n, found.dtype, geometry,
            metadata.unit(), bits, self._frame_mask is not None, tuple(remarks),
        )  # fmt: skip

    def read(self, start: int, stop: int) -> NDArray:
        """(stop - start, ny, nx) frames in their recorded type; raises InputError where the file is damaged."""
        values = self._slice(self._frames, start, stop)
        return values.reshape(len(values), *self.recording.shape_px)

    def read_bad(self, start: int, stop: int) -> NDArray[np.bool_]:
        """(stop - start, ny, nx) bad pixels from a mask per frame."""
        from sorter.io.masks import bad_pixels

        values = self._slice(self._frame_mask, start, stop)
        return bad_pixels(to_cxi_bits(values, str(self._convention))).reshape(len(values), *self.recording.shape_px)

    def _slice(self, dataset: h5py.Dataset | None, start: int, stop: int) -> NDArray:
        assert dataset is not None
        try:
            return np.asarray(dataset[start:stop])
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"{self._path}: frames {start}..{stop - 1} of {dataset.name} cannot be read ({error}); copy the file again"
            ) from error

    def _rows(self, paths: Mapping[str, str], start: int, stop: int) -> dict[str, NDArray]:
        out = {}
        for name, path in paths.items():
            values = self._slice(self._file[path], start, stop)
            text = h5py.check_string_dtype(self._file[path].dtype) is not None
            out[name] = as_text(values) if text else values
        return out

    def columns(self, start: int, stop: int) -> dict[str, NDArray]:
        """All datasets with one row per frame, outside /truth."""
        return self._rows(self._columns, start, stop)

    def truth(self, start: int, stop: int) -> dict[str, NDArray]:
        """The columns of /truth."""
        return self._rows(self._truth, start, stop)

    def refresh(self) -> int:
        """Frames that can be read now with all their columns; more than at first while a SWMR writer appends."""
        if not self.grows:
            return self.recording.n_frames
        rows = [self._frames, *(self._file[p] for p in (*self._columns.values(), *self._truth.values()))]
        if self._frame_mask is not None:
            rows.append(self._frame_mask)
        try:
            for dataset in rows:
                dataset.refresh()
            return min(dataset.shape[0] for dataset in rows)
        except (OSError, RuntimeError) as error:
            raise InputError(f"{self._path}: cannot be read any more ({error}); is the disk there?") from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()
