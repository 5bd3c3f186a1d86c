"""Points of a layout: which lie in a drawn polygon or box, which is nearest, and which are drawn when there are too many."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sorter.core.seeds import child_rng


class PointIndex:
    """Points xy (N, 2), sorted once by y so that a polygon test touches only the points beside each edge."""

    def __init__(self, xy: NDArray[np.floating]) -> None:
        self.xy = np.asarray(xy, np.float64)
        self._order = np.argsort(self.xy[:, 1], kind="stable")
        self._x, self._y = self.xy[self._order].T

    def in_polygon(self, polygon: NDArray[np.floating]) -> NDArray[np.bool_]:
        """(N,) bool: inside the closed ``polygon`` (V, 2), even-odd rule; vertices need not repeat the first one.

        Each edge flips the points left of it within its half-open y range (crossing number, Shimrat 1962), so the cost is
        that of the points beside the edges, not N times V.
        """
        polygon = np.asarray(polygon, np.float64).reshape(-1, 2)
        inside = np.zeros(len(self._y), bool)
        for (xa, ya), (xb, yb) in zip(polygon, np.roll(polygon, -1, axis=0)):
            if ya == yb:
                continue
            first, last = np.searchsorted(self._y, sorted((ya, yb)), side="left")
            near = slice(first, last)
            inside[near] ^= self._x[near] < xa + (self._y[near] - ya) * ((xb - xa) / (yb - ya))
        out = np.empty_like(inside)
        out[self._order] = inside
        return out

    def nearest(self, x: float, y: float, reach: float) -> int | None:
        """Row of the point nearest to (x, y), None where none lies within ``reach``."""
        first, last = np.searchsorted(self._y, (y - reach, y + reach))
        if first == last:
            return None
        squared = (self._x[first:last] - x) ** 2 + (self._y[first:last] - y) ** 2
        best = int(np.argmin(squared))
        return int(self._order[first + best]) if squared[best] <= reach**2 else None

    def in_box(self, x0: float, x1: float, y0: float, y1: float) -> NDArray[np.bool_]:
        """(N,) bool: within the box."""
        x, y = self.xy.T
        return (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)


def spread_order(strata: NDArray[np.integer], seed: int = 0) -> NDArray[np.int64]:
    """All rows in an order of which every beginning shows each stratum in proportion to its size, its first point early.

    strata: (N,) group of each point. Random within each stratum (never the first ones); the same for the same input.
    """
    strata = np.asarray(strata)
    rng = child_rng(seed, "explorer", "drawn points")
    shuffled = rng.permutation(len(strata))
    by_stratum = shuffled[np.argsort(strata[shuffled], kind="stable")]
    _, starts, sizes = np.unique(strata[by_stratum], return_index=True, return_counts=True)
    place = np.arange(len(strata)) - np.repeat(starts, sizes)
    return by_stratum[np.argsort(place / np.repeat(sizes, sizes), kind="stable")]
