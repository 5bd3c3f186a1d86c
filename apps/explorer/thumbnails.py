"""Frames as small pictures: logarithmic by default, the mask in a colour of its own."""

from __future__ import annotations

import base64
import io
from collections import OrderedDict
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from apps.explorer.colors import COUNTS, MASK_COLOR, rgb
from sorter.core.frames import FrameStore

Scale = Literal["log", "sqrt", "linear"]
SCALES: tuple[str, ...] = get_args(Scale)
#: Percentiles of the good pixels that are shown brightest, as a person chooses them.
CLIPS: dict[str, float] = {"95 %": 95.0, "99 %": 99.0, "99.9 %": 99.9, "max": 100.0}
CLIP = 99.9
_MASKED = 255
_PALETTE = bytes(channel for color in (*COUNTS, MASK_COLOR) for channel in rgb(color))


def shrunk(frame: NDArray, bad: NDArray[np.bool_], at_most_px: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The mean over good pixels in square blocks, so that no side is longer than ``at_most_px``, and where none is good.

    frame: (ny, nx); bad: (ny, nx). Incomplete blocks at the far edges are kept.
    """
    factor = -(-max(frame.shape) // at_most_px)
    good = ~bad & np.isfinite(frame)
    values = np.where(good, frame, 0).astype(np.float32)
    if factor == 1:
        return values, ~good
    starts = [np.arange(0, n, factor) for n in frame.shape]
    total, count = (
        np.add.reduceat(np.add.reduceat(a, starts[0], 0), starts[1], 1) for a in (values, good.astype(np.int32))
    )
    return total / np.maximum(count, 1), count == 0


def brightness(
    values: NDArray[np.float32], bad: NDArray[np.bool_], scale: Scale, quantum: float | None = None, clip: float = CLIP
) -> NDArray[np.float32]:
    """Values (ny, nx) as brightness in [0, 1], 1 at the ``clip``-th percentile of the good pixels; negative values show as 0.

    "log" is log(1 + v / quantum). quantum: one count where ``values`` are counts; by default a thousandth of the top, which
    suits a mean of many frames and arbitrary units.
    """
    good = values[~bad]
    top = float(np.percentile(good, clip)) if good.size else 0.0
    top = top if top > 0 else max(float(good.max(initial=0.0)), 1e-12)
    value = np.clip(values, 0, top)
    if scale == "log":
        step = quantum or top / 1000
        return (np.log1p(value / step) / np.log1p(top / step)).astype(np.float32)
    return ((value / top) ** (0.5 if scale == "sqrt" else 1)).astype(np.float32)


def png(
    frame: NDArray, bad: NDArray[np.bool_], scale: Scale = "log", at_most_px: int = 128, clip: float = CLIP
) -> bytes:
    """One frame (ny, nx) as a palette PNG; row 0 at the top."""
    values, hidden = shrunk(frame, bad, at_most_px)
    counts_per_block = values.size / frame.size if np.issubdtype(frame.dtype, np.integer) else None
    index = np.round(brightness(values, hidden, scale, counts_per_block, clip) * (len(COUNTS) - 1)).astype(np.uint8)
    index[hidden] = _MASKED
    image = Image.fromarray(index)
    image.putpalette(_PALETTE)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def data_url(picture: bytes) -> str:
    """A PNG as a data URL."""
    return "data:image/png;base64," + base64.b64encode(picture).decode()


class Thumbnails:
    """Thumbnails of a store's frames as data URLs, read when asked for; the last ones are kept. ``store`` may be replaced by
    one that holds more."""

    def __init__(self, store: FrameStore, side_px: int = 128, keep: int = 2000) -> None:
        self.store, self._side, self._keep = store, side_px, keep
        self._made: OrderedDict[tuple[int, str, float], str] = OrderedDict()

    def urls(self, ids: NDArray[np.uint64], scale: Scale = "log", clip: float = CLIP) -> list[str]:
        """One data URL per id. Raises InputError where a frame cannot be read."""
        wanted = [(int(i), scale, clip) for i in ids]
        missing = list(dict.fromkeys(key for key in wanted if key not in self._made))
        fresh: dict[tuple[int, str, float], str] = {}
        if missing:
            frames = self.store.read(np.array([key[0] for key in missing], np.uint64))
            bad = self.store.bad_pixels
            fresh = {key: data_url(png(f, bad, scale, self._side, clip)) for key, f in zip(missing, frames)}
        self._made.update(fresh)
        out = [self._made[key] for key in wanted]
        for key in wanted:
            self._made.move_to_end(key)
        while len(self._made) > self._keep:
            self._made.popitem(last=False)
        return out
