"""Exact nearest neighbours: by a space tree in few dimensions, by brute force in more.

In 16 dimensions a tree visits most of its points. There a matrix product ranks them all, block by block, and a compiled loop
selects from each block while it is in the cache: an eighth of the tree's time against 50,000 points. Importing numba takes half
a second, so that is done when it is first needed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Most dimensions in which a tree is used.
_TREE_DIMS = 8
_QUERIES, _POINTS = 64, 4096
#: Neighbours beyond those asked for that are kept until distances are known in double precision.
_SPARE = 8

Found = tuple[NDArray[np.float64], NDArray[np.int64]]


def nearest(points: NDArray, queries: NDArray, k: int) -> Found:
    """Distances and rows, (n_queries, min(k, n_points)) each, of the nearest ``points``, nearest first; exact, Euclidean.

    Queries are shared out to one thread per core that OMP_NUM_THREADS allows.
    """
    return searcher(points)(queries, k)


def searcher(points: NDArray) -> Callable[[NDArray, int], Found]:
    """`nearest` for points that are asked for more than once: a function of queries and k."""
    points = np.ascontiguousarray(points, np.float64)
    return _Tree(points) if points.shape[1] <= _TREE_DIMS else _BruteForce(points)


def _threads(n_queries: int) -> int:
    """As many as are allowed and have something to do: a thread takes longer to start than a few queries take."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    allowed = min(cores, int(os.environ.get("OMP_NUM_THREADS") or cores))
    return max(1, min(allowed, -(-n_queries // _QUERIES)))


@cache
def _blas_libraries() -> Any:
    """What sets their number of threads; looking for them takes milliseconds, which a small batch does not have."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


class _Tree:
    def __init__(self, points: NDArray[np.float64]) -> None:
        from scipy.spatial import cKDTree

        self.tree = cKDTree(points)

    def __call__(self, queries: NDArray, k: int) -> Found:
        k = min(k, self.tree.n)
        distance, rows = self.tree.query(
            np.asarray(queries, np.float64), np.arange(1, k + 1), workers=_threads(len(queries))
        )
        return distance, np.asarray(rows, np.int64)


class _BruteForce:
    """|q - p|^2 = |q|^2 + (-2 q, 1).(p, |p|^2): a product in single precision ranks the points of each query, more than are
    asked for are kept, and their distances computed anew in double precision. Where rounding of the product may have left out
    one of the nearest, all distances are computed so."""

    def __init__(self, points: NDArray[np.float64]) -> None:
        self.points = points
        self.centre = points.mean(axis=0)  # small numbers keep the rounding of the product small
        centred = points - self.centre
        squares = (centred**2).sum(1)
        self.product = np.column_stack([centred, squares]).astype(np.float32)
        self.longest = float(np.sqrt(squares.max()))

    def __call__(self, queries: NDArray, k: int) -> Found:
        k, starts = min(k, len(self.points)), range(0, len(queries), _QUERIES)
        if k == 0 or not len(starts):
            return np.empty((len(queries), k)), np.empty((len(queries), k), np.int64)
        parts = [queries[start : start + _QUERIES] for start in starts]
        threads = _threads(len(queries))
        with _blas_libraries().limit(limits=1, user_api="blas"):
            if threads == 1:
                found = [self._search(part, k) for part in parts]
            else:
                with ThreadPoolExecutor(threads) as pool:
                    found = list(pool.map(lambda part: self._search(part, k), parts))
        return np.concatenate([d for d, _ in found]), np.concatenate([rows for _, rows in found])

    def _search(self, queries: NDArray, k: int) -> Found:
        from sorter.cluster.neighbour_loops import refine, search_all, select

        queries = np.ascontiguousarray(queries, np.float64)
        centred = queries - self.centre
        left = np.column_stack([-2 * centred, np.ones(len(queries))]).astype(np.float32)
        values = np.full((len(queries), min(k + _SPARE, len(self.points))), np.inf, np.float32)
        rows = np.full(values.shape, -1, np.int64)
        for first in range(0, len(self.points), _POINTS):
            select(left @ self.product[first : first + _POINTS].T, first, values, rows)
        distance, chosen = refine(queries, self.points, rows, k)
        if values.shape[1] < len(self.points):
            length = np.sqrt((centred**2).sum(1))
            rounding = (queries.shape[1] + 4) * np.finfo(np.float32).eps * (length + self.longest) ** 2
            unsure = np.flatnonzero(distance[:, -1] ** 2 > values[:, -1] + length**2 - rounding)
            distance[unsure], chosen[unsure] = search_all(queries[unsure], self.points, k)
        return distance, chosen
