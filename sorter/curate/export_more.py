"""Chosen frames for further programs: zarr, Dragonfly's photon files and blacklist, an index list, a table."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import zarr
from numpy.typing import NDArray

from sorter.core.errors import InputError
from sorter.core.frames import find_rows
from sorter.core.subset import Subset
from sorter.curate.export import FrameOrigin
from sorter.curate.recorded import FrameBlocks
from sorter.io.masks import bad_pixels
from sorter.io.whole import whole_file, whole_folder

_EMC_HEADER_BYTES = 1024
_SPARSE = 0


def write_zarr(path: Path, subset: Subset, frames: FrameBlocks, origin: FrameOrigin, facts: dict[str, Any]) -> None:
    """Write a zarr v3 group: frames (N, ny, nx), frame_id, source_index, mask (CXI bits); geometry, source files, labels and
    provenance in its attributes."""
    n = len(subset.frame_id)
    with whole_folder(path) as partial:
        group = zarr.open_group(partial, mode="w", zarr_format=3)
        stack = group.create_array(
            "frames", shape=(n, *frames.shape_px), chunks=(min(64, n), *frames.shape_px), dtype=frames.dtype
        )
        start = 0
        for block in frames.blocks():
            stack[start : start + len(block)] = block
            start += len(block)
        for name, values in {
            "frame_id": subset.frame_id,
            "source_index": origin.index,
            "mask": frames.mask_bits,
        }.items():
            group.create_array(name, data=np.asarray(values))
        texts = {"source_file": origin.file.tolist(), "labels": origin.labels.tolist()}
        group.attrs["shotsort_export"] = {"geometry": frames.geometry.to_dict(), "unit": frames.unit, **texts, **facts}


def write_emc(path: Path, subset: Subset, frames: FrameBlocks, origin: FrameOrigin, facts: dict[str, Any]) -> None:
    """Write photons as a Dragonfly ``.emc`` file: a header of 1024 bytes (int32: number of frames, of pixels, 0 for sparse),
    then per frame how many pixels have one photon and how many have more, and their places and counts, all int32.

    Raises InputError for frames that are no photon counts. Bad pixels hold none.
    """
    sparse = list(_photons(frames, path))
    counts = [np.array([len(part[k]) for part in sparse], "<i4") for k in (0, 1)]
    header = np.zeros(_EMC_HEADER_BYTES // 4, "<i4")
    header[:3] = len(sparse), int(np.prod(frames.shape_px)), _SPARSE
    columns = [np.concatenate([part[k] for part in sparse]) for k in (0, 1, 2)]
    with whole_file(path) as partial, open(partial, "wb") as file:
        for array in (header, *counts, *columns):
            file.write(np.asarray(array, "<i4").tobytes())


def write_emc_h5(path: Path, subset: Subset, frames: FrameBlocks, origin: FrameOrigin, facts: dict[str, Any]) -> None:
    """Write photons as a Dragonfly HDF5 file: num_pix, and place_ones, place_multi, count_multi of each frame. Raises as
    `write_emc` does."""
    n = len(subset.frame_id)
    with whole_file(path) as partial, h5py.File(partial, "w") as file:
        file["num_pix"] = np.array([int(np.prod(frames.shape_px))])
        kind = h5py.vlen_dtype(np.int32)
        arrays = [
            file.create_dataset(name, (n,), kind, chunks=(1,)) for name in ("place_ones", "place_multi", "count_multi")
        ]
        for row, part in enumerate(_photons(frames, path)):
            for array, values in zip(arrays, part):
                array[row] = values
        file["id"] = subset.frame_id
        file["shotsort"] = json.dumps(facts)


def _photons(frames: FrameBlocks, path: Path) -> Iterator[tuple[NDArray, NDArray, NDArray]]:
    """Per frame: places of single photons, places of several, and how many there."""
    if frames.unit != "photon":
        raise InputError(
            f"{path}: Dragonfly reads photon counts and these frames hold {frames.unit}; ingest with --gain"
        )
    bad = bad_pixels(frames.mask_bits)
    for block in frames.blocks():
        if not np.issubdtype(block.dtype, np.integer) and not (np.nan_to_num(block) % 1 == 0).all():
            raise InputError(
                f"{path}: Dragonfly reads whole photons and these frames hold fractions; ingest with --gain"
            )
        for frame in np.where(bad, 0, np.nan_to_num(block)).astype(np.int64).reshape(len(block), -1):
            many = np.flatnonzero(frame > 1)
            yield np.flatnonzero(frame == 1).astype("<i4"), many.astype("<i4"), frame[many].astype("<i4")


def write_blacklist(path: Path, ordered_ids: NDArray[np.uint64], subset: Subset) -> None:
    """Write a Dragonfly blacklist for a file of all frames in the order of the run: a line per frame, 0 for the chosen ones,
    1 for those to leave out."""
    drop = np.ones(len(ordered_ids), np.uint8)
    drop[find_rows(ordered_ids, subset.frame_id)] = 0
    with whole_file(path) as partial:
        partial.write_bytes(b"".join(b"%d\n" % flag for flag in drop.tolist()))


def write_index(path: Path, ordered_ids: NDArray[np.uint64], subset: Subset, facts: dict[str, Any]) -> None:
    """Write places in the run (N,) int64, from 0, as ``.npy``, and the frame ids and provenance as ``path``.json."""
    with whole_file(path) as partial, open(partial, "wb") as file:
        np.save(file, np.sort(find_rows(ordered_ids, subset.frame_id)).astype(np.int64))
    with whole_file(path.with_name(path.name + ".json")) as beside:
        beside.write_text(json.dumps(facts | {"frame_id": subset.frame_id.tolist()}) + "\n")


def write_rows(path: Path, columns: tuple[str, ...], rows: list[list[str]]) -> None:
    """Write a table as ``.csv`` or ``.parquet``; in the latter numbers are numbers and what is not known is null.

    Raises InputError where pyarrow is needed and missing.
    """
    if path.suffix.lower() == ".csv":
        with whole_file(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(rows)
        return
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise InputError(
            f"{path}: writing Parquet needs pyarrow; pip install 'shotsort[parquet]', or give a .csv"
        ) from None
    values = {name: [row[k] for row in rows] for k, name in enumerate(columns)}
    with whole_file(path) as partial:
        pq.write_table(pa.table({name: _typed(name, column) for name, column in values.items()}), partial)


#: Type of each column of a table that is no text.
_TYPES = {"frame_id": int, "source_index": int, "photons": float, "cluster": int, "strength": float, "assigned_cluster": int,
          "x": float, "y": float}  # fmt: skip


def _typed(name: str, column: list[str]) -> list[Any]:
    if name == "hit":
        return [value == "true" for value in column]
    kind = _TYPES.get(name, str)
    return [None if value == "" and kind is not str else kind(value) for value in column]
