"""Frames in somebody's zarr: a group with one stack (N, ny, nx), a bare array, a simulated run, or shotsort's own frame store."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.errors import ZarrUserWarning

from sorter.core.errors import InputError
from sorter.core.frames import UNITS, Unit
from sorter.core.geometry import Geometry
from sorter.io.hdf5_tree import natural_key
from sorter.io.masks import to_cxi_bits
from sorter.io.recording import MAX_COLUMN_VALUES, Reader, ReadOptions, Recording, check_frames, require_file
from sorter.io.zarr_store import TEXT, decode_text

_STORE_TABLES = ("frame_id", "source_file", "source_index")
_COUNTER = "n_valid"
# a file that its writer is about to rename is nothing to tell a person of
warnings.filterwarnings("ignore", r"Object at .*partial", ZarrUserWarning)


class ZarrReader(Reader):
    """One stack of frames in a zarr group (or a zarr array by itself), format 2 or 3.

    An attribute ``n_valid`` says how many rows count; a writer that appends sets it after the data. has_counter: whether there
    is one.
    """

    name: ClassVar[str] = "zarr"
    grows = True

    def __init__(self, path: str | Path, options: ReadOptions) -> None:
        self._path = path
        found = require_file(path)
        try:
            root = zarr.open(str(found), mode="r")
            members = _arrays(root)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}: cannot be read as zarr ({error}); give the folder that holds the group"
            ) from error
        name = self._choose(members, options.dataset)
        self._frames: Any = members[name]
        attrs: dict[str, Any] = dict(root.attrs)
        own = attrs.get("shotsort", {})
        n = self._available(attrs)
        self.has_counter = bool(own) or _COUNTER in attrs
        shape = tuple(self._frames.shape)
        check_frames(path, name, (n, *shape[1:]) if len(shape) == 3 else shape)
        rows = {k: a for k, a in members.items() if k not in (name, *_STORE_TABLES) and self._is_column(a, shape[0])}
        self._truth = {k.removeprefix("truth/"): a for k, a in rows.items() if k.startswith("truth/")}
        self._columns = {k.rsplit("/", 1)[-1]: a for k, a in rows.items() if not k.startswith("truth/")}
        mask = members.get("cxi_mask", members.get("mask"))
        bits = None
        if mask is not None and mask.shape == shape[1:]:
            bits = to_cxi_bits(np.asarray(mask[:]), options.mask_convention or "cxi")
        geometry = own.get("geometry", attrs.get("geometry"))
        self.recording = Recording(
            str(path), name, str(attrs.get("run_id", found.name)), self.name, n, np.dtype(self._frames.dtype),
            Geometry((shape[1], shape[2])) if geometry is None else Geometry.from_dict(dict(geometry)),
            _unit(own.get("unit", attrs.get("unit", self._frames.attrs.get("unit")))), bits,
        )  # fmt: skip

    def _available(self, attrs: dict[str, Any]) -> int:
        """Frames that count: as many as a counter says, else all rows."""
        own = attrs.get("shotsort", attrs)
        return min(int(own.get(_COUNTER, self._frames.shape[0])), int(self._frames.shape[0]))

    def refresh(self) -> int:
        """Frames that can be read now, with all their columns."""
        try:
            root = zarr.open(str(self._path), mode="r")
            members = _arrays(root)
            self._frames = members[self.recording.dataset]
            self._columns = {name: members[array.path] for name, array in self._columns.items()}
            self._truth = {name: members[array.path] for name, array in self._truth.items()}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{self._path}: cannot be read any more ({error}); is the disk there?") from error
        rows = [int(a.shape[0]) for a in (*self._columns.values(), *self._truth.values())]
        return min([self._available(dict(root.attrs)), *rows])

    def _choose(self, members: dict[str, Any], wanted: str | None) -> str:
        there = (
            ", ".join(f"{k} {'x'.join(map(str, a.shape))} {a.dtype}" for k, a in list(members.items())[:12])
            or "nothing"
        )
        stacks = [k for k, a in members.items() if a.ndim == 3 and a.dtype.kind in "uif" and min(a.shape[1:]) >= 8]
        names = [k for k in members if k == wanted.strip("/")] if wanted is not None else stacks
        volumes = [k for k, a in members.items() if a.ndim == 4 and not k.startswith("truth/")]
        if not names and volumes:
            raise InputError(
                f"{self._path}: {volumes[0]} holds volumes, not frames; give 2-D frames (there are: {there})"
            )
        if len(names) != 1:
            what = "no 3-D array of frames" if not names else f"{len(names)} arrays could be the frames"
            raise InputError(f"{self._path}: {what}; there are: {there}; choose with --dataset")
        return names[0]

    @staticmethod
    def _is_column(array: Any, n: int) -> bool:
        if not array.shape or array.shape[0] != n:
            return False
        return array.attrs.get(TEXT) is not None or int(np.prod(array.shape[1:])) <= MAX_COLUMN_VALUES

    def read(self, start: int, stop: int) -> NDArray:
        """(stop - start, ny, nx) frames."""
        try:
            return np.asarray(self._frames[start:stop])
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(
                f"{self._path}: frames {start}..{stop - 1} cannot be read ({error}); copy it again"
            ) from error

    def columns(self, start: int, stop: int) -> dict[str, NDArray]:
        """Arrays with one row per frame, outside ``truth``."""
        return {name: _rows(array, start, stop) for name, array in self._columns.items()}

    def truth(self, start: int, stop: int) -> dict[str, NDArray]:
        """Arrays of the group ``truth``."""
        return {name: _rows(array, start, stop) for name, array in self._truth.items()}


def _rows(array: Any, start: int, stop: int) -> NDArray:
    values = np.asarray(array[start:stop])
    if array.attrs.get(TEXT) is not None:
        return decode_text(values)
    return values.astype(str) if values.dtype.kind in "OUTS" else values


def _unit(value: Any) -> Unit | None:
    return value if value in UNITS else None


def _arrays(node: Any) -> dict[str, Any]:
    """Path -> array of all arrays below a zarr node, natural order; an array by itself is called ``array``."""
    if isinstance(node, zarr.Array):
        return {"array": node}
    found = {path: item for path, item in node.members(max_depth=None) if isinstance(item, zarr.Array)}
    return {path: found[path] for path in sorted(found, key=natural_key)}
