"""All points of a layout as one picture, whatever their number: the ground under the points that are drawn one by one."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from apps.explorer.colors import Coloring

if TYPE_CHECKING:
    from pandas import DataFrame

Box = tuple[float, float, float, float]
#: A pixel of the ground covers this many screen pixels.
PIXEL = 2
_FAINTEST = 0.25
_WARM = threading.Event()


class Ground:
    """Points xy (N, 2) in their colours, to be drawn as `picture` of any box."""

    def __init__(self, xy: NDArray[np.floating], coloring: Coloring) -> None:
        self._xy, self._coloring = xy, coloring

    @cached_property
    def _points(self) -> DataFrame:
        import pandas as pd

        red, green, blue = self._coloring.rgb().T.astype(np.float32)
        x, y = np.asarray(self._xy, np.float32).T
        return pd.DataFrame({"x": x, "y": y, "red": red, "green": green, "blue": blue}, copy=False)

    def picture(self, box: Box, shape: tuple[int, int]) -> NDArray[np.uint32]:
        """(rows, columns) RGBA of the box (x0, x1, y0, y1), row 0 at the smallest y: the mean colour of the points in each
        pixel, the more opaque the more points (equalised over the picture)."""
        import datashader as ds

        x0, x1, y0, y1 = box
        canvas = ds.Canvas(shape[1], shape[0], (x0, x1), (y0, y1))
        wanted = ds.summary(n=ds.count(), red=ds.sum("red"), green=ds.sum("green"), blue=ds.sum("blue"))
        sums = canvas.points(self._points, "x", "y", agg=wanted)
        n = sums["n"].to_numpy()
        out = np.zeros((*shape, 4), np.uint8)
        some = n > 0
        for channel, name in enumerate(("red", "green", "blue")):
            out[some, channel] = (sums[name].to_numpy()[some] / n[some]).astype(np.uint8)
        out[some, 3] = (255 * (_FAINTEST + (1 - _FAINTEST) * _rank(n[some]))).astype(np.uint8)
        return out.view(np.uint32)[..., 0]


def _rank(counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Share of the counts (n,) that are at most as large as each."""
    values, index, repeats = np.unique(counts, return_inverse=True, return_counts=True)
    return (np.cumsum(repeats) / max(len(counts), 1))[index] if len(values) else np.empty(0)


def warm_up() -> None:
    """Load and compile what `Ground` needs, so that the first picture does not wait for it; then `ready`."""
    none = np.zeros(1, np.float32)
    Ground(np.zeros((1, 2)), Coloring("", none, ("#000000",), 0.0, 1.0)).picture((-1, 1, -1, 1), (2, 2))
    _WARM.set()


def warm_up_aside() -> None:
    """`warm_up` in a thread of its own."""
    threading.Thread(target=warm_up, daemon=True).start()


def ready() -> bool:
    """Whether a picture comes at once."""
    return _WARM.is_set()
