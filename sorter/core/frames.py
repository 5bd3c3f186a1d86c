"""A store of frames, as every stage sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal, Protocol, get_args, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sorter.core.errors import InputError
from sorter.core.geometry import Geometry
from sorter.core.identity import rows_of

Unit = Literal["adu", "photon", "arbitrary"]
UNITS: tuple[str, ...] = get_args(Unit)
_BLOCK = 64

#: Called with the ids of frames that cannot be read, and why.
OnDamage = Callable[[NDArray[np.uint64], str], None]


@runtime_checkable
class FrameStore(Protocol):
    """Frames with their ids, mask, geometry and one row of machine data each. A selection is a new store.

    frame_ids: (N,) uint64, storage order. shape_px: (ny, nx). bad_pixels: (ny, nx) bool. columns: name -> (N, ...) array.
    Photon statistics (binomial thinning, Poisson likelihoods) may be used on unit "photon" only.
    """

    @property
    def frame_ids(self) -> NDArray[np.uint64]: ...
    @property
    def shape_px(self) -> tuple[int, int]: ...
    @property
    def dtype(self) -> np.dtype: ...
    @property
    def unit(self) -> Unit: ...
    @property
    def geometry(self) -> Geometry: ...
    @property
    def bad_pixels(self) -> NDArray[np.bool_]: ...
    @property
    def columns(self) -> Mapping[str, NDArray]: ...

    def select(self, ids: NDArray[np.uint64]) -> FrameStore:
        """The store of these frames, in this order. Raises InputError for an id that is not there."""
        ...

    def read(self, ids: NDArray[np.uint64]) -> NDArray:
        """(len(ids), ny, nx) frames in the order of ``ids``. Raises InputError for an id that is not there."""
        ...

    def chunks(self, n: int) -> Iterator[tuple[NDArray[np.uint64], NDArray]]:
        """Pairs (ids, frames) of at most ``n`` frames each, in storage order; all but the last have ``n``."""
        ...

    def blocks(self, on_damage: OnDamage | None = None) -> Iterator[tuple[NDArray[np.uint64], NDArray]]:
        """Pairs (ids, frames) in storage order, of as many frames each as are read most quickly. Frames that cannot be read
        raise InputError, or are left out and told ``on_damage``."""
        ...


def find_rows(ids: NDArray[np.uint64], wanted: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Rows of ``wanted`` in ``ids``; raises InputError that names the first frame that is not there."""
    rows = rows_of(ids, wanted)
    if (rows < 0).any():
        missing = np.asarray(wanted)[rows < 0]
        raise InputError(f"frame {int(missing[0])}: not in this store ({len(missing)} of {len(wanted)} are missing)")
    return rows


def regroup(
    pairs: Iterable[tuple[NDArray[np.uint64], NDArray]], n: int
) -> Iterator[tuple[NDArray[np.uint64], NDArray]]:
    """The rows of ``pairs`` (ids, values) in the same order, ``n`` to a pair; the last has what is left."""
    held: list[tuple[NDArray[np.uint64], NDArray]] = []
    count = 0
    for ids, values in pairs:
        while count + len(ids) >= n:
            cut = n - count
            yield _joined([*held, (ids[:cut], values[:cut])])
            ids, values, held, count = ids[cut:], values[cut:], [], 0
        if len(ids):
            held.append((ids, values))
            count += len(ids)
    if held:
        yield _joined(held)


def _joined(pairs: list[tuple[NDArray[np.uint64], NDArray]]) -> tuple[NDArray[np.uint64], NDArray]:
    if len(pairs) == 1:
        return pairs[0]
    return np.concatenate([ids for ids, _ in pairs]), np.concatenate([values for _, values in pairs])


class ArrayFrameStore:
    """Frames in memory: a notebook's own arrays, or a small selection.

    frames: (N, ny, nx). frame_ids default to 0..N-1, bad_pixels to none, geometry to an unknown one of that shape.
    """

    def __init__(
        self,
        frames: NDArray,
        frame_ids: NDArray[np.uint64] | None = None,
        bad_pixels: NDArray[np.bool_] | None = None,
        geometry: Geometry | None = None,
        unit: Unit = "photon",
        columns: Mapping[str, NDArray] | None = None,
    ) -> None:
        if frames.ndim != 3:
            raise InputError(f"frames of shape {frames.shape}: need three axes (N, ny, nx)")
        n, *shape = frames.shape
        self._frames = frames
        self.frame_ids = np.arange(n, dtype=np.uint64) if frame_ids is None else np.asarray(frame_ids, np.uint64)
        self.shape_px = (int(shape[0]), int(shape[1]))
        self.dtype = frames.dtype
        self.unit: Unit = unit
        self.bad_pixels = np.zeros(self.shape_px, bool) if bad_pixels is None else np.asarray(bad_pixels, bool)
        self.geometry = Geometry(self.shape_px) if geometry is None else geometry
        self.columns = dict(columns or {})
        if len(np.unique(self.frame_ids)) != n:
            raise InputError(f"frame_ids: need {n} different ones, one per frame")
        if self.bad_pixels.shape != self.shape_px:
            raise InputError(f"mask of shape {self.bad_pixels.shape}: frames are {self.shape_px}")

    def select(self, ids: NDArray[np.uint64]) -> ArrayFrameStore:
        """The store of these frames, in this order."""
        rows = find_rows(self.frame_ids, ids)
        columns = {name: values[rows] for name, values in self.columns.items()}
        return ArrayFrameStore(
            self._frames[rows], self.frame_ids[rows], self.bad_pixels, self.geometry, self.unit, columns
        )

    def read(self, ids: NDArray[np.uint64]) -> NDArray:
        """(len(ids), ny, nx) frames in the order of ``ids``."""
        return self._frames[find_rows(self.frame_ids, ids)]

    def chunks(self, n: int) -> Iterator[tuple[NDArray[np.uint64], NDArray]]:
        """Pairs (ids, frames) of at most ``n`` frames each, in storage order."""
        for start in range(0, len(self.frame_ids), n):
            yield self.frame_ids[start : start + n], self._frames[start : start + n]

    def blocks(self, on_damage: OnDamage | None = None) -> Iterator[tuple[NDArray[np.uint64], NDArray]]:
        """Pairs (ids, frames) in storage order."""
        return self.chunks(_BLOCK)
