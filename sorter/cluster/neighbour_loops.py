"""Compiled loops of `neighbours`; they run without Python's lock, in the thread that calls them."""

from __future__ import annotations

import numba
import numpy as np

_GROUP = 16


@numba.njit(nogil=True, cache=True)
def select(block, first, values, rows):  # type: ignore[no-untyped-def]
    """Take the smallest entries of each row of ``block`` (Q, P) into ``values``, ``rows`` (Q, kept), both ascending; the
    columns of ``block`` are points ``first``, first + 1, ..."""
    n_points, kept = block.shape[1], values.shape[1]
    for query in range(block.shape[0]):
        worst = values[query, kept - 1]
        for start in range(0, n_points, _GROUP):
            stop = min(start + _GROUP, n_points)
            least = block[query, start]
            for point in range(start + 1, stop):
                least = min(least, block[query, point])
            if not least < worst:
                continue
            for point in range(start, stop):
                value = block[query, point]
                if value < worst:
                    place = kept - 1
                    while place > 0 and values[query, place - 1] > value:
                        values[query, place] = values[query, place - 1]
                        rows[query, place] = rows[query, place - 1]
                        place -= 1
                    values[query, place] = value
                    rows[query, place] = first + point
                    worst = values[query, kept - 1]


@numba.njit(nogil=True, cache=True)
def refine(queries, points, rows, k):  # type: ignore[no-untyped-def]
    """Distances (Q, k) in double precision and their rows: the ``k`` nearest of the points ``rows`` (Q, kept)."""
    n, kept = rows.shape
    distances, chosen = np.empty((n, k)), np.empty((n, k), np.int64)
    squares = np.empty(kept)
    for query in range(n):
        candidates = np.sort(rows[query])
        for place in range(kept):
            total = 0.0
            for axis in range(points.shape[1]):
                total += (queries[query, axis] - points[candidates[place], axis]) ** 2
            squares[place] = total
        order = np.argsort(squares, kind="mergesort")
        for place in range(k):
            distances[query, place] = np.sqrt(squares[order[place]])
            chosen[query, place] = candidates[order[place]]
    return distances, chosen


@numba.njit(nogil=True, cache=True)
def search_all(queries, points, k):  # type: ignore[no-untyped-def]
    """Distances (Q, k) and rows of the nearest ``points`` (P, d), all of them computed in double precision."""
    n = len(queries)
    distances, chosen = np.full((n, k), np.inf), np.full((n, k), -1, np.int64)
    for query in range(n):
        for point in range(len(points)):
            total = 0.0
            for axis in range(points.shape[1]):
                total += (queries[query, axis] - points[point, axis]) ** 2
            if total < distances[query, k - 1]:
                place = k - 1
                while place > 0 and distances[query, place - 1] > total:
                    distances[query, place] = distances[query, place - 1]
                    chosen[query, place] = chosen[query, place - 1]
                    place -= 1
                distances[query, place] = total
                chosen[query, place] = point
    return np.sqrt(distances), chosen
