"""Frames of a work folder as blocks: at the recorded resolution from the source files, or as the work folder holds them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sorter.core.errors import InputError
from sorter.core.frames import Unit, find_rows
from sorter.core.geometry import Geometry
from sorter.io.adapters import adapter
from sorter.io.masks import BAD
from sorter.io.recording import Reader, ReadOptions
from sorter.io.zarr_store import Source, ZarrFrameStore

log = logging.getLogger(__name__)

BLOCK_FRAMES = 32


@dataclass(frozen=True)
class FrameBlocks:
    """Frames to be written, never all in memory: dtype and (ny, nx) of a frame; unit of its values; CXI mask bits (ny, nx);
    geometry; binning: recorded pixels per stored one and axis; blocks: makes an iterator of (n, ny, nx) arrays, in order."""

    dtype: np.dtype
    shape_px: tuple[int, int]
    unit: Unit
    mask_bits: NDArray[np.uint32]
    geometry: Geometry
    binning: int
    blocks: Callable[[], Iterator[NDArray]]


def binned_frames(store: ZarrFrameStore, ids: NDArray[np.uint64]) -> FrameBlocks:
    """The frames ``ids`` as the work folder holds them."""

    def blocks() -> Iterator[NDArray]:
        for start in range(0, len(ids), BLOCK_FRAMES):
            yield store.read(ids[start : start + BLOCK_FRAMES])

    bits = np.where(store.bad_pixels, BAD, 0).astype(np.uint32)
    return FrameBlocks(store.dtype, store.shape_px, store.unit, bits, store.geometry, store.info.binning, blocks)


def recorded_frames(store: ZarrFrameStore, ids: NDArray[np.uint64], folder: Path) -> FrameBlocks:
    """The frames ``ids`` at the recorded resolution, read from the files they came from.

    A file is looked for where it was, by the name that was given, and beside the work ``folder``. Raises InputError that
    names a file that has gone, or one whose frames no longer have the shape that was ingested.
    """
    rows = find_rows(store.frame_ids, ids)
    file, index = store.source_file[rows], store.source_index[rows]
    paths = {int(f): find_source(store.info.sources[f], folder) for f in np.unique(file)}
    dtypes = []
    for number, path in paths.items():
        with _open(store.info.sources[number], path) as reader:
            recording = reader.recording
            dtypes.append(recording.dtype)
            last = int(index[file == number].max())
            if recording.shape_px != store.mask_recorded.shape or recording.n_frames <= last:
                raise InputError(
                    f"{path}: changed since it was ingested ({recording.n_frames} frames of {recording.shape_px});"
                    " bring back the file, or use --binned"
                )

    def blocks() -> Iterator[NDArray]:
        for start, stop in _same_file(file):
            with _open(store.info.sources[file[start]], paths[int(file[start])]) as reader:
                for first in range(start, stop, BLOCK_FRAMES):
                    yield read_rows(reader, index[first : min(first + BLOCK_FRAMES, stop)])

    geometry = recorded_geometry(store.geometry, store.info.binning, store.mask_recorded.shape)
    calibration = store.info.ingest.get("config", {})
    raw = any(calibration.get(step) is not None for step in ("dark", "gain", "common_mode"))
    unit: Unit = "adu" if raw else store.unit
    return FrameBlocks(np.result_type(*dtypes), geometry.shape_px, unit, store.mask_recorded, geometry, 1, blocks)


def find_source(source: Source, folder: Path) -> Path:
    """Where the file ``source`` is now. Raises InputError that names it where it is gone."""
    candidates = [Path(p) for p in (source.absolute_path, source.path) if p]
    candidates.append(folder.resolve().parent / Path(source.path).name)
    for path in candidates:
        if path.exists():
            return path
    raise InputError(
        f"{source.path}: the recorded file has gone; bring it back, or use --binned for the frames that the work folder holds"
    )


def recorded_geometry(geometry: Geometry, factor: int, shape_px: tuple[int, int]) -> Geometry:
    """The geometry at the recorded resolution ``shape_px`` of one binned by ``factor``; the inverse of `Geometry.binned`."""
    center, pixel, error = geometry.beam_center_px, geometry.pixel_size_m, geometry.beam_center_error_px
    return replace(
        geometry,
        shape_px=shape_px,
        pixel_size_m=None if pixel is None else pixel / factor,
        beam_center_px=None if center is None else ((center[0] + 0.5) * factor - 0.5, (center[1] + 0.5) * factor - 0.5),
        beam_center_error_px=None if error is None else error * factor,
    )


def read_rows(reader: Reader, index: NDArray[np.int64]) -> NDArray:
    """Frames ``index`` of an open file, in that order; neighbours are read together."""
    breaks = np.flatnonzero(np.diff(index) != 1) + 1
    runs = np.split(index, breaks)
    return np.concatenate([reader.read(int(run[0]), int(run[-1]) + 1) for run in runs])


def _same_file(file: NDArray) -> list[tuple[int, int]]:
    """Ranges (start, stop) of rows that come from one file."""
    edges = [0, *(np.flatnonzero(np.diff(file)) + 1).tolist(), len(file)]
    return list(pairwise(edges))


def _open(source: Source, path: Path) -> Reader:
    return adapter(source.reader)(path, ReadOptions(dataset=source.dataset or None))
