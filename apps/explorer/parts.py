"""Small pieces of HTML and how figures are written."""

from __future__ import annotations

from html import escape

import numpy as np


def number(n: int) -> str:
    """1234567 as 1,234,567, with thin spaces."""
    return f"{n:,}".replace(",", "\u2009")


def quantity(value: float) -> str:
    """A figure for a person: three digits, powers of ten where it is far from one."""
    if not np.isfinite(value):
        return "–"
    return number(round(value)) if 1000 <= abs(value) < 1e6 else f"{value:.3g}"


def share(part: int, whole: int) -> str:
    """``part`` of ``whole`` in per cent."""
    return f"{100 * part / whole:.0f} %" if whole else "–"


def options(values: dict[str, str], chosen: str) -> str:
    """The options of a list; ``values``: value -> text."""
    picked = {True: " selected", False: ""}
    return "".join(f'<option value="{escape(v)}"{picked[v == chosen]}>{escape(t)}</option>' for v, t in values.items())


def select(act: str, title: str, values: dict[str, str], chosen: str, hint: str = "") -> str:
    """A list whose choice is sent as ``act``; ``title`` stands before it, ``hint`` shows under the pointer."""
    said = f"<span>{title}</span>" if title else ""
    return f'<label class="choice" title="{hint}">{said}<select data-act="{act}">{options(values, chosen)}</select></label>'


def segments(act: str, values: dict[str, str], chosen: str) -> str:
    """A row of buttons of which one is pressed."""
    mark = {True: ' class="on"', False: ""}
    buttons = (
        f'<button data-act="{act}" data-value="{v}"{mark[v == chosen]}>{escape(t)}</button>' for v, t in values.items()
    )
    return f'<span class="segments">{"".join(buttons)}</span>'


def tag(text: str, color: str, title: str = "", more: str = "") -> str:
    """A label as a coloured tag; ``more``: HTML inside it, after the text."""
    return f'<span class="tag" style="--c:{color}" title="{escape(title)}">{escape(text)}{more}</span>'
