"""The name of a frame: a 63-bit hash of where it was recorded."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MASK63 = np.uint64((1 << 63) - 1)


def frame_ids(run_id: str, dataset: str, index: NDArray[np.integer]) -> NDArray[np.uint64]:
    """Ids of the frames ``index`` of ``dataset`` of the run ``run_id`` (its id in the file, else the file's base name).

    Returns (len(index),) uint64 below 2^63. The hash of (run_id, dataset) is mixed with the index by splitmix64
    (Steele, Lea & Flood 2014), so ids are made a million a second and do not depend on what else was ingested.
    """
    base = hashlib.blake2b(f"{run_id}\x1f{dataset}".encode(), digest_size=8).digest()
    with np.errstate(over="ignore"):
        z = np.uint64(int.from_bytes(base, "big")) + _GOLDEN * (np.asarray(index).astype(np.uint64) + np.uint64(1))
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return (z ^ (z >> np.uint64(31))) & _MASK63


def ascending(ids: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The different ones of ``ids``, ascending (by sorting: several times as fast as `numpy.unique` for a million)."""
    ids = np.sort(np.asarray(ids, np.uint64).ravel())
    return ids[np.concatenate([[True], ids[1:] != ids[:-1]])] if len(ids) else ids


class IdIndex:
    """Rows of frame ids (unique, any order), sorted once so that each later look-up is a binary search."""

    def __init__(self, ids: NDArray[np.uint64]) -> None:
        self.ids = np.asarray(ids, np.uint64)
        self._order = np.argsort(self.ids, kind="stable")
        self._sorted = self.ids[self._order]

    def rows(self, wanted: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Row of each of ``wanted``, -1 where it is not there."""
        wanted = np.asarray(wanted, np.uint64)
        if not len(self.ids):
            return np.full(len(wanted), -1, np.int64)
        if np.array_equal(wanted, self.ids):
            return np.arange(len(wanted))
        many = len(wanted) > 10_000  # then sorted look-ups are kinder to the cache
        turn = np.argsort(wanted, kind="stable") if many else slice(None)
        place = np.minimum(np.searchsorted(self._sorted, wanted[turn]), len(self.ids) - 1)
        rows = np.empty(len(wanted), np.int64)
        rows[turn] = np.where(self._sorted[place] == wanted[turn], self._order[place], -1)
        return rows


def rows_of(ids: NDArray[np.uint64], wanted: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Row of each of ``wanted`` in ``ids`` (unique, any order); -1 where it is not there."""
    return IdIndex(ids).rows(wanted)
