"""The frames of a work folder: one zarr v3 group, sharded, written in blocks.

Layout of the group (attribute ``shotsort`` of the root holds the rest, see `StoreInfo`)::

    frames        (capacity, ny, nx)   only the first n_valid rows count
    frame_id      (capacity,) uint64
    source_file   (capacity,) int32    place in StoreInfo.sources
    source_index  (capacity,) int64    counts from 0 within its source file
    columns/NAME  (capacity, ...)      machine data; text as UTF-8 bytes (capacity, n), attribute ``text``
    truth/NAME    (capacity, ...)      only where the frames were simulated
    mask          (ny, nx) bool        True = bad
    good_fraction (ny, nx) float32     share of recorded pixels behind each stored one that are good
    mask_recorded (ny', nx') uint32    CXI bits at the recorded resolution
    bad_count     (ny', nx') uint32    frames in which a recorded pixel was NaN, infinite or masked
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from sorter.core.errors import InputError, WorkFolderError
from sorter.core.frames import OnDamage, Unit, find_rows, regroup
from sorter.core.geometry import Geometry
from sorter.core.identity import IdIndex
from sorter.io.blocks import Blocks, DamagedBlockError, open_blocks

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Source:
    """One recorded file (or run directory, or stream) that frames came from. path: as it was given; n_frames: stored of it so
    far, the first ones unless ``gaps``; fingerprint: hash of its first frame, by which a moved file is told from another one of
    the same name."""

    path: str
    dataset: str
    run_id: str
    n_frames: int
    size_bytes: int | None = None
    absolute_path: str = ""
    reader: str = ""
    fingerprint: str = ""
    gaps: bool = False


@dataclass(frozen=True)
class StoreInfo:
    """What the root attribute of a frame store holds. complete: False while frames are being added (or that was interrupted)."""

    unit: Unit
    geometry: Geometry
    n_valid: int
    binning: int = 1
    sources: tuple[Source, ...] = ()
    ingest: dict[str, Any] = field(default_factory=dict)
    complete: bool = True
    schema_version: int = SCHEMA_VERSION

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any], where: str) -> StoreInfo:
        """Inverse of `to_dict`; raises WorkFolderError for a newer schema."""
        if values.get("schema_version", 0) > SCHEMA_VERSION:
            raise WorkFolderError(
                f"{where}: written by a newer shotsort (schema {values['schema_version']}, this one reads {SCHEMA_VERSION});"
                " update shotsort"
            )
        values = dict(values)
        values["geometry"] = Geometry.from_dict(values["geometry"])
        values["sources"] = tuple(Source(**s) for s in values["sources"])
        return cls(**values)


#: Attribute of an array that holds text as UTF-8 bytes, (N, longest) uint8, filled up with zeros.
TEXT = "text"


def encode_text(values: NDArray) -> NDArray[np.uint8]:
    """Text (N,) as UTF-8 bytes (N, longest) uint8, filled up with zeros."""
    coded = np.char.encode(np.asarray(values, dtype=str), "utf-8") if len(values) else np.empty(0, "S1")
    width = max(1, coded.dtype.itemsize)
    return np.frombuffer(coded.astype(f"S{width}").tobytes(), np.uint8).reshape(len(values), width)


def decode_text(values: NDArray[np.uint8]) -> NDArray:
    """Inverse of `encode_text`."""
    rows = np.ascontiguousarray(values, np.uint8)
    return np.char.decode(rows.view(f"S{rows.shape[1]}")[:, 0], "utf-8") if len(rows) else np.empty(0, "U1")


def read_info(group: zarr.Group, where: str) -> StoreInfo:
    """The info of a store. Raises WorkFolderError where the group is no frame store or of a newer schema."""
    try:
        raw: dict[str, Any] = dict(group.attrs["shotsort"])  # type: ignore[arg-type]
    except KeyError:
        raise WorkFolderError(f"{where}: not a frame store of shotsort; run 'shotsort ingest' first") from None
    return StoreInfo.from_dict(raw, where)


class _Table(Mapping[str, NDArray]):
    """Columns of a frame store by name. Some hold a kilobyte of text per frame, so none is read that nobody asks for."""

    def __init__(self, store: ZarrFrameStore, table: str) -> None:
        self._store, self._table, self._names = store, table, store.table_names(table)

    def __getitem__(self, name: str) -> NDArray:
        if name not in self._names:
            raise KeyError(name)
        return self._store.table_column(self._table, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class ZarrFrameStore:
    """A `FrameStore` on the zarr group ``path``. Opens lazily per process; safe to pickle and to spawn with.

    Raises WorkFolderError where ``path`` is not a frame store or was written by a newer version.
    """

    def __init__(self, path: str | Path, rows: NDArray[np.int64] | None = None) -> None:
        self.path = Path(path)
        self._rows = rows
        group = self._open()
        self.info = read_info(group, str(self.path))
        self._all_ids = np.asarray(group["frame_id"][: self.info.n_valid], np.uint64)  # type: ignore[index]
        self.frame_ids = self._all_ids if rows is None else self._all_ids[rows]
        frames = group["frames"]
        self.shape_px: tuple[int, int] = frames.shape[1:]  # type: ignore[union-attr,assignment]
        self.dtype: np.dtype = frames.dtype  # type: ignore[union-attr]
        self.unit: Unit = self.info.unit
        self.geometry = self.info.geometry
        self.bad_pixels = np.asarray(group["mask"][:], bool)  # type: ignore[index]

    def _open(self) -> zarr.Group:
        try:
            return zarr.open_group(self.path, mode="r")
        except (FileNotFoundError, KeyError, ValueError):
            raise WorkFolderError(f"{self.path}: no frames here; run 'shotsort ingest' first") from None

    def __len__(self) -> int:
        return len(self.frame_ids)

    @property
    def good_fraction(self) -> NDArray[np.float32]:
        """(ny, nx) float32: share of recorded pixels behind each stored one that are good."""
        return np.asarray(self._open()["good_fraction"][:], np.float32)  # type: ignore[index]

    @property
    def mask_recorded(self) -> NDArray[np.uint32]:
        """CXI mask bits at the recorded resolution."""
        return np.asarray(self._open()["mask_recorded"][:], np.uint32)  # type: ignore[index]

    @property
    def bad_count(self) -> NDArray[np.uint32]:
        """Number of frames in which each recorded pixel was not finite, or bad in the frame's own mask."""
        return np.asarray(self._open()["bad_count"][:], np.uint32)  # type: ignore[index]

    @property
    def columns(self) -> Mapping[str, NDArray]:
        """Per-frame machine data, name -> (N, ...); a column is read when it is asked for."""
        return _Table(self, "columns")

    @property
    def truth(self) -> Mapping[str, NDArray]:
        """Per-frame truth of a simulated run, name -> (N, ...), as of `columns`; empty for measured frames."""
        return _Table(self, "truth")

    def table_names(self, table: str, single: bool = False) -> list[str]:
        """Names in ``columns`` or ``truth``, without reading them; ``single``: those with one value per frame."""
        group = self._open()
        arrays: Any = group[table].arrays() if table in group else ()  # type: ignore[union-attr]
        return sorted(k for k, a in arrays if not single or a.ndim == 1 or a.attrs.get(TEXT) is not None)

    def table_column(self, table: str, name: str) -> NDArray:
        """(N, ...) one of ``columns`` or ``truth``."""
        return self._rows_of_array(f"{table}/{name}")

    @property
    def source_file(self) -> NDArray[np.int32]:
        """(N,) place of each frame's file in ``info.sources``."""
        return self._rows_of_array("source_file").astype(np.int32)

    @property
    def source_index(self) -> NDArray[np.int64]:
        """(N,) place of each frame within its file, from 0."""
        return self._rows_of_array("source_index").astype(np.int64)

    def _rows_of_array(self, name: str) -> NDArray:
        array = self._open()[name]
        values = np.asarray(array[: self.info.n_valid])  # type: ignore[index]
        values = values if self._rows is None else values[self._rows]
        return values if array.attrs.get(TEXT) is None else decode_text(values)

    def select(self, ids: NDArray[np.uint64]) -> ZarrFrameStore:
        """The store of these frames, in this order."""
        find_rows(self.frame_ids, ids)
        return ZarrFrameStore(self.path, find_rows(self._all_ids, ids))

    def read(self, ids: NDArray[np.uint64]) -> NDArray:
        """(len(ids), ny, nx) frames in the order of ``ids``; each block of the file is decoded once."""
        rows = self._index.rows(ids)
        if self._rows is not None or (rows < 0).any():
            find_rows(self.frame_ids, ids)  # says which one is missing
        return self._read_rows(rows)

    @cached_property
    def _index(self) -> IdIndex:
        return IdIndex(self._all_ids)

    def _read_rows(self, rows: NDArray[np.int64]) -> NDArray:
        blocks = self._blocks()
        out = np.empty((len(rows), *self.shape_px), self.dtype)
        number = rows // blocks.size
        for block in np.unique(number):
            here = np.flatnonzero(number == block)
            out[here] = self._decode(blocks, int(block))[rows[here] - block * blocks.size]
        return out

    def _blocks(self) -> Blocks:
        return open_blocks(self._open()["frames"], self.path / "frames")

    def _decode(self, blocks: Blocks, block: int) -> NDArray:
        try:
            return blocks.read(block)
        except DamagedBlockError as error:
            first, last = block * blocks.size, min((block + 1) * blocks.size, self.info.n_valid) - 1
            raise InputError(
                f"frames {first}..{last} cannot be read ({error}); ingest the run again into a new folder"
            ) from error

    def blocks(self, on_damage: OnDamage | None = None) -> Iterator[tuple[NDArray[np.uint64], NDArray]]:
        """Pairs (ids, frames), one per stored block that holds frames of this store, in storage order: the quickest way
        through all frames. Each block is decoded once where the frames are in the order in which they are stored. Blocks that
        cannot be read raise InputError, or are left out and told ``on_damage``."""
        blocks = self._blocks()
        rows = np.arange(len(self._all_ids)) if self._rows is None else self._rows
        number = rows // blocks.size
        starts = np.flatnonzero(np.diff(number, prepend=-1))
        for start, stop in zip(starts, [*starts[1:], len(rows)]):
            try:
                frames = self._decode(blocks, int(number[start]))
            except InputError as error:
                if on_damage is None:
                    raise
                on_damage(self.frame_ids[start:stop], str(error))
                continue
            within = rows[start:stop] - number[start] * blocks.size
            run = bool((np.diff(within) == 1).all())
            yield self.frame_ids[start:stop], frames[within[0] : within[-1] + 1] if run else frames[within]

    def chunks(self, n: int) -> Iterator[tuple[NDArray[np.uint64], NDArray]]:
        """Pairs (ids, frames) of at most ``n`` frames each, in storage order; all but the last have ``n``."""
        if self._rows is not None and (np.diff(self._rows) < 0).any():
            for start in range(0, len(self._rows), n):
                yield self.frame_ids[start : start + n], self._read_rows(self._rows[start : start + n])
            return
        yield from regroup(self.blocks(), n)
