"""The stored results of a work folder: named groups of arrays, by kind, each written as a whole or grown by rows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from sorter.core.errors import InputError, MissingResultError, WorkFolderError
from sorter.core.manifest import utc_now
from sorter.io.growing import GrowingResult, rows_that_count
from sorter.io.whole import whole_folder

SCHEMA_VERSION = 1
#: Arrays with one row per frame, by kind of result.
GROWING = {
    "hits": ("frame_id", "photons", "score", "is_hit"),
    "embeddings": ("frame_id", "vectors"),
    "clusters": ("frame_id", "labels", "strength", "assigned"),
    "layouts": ("frame_id", "xy"),
}
#: Rows of a long result that are stored, and read back, together.
_ROWS = 16_384
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


class Results:
    """The results in the work folder ``folder``, as arrays and JSON-ready attributes; what they mean, `WorkFolder` says.

    maker, where it is asked for: the command that the error of a missing result names.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self, kind: str) -> list[str]:
        """Names of the results of ``kind``, oldest first."""
        folder = self._folder / "results.zarr" / kind
        if not folder.is_dir():
            return []
        found = [p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")]
        return [p.name for p in sorted(found, key=lambda p: (p.stat().st_mtime_ns, p.name))]

    def write(self, kind: str, name: str, arrays: dict[str, NDArray], attrs: dict[str, Any]) -> None:
        """Store a result; one of that name is replaced as a whole."""
        with whole_folder(self._path(kind, name)) as partial:
            group = zarr.open_group(partial, mode="w", zarr_format=3)
            for key, values in arrays.items():
                chunks: Any = (_ROWS, *values.shape[1:]) if np.ndim(values) and len(values) > _ROWS else "auto"
                group.create_array(key, data=np.ascontiguousarray(values), chunks=chunks)
            group.attrs["shotsort"] = {"schema_version": SCHEMA_VERSION, "kind": kind, "written": utc_now(), **attrs}

    def read(self, kind: str, name: str, maker: str) -> tuple[dict[str, NDArray], dict[str, Any]]:
        """Arrays and attributes of a result. Raises MissingResultError where it is not there."""
        group, attrs = self.open(kind, name, maker)
        growing, n_valid = rows_that_count(dict(group.attrs))
        arrays = {k: np.asarray(array[:n_valid] if k in growing else array[:]) for k, array in group.arrays()}
        return arrays, attrs

    def open(self, kind: str, name: str, maker: str) -> tuple[zarr.Group, dict[str, Any]]:
        """Group and attributes of a result. Raises MissingResultError where it is not there."""
        path = self._path(kind, name)
        if not path.is_dir():
            have = ", ".join(self.names(kind)) or "none"
            raise MissingResultError(f"{self._folder}: no {kind} '{name}' (there: {have}); run '{maker}' first")
        group = zarr.open_group(path, mode="r")
        attrs: dict[str, Any] = dict(group.attrs["shotsort"])  # type: ignore[arg-type]
        if attrs["schema_version"] > SCHEMA_VERSION:
            raise WorkFolderError(
                f"{path}: written by a newer shotsort (schema {attrs['schema_version']}); update shotsort"
            )
        return group, attrs

    def rows(self, kind: str, name: str, column: str, maker: str) -> tuple[NDArray[np.uint64], StoredRows]:
        """frame_id (N,) of a result, and its array ``column``, whose rows stay on disk until they are asked for."""
        group, attrs = self.open(kind, name, maker)
        n = rows_that_count(dict(group.attrs))[1]
        ids: Any = group["frame_id"]
        return np.asarray(ids[:n]), StoredRows(group[column], ids.shape[0] if n is None else n, attrs["meta"])

    def growing(self, kind: str, name: str) -> GrowingResult:
        """The result ``name`` of ``kind``, to append rows to. Raises MissingResultError where it is not there."""
        if name not in self.names(kind):
            raise MissingResultError(f"{self._folder}: no {kind} '{name}' to append to")
        return GrowingResult(self._path(kind, name), GROWING[kind])

    def _path(self, kind: str, name: str) -> Path:
        return self._folder / "results.zarr" / kind / checked_name(name)


class StoredRows:
    """Rows of an array on disk, (N, ...): a slice of them is read when it is taken. meta: of the result it belongs to."""

    def __init__(self, array: Any, n: int, meta: dict[str, Any]) -> None:
        self._array, self.shape, self.meta = array, (n, *array.shape[1:]), meta

    def __getitem__(self, rows: slice) -> NDArray:
        start, stop, _ = rows.indices(self.shape[0])
        return np.asarray(self._array[start:stop])


def checked_name(name: str) -> str:
    """``name``, if it may name a result or a model. Raises InputError else."""
    if not _NAME.fullmatch(name):
        raise InputError(f"name '{name}': use letters, digits, '.', '_', '+' and '-'")
    return name
