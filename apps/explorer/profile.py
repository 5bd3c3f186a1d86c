"""Radial profiles as a small drawing."""

from __future__ import annotations

from html import escape

import numpy as np
from numpy.typing import NDArray

from apps.explorer.parts import quantity
from sorter.preprocess.radial import RadialGrid

WIDTH, HEIGHT, LEFT, BOTTOM = 300, 220, 60, 26


def drawing(grid: RadialGrid, curves: list[tuple[str, str, NDArray[np.floating]]]) -> str:
    """An SVG of the radial profiles of ``curves`` (name, colour, picture (ny, nx)), intensity on a logarithmic scale."""
    profiles = [(name, color, grid.profile(picture)) for name, color, picture in curves]
    known = np.concatenate([p[np.isfinite(p) & (p > 0)] for _, _, p in profiles]) if profiles else np.empty(0)
    if not len(known):
        return ""
    low, high = np.log10(max(known.min(), known.max() / 1e5)), np.log10(known.max())
    high = high if high > low else low + 1
    right = float(grid.at[-1]) or 1.0
    lines, names = [], []
    for place, (name, color, profile) in enumerate(profiles):
        good = np.isfinite(profile) & (profile > 10**low)
        x = LEFT + (WIDTH - LEFT - 6) * grid.at[good] / right
        y = 6 + (HEIGHT - BOTTOM - 12) * (high - np.log10(profile[good])) / (high - low)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y))
        lines.append(f'<polyline points="{points}" fill="none" style="stroke:{color}" stroke-width="1.6"/>')
        names.append(
            f'<text x="{WIDTH - 8}" y="{1.2 * (place + 1):.1f}em" text-anchor="end" style="fill:{color}">{escape(name)}</text>'
        )
    unit = "q in nm⁻¹" if grid.unit == "1/nm" else "radius in px"
    axis = (
        f'<text x="{LEFT}" y="{HEIGHT - 4}">0</text>'
        f'<text x="{WIDTH - 6}" y="{HEIGHT - 4}" text-anchor="end">{right:.3g} {unit}</text>'
        f'<text x="0" y="1em">{quantity(10**high)}</text><text x="0" y="{HEIGHT - BOTTOM}">{quantity(10**low)}</text>'
    )
    frame = (
        f'<path d="M{LEFT} 4V{HEIGHT - BOTTOM}H{WIDTH - 4}" fill="none" stroke="currentColor" stroke-opacity=".35"/>'
    )
    inside = "".join((frame, axis, *lines, *names))
    return f'<svg class="profile" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="radial profile">{inside}</svg>'
