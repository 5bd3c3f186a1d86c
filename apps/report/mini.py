"""Small charts as plain SVG: fast and light enough for several per cluster."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apps.report.html import text
from apps.report.svg import power_of_ten

_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 8.0, 8.0, 34.0
_HEIGHT = 158.0
_MOST_TICKS = 5


@dataclass(frozen=True)
class Scale:
    """An axis from ``low`` to ``high``, linear or logarithmic; ``whole``: ticks on whole numbers only."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    @classmethod
    def over(cls, *values: NDArray, log: bool = False, start: float | None = None, whole: bool = False) -> Scale:
        """The scale that holds all finite (for ``log``: positive) values, from ``start`` where that is given."""
        known = np.concatenate([np.ravel(v) for v in values])
        known = known[np.isfinite(known) & ((known > 0) | (not log))]
        low, high = (float(known.min()), float(known.max())) if len(known) else (1.0, 10.0)
        low = low if start is None else start
        if high <= low:
            high = low * 10 if log and low > 0 else low + 1
        return cls(low, high, log, whole)

    def share(self, values: NDArray) -> NDArray[np.float64]:
        """Place of values on the axis, 0 at ``low`` and 1 at ``high``; NaN for what a logarithmic axis cannot hold."""
        values = np.asarray(values, np.float64)
        if not self.log:
            return (values - self.low) / (self.high - self.low)
        logs = np.log10(np.where(values > 0, values, np.nan))
        return (logs - math.log10(self.low)) / (math.log10(self.high) - math.log10(self.low))

    def ticks(self) -> list[tuple[float, str]]:
        """A few round values with their labels."""
        return self._log_ticks() if self.log else self._linear_ticks()

    def _linear_ticks(self) -> list[tuple[float, str]]:
        rough = (self.high - self.low) / _MOST_TICKS
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
        step = max(step, 1.0) if self.whole else step
        first = math.ceil(self.low / step - 1e-9)
        values = [round(k * step, 12) for k in range(first, math.floor(self.high / step + 1e-9) + 1)]
        return [(v, f"{v:,.0f}" if step >= 1 else f"{v:g}") for v in values]

    def _log_ticks(self) -> list[tuple[float, str]]:
        first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
        if last - first < 1:
            values = [m * 10.0**e for e in range(first - 1, last + 1) for m in (1, 2, 5)]
            inside = [v for v in values if self.low <= v <= self.high]
            return [(v, f"{v:,g}" if 0.01 <= v < 1e5 else f"{v:.0e}") for v in inside]
        step = -(-(last - first + 1) // _MOST_TICKS)
        return [(10.0**e, power_of_ten(10.0**e)) for e in range(first, last + 1, step)]


@dataclass(frozen=True)
class Chart:
    """Axes with words, ``width`` wide in the units in which all charts are 158 high."""

    x: Scale
    y: Scale
    x_name: str
    y_name: str
    width: float = 240.0

    def _place(self, x: NDArray, y: NDArray) -> tuple[NDArray, NDArray]:
        across, up = self.width - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
        return _LEFT + across * self.x.share(x), _TOP + up * (1 - np.clip(self.y.share(y), 0, 1))

    def line(self, x: NDArray, y: NDArray, color: str, width: float) -> str:
        """A curve, broken where a value is missing."""
        px, py = self._place(x, y)
        parts, pen = [], "M"
        for a, b in zip(px, py):
            if not np.isfinite(a + b):
                pen = "M"
                continue
            parts.append(f"{pen}{a:.1f} {b:.1f}")
            pen = "L"
        return f'<path d="{"".join(parts)}" fill="none" stroke="{color}" stroke-width="{width}"/>' if parts else ""

    def steps(self, edges: NDArray, heights: NDArray, color: str, filled: bool) -> str:
        """A histogram: ``heights`` (n,) between ``edges`` (n + 1,)."""
        px, py = self._place(np.repeat(edges, 2)[1:-1], np.repeat(np.nan_to_num(heights), 2))
        base = _HEIGHT - _BOTTOM
        points = "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(px, py))
        path = f"M{px[0]:.1f} {base:.1f}L{points}L{px[-1]:.1f} {base:.1f}"
        return f'<path d="{path}" ' + (f'fill="{color}"/>' if filled else f'fill="none" stroke="{color}"/>')

    def bars(self, x: NDArray, heights: NDArray, color: str, width: float = 0.7) -> str:
        """Bars about ``x``."""
        left, top = self._place(x - width / 2, np.nan_to_num(heights))
        right, _ = self._place(x + width / 2, x)
        base = _HEIGHT - _BOTTOM
        return "".join(
            f'<path d="M{a:.1f} {base}V{t:.1f}H{b:.1f}V{base}Z" fill="{color}"/>' for a, b, t in zip(left, right, top)
        )

    def svg(self, marks: str, alt: str) -> str:
        """The chart as an ``<svg>`` element; ``alt`` says in words what it shows."""
        base, middle = _HEIGHT - _BOTTOM, (_LEFT + self.width - _RIGHT) / 2
        out = [f'<path class="axis" d="M{_LEFT} {_TOP}V{base}H{self.width - _RIGHT}"/>']
        for value, word in self.x.ticks():
            px = float(self._place(np.array([value]), np.array([value]))[0][0])
            out.append(f'<path class="axis" d="M{px:.1f} {base}v3"/><text x="{px:.1f}" y="{base + 13}">{word}</text>')
        for value, word in self.y.ticks():
            py = float(self._place(np.array([value]), np.array([value]))[1][0])
            out.append(
                f'<path class="axis" d="M{_LEFT} {py:.1f}h-3"/><text class="y" x="{_LEFT - 5}" y="{py + 3:.1f}">{word}</text>'
            )
        out.append(f'<text x="{middle:.0f}" y="{_HEIGHT - 4}">{text(self.x_name)}</text>')
        out.append(f'<text transform="translate(9 {(base + _TOP) / 2:.0f}) rotate(-90)">{text(self.y_name)}</text>')
        box = f'viewBox="0 0 {self.width:g} {_HEIGHT:g}"'
        return f'<svg class="mini" role="img" aria-label="{text(alt)}" {box}>{marks}{"".join(out)}</svg>'
