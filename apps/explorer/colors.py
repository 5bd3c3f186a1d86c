"""Colours: a fixed one for each cluster and label, and scales for quantities. Safe for the common colour-blindnesses."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Okabe & Ito (2008) without black, then light colours of Paul Tol (technical note, 2021), in an order that keeps
#: neighbours apart. What comes after them repeats them, darker.
BASE = (
    "#56b4e9", "#e69f00", "#009e73", "#f0e442", "#d55e00", "#cc79a7", "#0072b2", "#bbcc33",
    "#ffaabb", "#44bb99", "#ee8866", "#99ddff", "#aaaa00", "#b98cff", "#eedd88",
)  # fmt: skip
NOISE_COLOR = "#7d8794"
OTHER_COLOR = "#4b5563"


def rgb(color: str) -> tuple[int, int, int]:
    """Red, green and blue (0..255) of ``#rrggbb``."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def ramp(anchors: tuple[str, ...], n: int) -> tuple[str, ...]:
    """``n`` colours through equally spaced ``anchors``, linear in between."""
    at = np.linspace(0, len(anchors) - 1, n)
    channels = [np.interp(at, range(len(anchors)), channel) for channel in zip(*(rgb(a) for a in anchors))]
    return tuple("#" + "".join(f"{round(c):02x}" for c in color) for color in zip(*channels))


#: Viridis (Smith & van der Walt 2015) without its darkest blues, which vanish on a dark ground.
SCALE = ramp(("#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"), 128)
#: Inferno, by the same authors: counts of a frame, from none to many.
COUNTS = ramp(
    ("#000004", "#1b0c41", "#4a0c6b", "#781c6d", "#a52c60", "#cf4446", "#ed6925", "#fb9b06", "#f7d13d", "#fcffa4"), 255
)
#: Pixels that the mask takes out; not a colour of COUNTS.
MASK_COLOR = "#35506b"


def category_color(number: int) -> str:
    """The colour of the cluster or label ``number`` (0, 1, ...), the same in every session."""
    color = BASE[number % len(BASE)]
    darker = 0.72 ** (number // len(BASE) % 3)
    if darker == 1:
        return color
    hue, light, saturation = colorsys.rgb_to_hls(*(c / 255 for c in rgb(color)))
    return "#" + "".join(f"{round(255 * c):02x}" for c in colorsys.hls_to_rgb(hue, light * darker, saturation))


@dataclass(frozen=True)
class Coloring:
    """What colours the points of a layout: one value per point, looked up in ``palette`` between ``low`` and ``high``.

    values: (N,) float32; NaN shows as NOISE_COLOR. names: the categories in the order of the palette; empty for a quantity.
    rest: what to call the points without a category.
    """

    title: str
    values: NDArray[np.float32]
    palette: tuple[str, ...]
    low: float
    high: float
    names: tuple[str, ...] = ()
    rest: str = ""

    def rgb(self) -> NDArray[np.uint8]:
        """(N, 3) colour of each point."""
        table = np.array([rgb(color) for color in (*self.palette, NOISE_COLOR)], np.uint8)
        place = (self.values - self.low) / (self.high - self.low) * len(self.palette)
        known = ~np.isnan(place)
        index = np.full(len(place), len(self.palette))
        index[known] = np.clip(place[known], 0, len(self.palette) - 1).astype(np.int64)
        return table[index]


def by_category(
    title: str, codes: NDArray[np.integer], names: list[str], colors: list[str], rest: str = ""
) -> Coloring:
    """Colouring by codes 0..len(names)-1; a negative code shows as NOISE_COLOR and is called ``rest``."""
    values = np.where(codes < 0, np.nan, codes).astype(np.float32)
    return Coloring(title, values, tuple(colors) or (NOISE_COLOR,), -0.5, max(len(names), 1) - 0.5, tuple(names), rest)


def by_quantity(title: str, values: NDArray[np.floating]) -> Coloring:
    """Colouring by a quantity, from its 0.5th to its 99.5th percentile."""
    values = np.where(np.isfinite(values), values, np.nan).astype(np.float32)
    known = values[~np.isnan(values)]
    low, high = np.percentile(known, (0.5, 99.5)) if len(known) else (0.0, 1.0)
    return Coloring(title, values, SCALE, float(low), float(high) if high > low else float(low) + 1.0)
