"""matplotlib figures as inline SVG that takes the colour of the page's text, so one picture serves light, dark and paper."""

from __future__ import annotations

import html
import io
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

#: Drawn in the page's text colour, and in a grey that reads on light and on dark ground.
INK, SOFT = "#0a0b0c", "#808b98"
#: Ground of layouts: the palette of clusters is made for a dark one.
DARK = "#10161e"
_STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "shotsort", "path.simplify": True, "font.size": 9, "axes.titlesize": 9,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": SOFT, "axes.linewidth": 0.8, "axes.spines.top": False,
    "axes.spines.right": False, "xtick.color": SOFT, "ytick.color": SOFT, "xtick.labelcolor": INK, "ytick.labelcolor": INK,
    "xtick.major.size": 3, "ytick.major.size": 3, "xtick.minor.size": 2, "ytick.minor.size": 2, "legend.frameon": False,
    "legend.fontsize": 8.5, "figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none",
}  # fmt: skip
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_METADATA: dict[str, Any] = {"Date": None, "Creator": None, "Format": None, "Type": None}


@contextmanager
def figure(width: float, height: float) -> Iterator[Figure]:
    """A new figure of ``width`` x ``height`` inches in the style of the report."""
    with mpl.rc_context(_STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


def to_svg(fig: Figure, alt: str, dpi: int = 160) -> str:
    """The figure as an ``<svg>`` element that scales with its box; ``alt`` says in words what it shows."""
    buffer = io.StringIO()
    fig.savefig(buffer, format="svg", dpi=dpi, metadata=_METADATA)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    head, body = text[: text.index(">")], text[text.index(">") + 1 :]
    box = re.search(r'viewBox="[^"]*"', head)
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.S)
    body = re.sub(
        r' id="(?:figure|axes|patch|line2d|text|xtick|ytick|matplotlib\.axis|legend|PathCollection|QuadMesh'
        r'|LineCollection|FillBetweenPolyCollection|PolyCollection)_\d+"',
        "",
        body,
    )
    body = re.sub(r"<!--.*?-->", "", body, flags=re.S)
    body = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", body)
    body = body.replace(INK, "currentColor").replace("\n", " ")
    body = re.sub(r" {2,}", " ", body)
    return f'<svg role="img" aria-label="{html.escape(alt)}" {box.group(0) if box else ""}>{body.strip()}\n'


def power_of_ten(value: float, _position: int = 0) -> str:
    """Tick label: 10³ for 1000, plain 1 and 10."""
    if value <= 0:
        return "0"
    exponent = round(math.log10(value))
    return f"{value:g}" if exponent in (0, 1) else "10" + str(exponent).translate(_SUPERSCRIPT)


def log_axis(axes: Axes, which: str) -> None:
    """Make the ``x`` or ``y`` axis of what is drawn logarithmic: decades, or 1, 2, 5 where there are less than two."""
    getattr(axes, f"set_{which}scale")("log")
    low, high = getattr(axes, f"get_{which}lim")()
    axis = getattr(axes, f"{which}axis")
    wide = high > 100 * low
    axis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(power_of_ten if wide else lambda value, _: f"{value:,g}"))
    axis.set_minor_formatter(NullFormatter())
