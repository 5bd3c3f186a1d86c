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


def rows_of(ids: NDArray[np.uint64], wanted: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Row of each of ``wanted`` in ``ids`` (unique, any order); -1 where it is not there."""
    ids, wanted = np.asarray(ids, np.uint64), np.asarray(wanted, np.uint64)
    if len(ids) == 0:
        return np.full(len(wanted), -1, np.int64)
    order = np.argsort(ids, kind="stable")
    place = np.minimum(np.searchsorted(ids, wanted, sorter=order), len(ids) - 1)
    rows = order[place]
    return np.where(ids[rows] == wanted, rows, -1).astype(np.int64)
