"""Appends frames to the frame store of a work folder.

Shards are written whole, each file under a temporary name that is then renamed (zarr's local store). Rows count only from
the moment that ``n_valid`` of the root attribute says so, and that is written last: a process that is killed leaves the
rows of its last commit, and the next one goes on behind them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec

from sorter.core.errors import InputError
from sorter.io.plain import Attributes, PlainRows, create_plain, is_plain
from sorter.io.shards import ShardWriter
from sorter.io.whole import clear_leftovers, whole_folder, writing
from sorter.io.zarr_store import TEXT, Source, StoreInfo, encode_text, read_info

CHUNK_BYTES = 2 << 20
CHUNKS_PER_SHARD = 16
SHARDS_PER_COMMIT = 8
_TABLE_ROWS = 65536
_TEXT_BYTES = 64


@dataclass(frozen=True)
class FrameBlock:
    """Frames of one source: frames (n, ny, nx); frame_id (n,); place of the source; index of the first frame in it; columns and
    truth: name -> (n, ...) numbers or text."""

    frames: NDArray
    frame_id: NDArray[np.uint64]
    source: int
    first_index: int
    columns: Mapping[str, NDArray]
    truth: Mapping[str, NDArray]


def block_frames(shape_px: tuple[int, int], dtype: np.dtype) -> int:
    """Frames per chunk: a power of two that makes chunks of about 2 MB, at most 1024."""
    fit = CHUNK_BYTES // max(1, int(np.prod(shape_px)) * np.dtype(dtype).itemsize)
    return int(2 ** np.floor(np.log2(min(1024, max(1, fit)))))


def create_store(path: Path, info: StoreInfo, dtype: np.dtype, arrays: Mapping[str, NDArray]) -> None:
    """A frame store without frames at ``path``; ``arrays``: mask, good_fraction, mask_recorded. Raises WorkFolderError."""
    ny, nx = info.geometry.shape_px
    n = block_frames((ny, nx), dtype)
    with whole_folder(path) as partial:
        group = zarr.open_group(partial, mode="w", zarr_format=3)
        group.create_array(
            "frames", shape=(0, ny, nx), dtype=dtype, chunks=(n, ny, nx), shards=(n * CHUNKS_PER_SHARD, ny, nx),
            compressors=(BloscCodec(cname="lz4", clevel=1, shuffle="bitshuffle"), Crc32cCodec()),
        )  # fmt: skip
        for name, kind in (("frame_id", np.uint64), ("source_file", np.int32), ("source_index", np.int64)):
            create_plain(group, name, (0,), np.dtype(kind), _TABLE_ROWS)
        for name in ("columns", "truth"):
            group.create_group(name)
        for name, values in arrays.items():
            group.create_array(name, data=values)
        group.attrs["shotsort"] = info.to_dict()


class FrameWriter:
    """One writer of the store at ``path`` (the work folder's lock sees to that). Raises WorkFolderError where it cannot write.

    by_rows: frames come a few at a time, many times a second: columns of numbers are laid out plain, so that this is cheap.
    """

    def __init__(self, path: Path, by_rows: bool = False) -> None:
        self.path, self._by_rows = path, by_rows
        clear_leftovers(path)
        self._group = zarr.open_group(path, mode="r+")
        self.info = read_info(self._group, str(path))
        frames: Any = self._group["frames"]
        self._frames, self._shard = frames, int(frames.shards[0])
        self._n = self.info.n_valid
        self._shards = ShardWriter(path / "frames", frames, self._n)
        self._attributes = Attributes(path)
        self._arrays: dict[str, Any] = {}
        self._plain: dict[str, PlainRows] = {}
        self._open_table()
        self._sources = list(self.info.sources)
        self._places = {(s.run_id, s.dataset): place for place, s in enumerate(self._sources)}
        self._table: list[FrameBlock] = []

    def _open_table(self) -> None:
        """What has one row per frame, besides the frames themselves; opened once, which costs more than a write."""
        found: dict[str, Any] = {name: self._group[name] for name in ("frame_id", "source_file", "source_index")}
        for kind in ("columns", "truth"):
            found |= {f"{kind}/{name}": array for name, array in self._group[kind].arrays()}  # type: ignore[union-attr]
        with writing(self.path):
            for name, array in found.items():
                if self._by_rows and not is_plain(array) and array.attrs.get(TEXT) is None:
                    array = self._lay_out_plain(name, array)
                self._know(name, array)
                if name in self._plain:
                    self._plain[name].clear(self._n)

    def _know(self, name: str, array: Any) -> None:
        self._arrays[name] = array
        if is_plain(array):
            self._plain[name] = PlainRows(self.path / name, array)

    def _lay_out_plain(self, name: str, array: Any) -> Any:
        with whole_folder(self.path / name) as partial:
            group = zarr.open_group(partial.parent, mode="r+")
            plain = create_plain(group, partial.name, array.shape, array.dtype, _TABLE_ROWS, array.fill_value)
            plain[:] = array[:]
            plain.attrs.update(dict(array.attrs))
        return self._group[name]

    @property
    def n_frames(self) -> int:
        """Frames appended so far, committed or not."""
        return self._n

    @property
    def capacity(self) -> int:
        """Frames for which there is room."""
        return int(self._frames.shape[0])

    @property
    def sources(self) -> tuple[Source, ...]:
        """Sources with the number of frames appended of each."""
        return tuple(self._sources)

    def source(self, source: Source) -> int:
        """Place of a source, new or known by (run_id, dataset); a known one that has moved gets its present path."""
        place = self._places.setdefault((source.run_id, source.dataset), len(self._sources))
        if place == len(self._sources):
            self._sources.append(replace(source, n_frames=0))
        else:
            known = self._sources[place]
            self._sources[place] = replace(source, n_frames=known.n_frames, gaps=known.gaps)
        return place

    def stored_indices(self, place: int) -> NDArray[np.int64]:
        """Indices of the committed frames of a source."""
        n = self.info.n_valid
        file, index = (np.asarray(self._arrays[name][:n]) for name in ("source_file", "source_index"))
        return index[file == place]

    def column_fits(self, name: str, values: NDArray) -> bool:
        """Whether rows of a column are of the kind of those before."""
        known = self._arrays.get(f"columns/{name}")
        if known is None:
            return True
        if values.dtype.kind in "US":
            return known.attrs.get(TEXT) is not None
        return known.attrs.get(TEXT) is None and known.shape[1:] == values.shape[1:]

    def missing(self, place: int, n_frames: int) -> list[tuple[int, int]]:
        """Ranges (start, stop) of the first ``n_frames`` frames of a source that are not committed yet."""
        known = self._sources[place]
        if not known.gaps:
            return [(known.n_frames, n_frames)] if known.n_frames < n_frames else []
        stored = self.stored_indices(place)
        there = np.zeros(n_frames + 2, bool)
        there[stored[stored < n_frames] + 1] = True
        there[[0, -1]] = True
        edges = np.flatnonzero(np.diff(there.astype(np.int8)))
        return list(zip(edges[::2].tolist(), edges[1::2].tolist()))

    def reserve(self, n: int) -> None:
        """Make room for ``n`` more frames."""
        capacity = max(self._n + n, self._frames.shape[0])
        with writing(self.path):
            self._frames.resize((capacity, *self._frames.shape[1:]))

    def append(self, block: FrameBlock, gaps: bool = False) -> None:
        """Add frames; they count from the next `commit` on, which comes by itself every few shards.

        gaps: whether frames of the source may be missing before these.
        """
        known = self._sources[block.source]
        if block.first_index != known.n_frames and not gaps:
            raise InputError(
                f"{known.path}: frame {block.first_index} comes after {known.n_frames} frames of this source"
            )
        jumps = known.gaps or block.first_index != known.n_frames
        self._sources[block.source] = replace(known, n_frames=known.n_frames + len(block.frames), gaps=jumps)
        self._shards.append(np.asarray(block.frames, self._frames.dtype))
        self._table.append(
            replace(block, frames=np.empty((len(block.frames), 0, 0)))
        )  # the pictures themselves are let go
        self._n += len(block.frames)
        if self._n - self.info.n_valid >= SHARDS_PER_COMMIT * self._shard:
            self.commit()

    def commit(self, **changes: Any) -> None:
        """Write everything that is held and let it count; ``changes`` go into the store's `StoreInfo`."""
        self._shards.flush()
        with writing(self.path):
            self._write_table()
        self.info = replace(self.info, n_valid=self._n, sources=tuple(self._sources), **changes)
        self._attributes["shotsort"] = self.info.to_dict()

    def write_arrays(self, arrays: Mapping[str, NDArray]) -> None:
        """Replace mask, good_fraction or mask_recorded."""
        with writing(self.path):
            for name, values in arrays.items():
                array: Any = self._group[name]
                array[:] = values

    def _write_table(self) -> None:
        if not self._table:
            return
        first = self.info.n_valid
        counts = [len(b.frame_id) for b in self._table]
        self._rows("frame_id", first, np.concatenate([b.frame_id for b in self._table]))
        self._rows("source_file", first, np.repeat([b.source for b in self._table], counts).astype(np.int32))
        index = [np.arange(b.first_index, b.first_index + n, dtype=np.int64) for b, n in zip(self._table, counts)]
        self._rows("source_index", first, np.concatenate(index))
        for kind in ("columns", "truth"):
            start = first
            for same, n in _alike([getattr(block, kind) for block in self._table], counts):
                for name in same[0]:
                    self._rows(f"{kind}/{name}", start, np.concatenate([np.asarray(table[name]) for table in same]))
                start += n
        for array in self._arrays.values():
            if array.shape[0] < self._n:  # a source without this column: fill value
                array.resize((self._n, *array.shape[1:]))
        self._table = []

    def _rows(self, name: str, first: int, values: NDArray) -> None:
        """Write rows from ``first`` on; the array grows, and is made where there is none."""
        text = values.dtype.kind in "US"
        values = encode_text(values) if text else values
        if name not in self._arrays:
            self._make(name, values, text)
        array = self._arrays[name]
        if text != (array.attrs.get(TEXT) is not None) or values.ndim != array.ndim:
            raise InputError(
                f"column {name}: is of another kind than in the files ingested before; give a new work folder"
            )
        width = np.maximum(values.shape[1:], array.shape[1:]) if text else array.shape[1:]
        if not text and values.shape[1:] != array.shape[1:]:
            raise InputError(
                f"column {name}: rows of {values.shape[1:]}, before {array.shape[1:]}; give a new work folder"
            )
        room = max(array.shape[0], first + len(values), self._frames.shape[0])  # one resize for all that is reserved
        shape = (room, *(int(w) for w in width))
        if array.shape != shape:
            array.resize(shape)
        rows = slice(first, first + len(values))
        if text:
            padded = np.zeros((len(values), array.shape[1]), np.uint8)
            padded[:, : values.shape[1]] = values
            values = padded
        if name in self._plain:
            self._plain[name].write(first, values)
        else:
            array[rows] = values

    def _make(self, name: str, values: NDArray, text: bool) -> None:
        shape = (0, *values.shape[1:])
        fill = np.nan if values.dtype.kind == "f" else 0
        if self._by_rows and not text:
            self._know(name, create_plain(self._group, name, shape, values.dtype, _TABLE_ROWS, fill))
            return
        chunks = (_TABLE_ROWS, _TEXT_BYTES) if text else (_TABLE_ROWS, *(max(1, n) for n in values.shape[1:]))
        array = self._group.create_array(name, shape=shape, dtype=values.dtype, chunks=chunks, fill_value=fill)
        if text:
            array.attrs[TEXT] = "utf-8"
        self._know(name, array)


def _alike(tables: list[Mapping[str, NDArray]], counts: list[int]) -> list[tuple[list[Mapping[str, NDArray]], int]]:
    """Neighbouring tables with the same columns of the same kind, and the rows of each group: one write instead of many."""

    def kinds(table: Mapping[str, NDArray]) -> dict[str, tuple]:
        return {name: (values.dtype.kind in "US", values.shape[1:]) for name, values in table.items()}

    groups: list[tuple[list[Mapping[str, NDArray]], int]] = []
    for table, n in zip(tables, counts):
        if groups and kinds(groups[-1][0][0]) == kinds(table):
            groups[-1] = ([*groups[-1][0], table], groups[-1][1] + n)
        else:
            groups.append(([table], n))
    return groups
