"""Points of a layout: which lie in a drawn polygon, which is nearest, and which are drawn when there are too many."""

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

    def in_box(self, x0: float, x1: float, y0: float, y1: float) -> NDArray[np.int64]:
        """Rows of the points within the box, ascending."""
        first, last = np.searchsorted(self._y, (y0, np.nextafter(y1, np.inf)))
        inside = (self._x[first:last] >= x0) & (self._x[first:last] <= x1)
        return np.sort(self._order[first:last][inside])


def stratified_rows(strata: NDArray[np.integer], at_most: int, seed: int = 0) -> NDArray[np.int64]:
    """Rows of at most ``at_most`` of the points, every stratum in proportion to its size and none left out.

    strata: (N,) group of each point. A random choice within each stratum (never the first ones); the same for the same input.
    A stratum keeps at least one point as long as there are no more strata than points to draw.
    """
    strata = np.asarray(strata)
    if len(strata) <= at_most:
        return np.arange(len(strata))
    rng = child_rng(seed, "explorer", "drawn points")
    shuffled = rng.permutation(len(strata))
    by_stratum = shuffled[np.argsort(strata[shuffled], kind="stable")]
    _, starts, sizes = np.unique(strata[by_stratum], return_index=True, return_counts=True)
    share = np.maximum(1, np.floor(sizes * (at_most - len(sizes)) / len(strata))).astype(np.int64)
    taken = [by_stratum[a : a + min(k, n)] for a, n, k in zip(starts, sizes, share)]
    return np.sort(np.concatenate(taken)[:at_most])


def density_image(xy: NDArray[np.floating], box: tuple[float, float, float, float], shape: tuple[int, int]) -> NDArray:
    """Points per bin, (rows, columns) float32, over the box (x0, x1, y0, y1); row 0 is the smallest y."""
    x0, x1, y0, y1 = box
    counts, _, _ = np.histogram2d(xy[:, 1], xy[:, 0], bins=shape, range=((y0, y1), (x0, x1)))
    return counts.astype(np.float32)
