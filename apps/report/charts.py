"""Curves and histograms of the report."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter
from numpy.typing import NDArray

from apps.report.mini import Chart, Scale
from apps.report.svg import INK, SOFT, figure, log_axis, power_of_ten, to_svg
from sorter.core.hits import Hits
from sorter.preprocess.radial import RadialGrid

HIT_COLOR, BLANK_COLOR = "#e69f00", "#808b98"


def log_bins(values: NDArray[np.floating], n: int) -> NDArray[np.float64] | None:
    """``n`` equal steps of the logarithm over the positive values; None where there is none."""
    positive = values[np.isfinite(values) & (values > 0)]
    if not len(positive):
        return None
    low, high = np.log10(positive.min()), np.log10(positive.max())
    return np.logspace(low - 0.02, max(high, low + 0.1) + 0.02, n + 1)


def score_histogram(hits: Hits) -> str:
    """How many frames have which hit score, blanks and hits apart, with the threshold between them."""
    score = hits.score.astype(np.float64)
    finite = np.isfinite(score)
    low, high = (score[finite].min(), score[finite].max()) if finite.any() else (0.0, 1.0)
    if np.isfinite(hits.threshold):
        low, high = min(low, hits.threshold), max(high, hits.threshold)
    wide = low > 0 and high > 100 * low
    bins = np.logspace(np.log10(low), np.log10(high), 101) if wide else np.linspace(low, max(high, low + 1e-6), 101)
    with figure(5.6, 2.35) as fig:
        axes = fig.subplots()
        for chosen, color, name in ((~hits.is_hit, BLANK_COLOR, "blank"), (hits.is_hit, HIT_COLOR, "hit")):
            counts, _ = np.histogram(score[chosen & finite], bins)
            axes.stairs(counts, bins, fill=True, color=color, alpha=0.85, label=f"{name} ({int(chosen.sum()):,})")
        if np.isfinite(hits.threshold):
            axes.axvline(hits.threshold, color=INK, lw=1.2, ls=(0, (4, 2)), label=f"threshold {hits.threshold:.3g}")
        _count_axis(axes)
        if wide:
            log_axis(axes, "x")
        axes.set(xlabel="hit score (larger: brighter against the run's background)", ylabel="frames")
        _legend_above(axes)
        return to_svg(fig, "histogram of the hit score with the threshold")


def _legend_above(axes: Axes) -> None:
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2, handlelength=1.2, columnspacing=1.2
    )


def _count_axis(axes: Axes) -> None:
    """Logarithmic counts that show an empty bin as empty."""
    axes.set_yscale("symlog", linthresh=1)
    axes.yaxis.set_major_formatter(FuncFormatter(power_of_ten))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(bottom=0)


def photons_histogram(hits: Hits, unit: str) -> str:
    """How bright the frames are, blanks and hits apart."""
    bins = log_bins(hits.photons, 100)
    with figure(5.6, 2.35) as fig:
        axes = fig.subplots()
        if bins is not None:
            for chosen, color, name in ((~hits.is_hit, BLANK_COLOR, "blank"), (hits.is_hit, HIT_COLOR, "hit")):
                if chosen.any():
                    axes.stairs(
                        np.histogram(hits.photons[chosen], bins)[0],
                        bins,
                        fill=True,
                        color=color,
                        alpha=0.85,
                        label=name,
                    )
            axes.set_xlim(bins[0], bins[-1])
            log_axis(axes, "x")
            _count_axis(axes)
            _legend_above(axes)
        dark = int((~(hits.photons > 0)).sum())
        axes.set(
            xlabel=f"{unit} on good pixels" + (f" ({dark:,} frames at or below 0 not shown)" if dark else ""),
            ylabel="frames",
        )
        return to_svg(fig, f"histogram of {unit} per frame")


def profile_chart(grid: RadialGrid, mean: NDArray, reference: NDArray, color: str, unit: str) -> str:
    """Radial profile of a mean frame over that of all hits (thin)."""
    own, everyone = grid.profile(mean), grid.profile(reference)
    known = np.isfinite(own) | np.isfinite(everyone)
    name = "q (nm⁻¹)" if grid.unit == "1/nm" else "distance from the beam centre (px)"
    y = Scale.over(own, everyone, log=True)
    chart = Chart(Scale.over(grid.at[known], start=0.0), y, name, f"{unit} per pixel", 310)
    marks = chart.line(grid.at, everyone, SOFT, 1) + chart.line(grid.at, own, color, 2)
    return chart.svg(marks, "radial profile of the mean frame")


def angular_chart(contrast: NDArray, reference: NDArray, color: str) -> str:
    """Angular contrast of each order over that of all hits (thin steps)."""
    order = np.arange(1.0, len(contrast) + 1)
    chart = Chart(
        Scale(0.4, len(contrast) + 0.6, whole=True), Scale.over(contrast, reference, start=0.0), "n-fold", "contrast"
    )
    marks = chart.bars(order, contrast, color) + chart.steps(np.arange(0.5, len(contrast) + 1), reference, SOFT, False)
    return chart.svg(marks, "angular contrast by order")


def brightness_chart(values: NDArray, reference: NDArray, color: str, unit: str) -> str:
    """Distribution of photons in a group, with that of all hits (thin) scaled to the same number of frames."""
    bins = log_bins(reference, 36)
    if bins is None:
        return ""
    counts, everyone = np.histogram(values, bins)[0], np.histogram(reference, bins)[0]
    scaled = everyone * counts.sum() / max(everyone.sum(), 1)
    chart = Chart(Scale(bins[0], bins[-1], log=True), Scale.over(counts, scaled, start=0.0, whole=True), unit, "frames")
    return chart.svg(
        chart.steps(bins, counts, color, True) + chart.steps(bins, scaled, SOFT, False), f"distribution of {unit}"
    )


def strength_chart(values: NDArray, color: str) -> str:
    """Distribution of the cluster strength in a group."""
    counts, bins = np.histogram(values[np.isfinite(values)], np.linspace(0, 1, 21))
    chart = Chart(Scale(0.0, 1.0), Scale.over(counts, start=0.0, whole=True), "strength", "frames")
    return chart.svg(chart.steps(bins, counts, color, True), "distribution of the cluster strength")


def _spread(curves: dict[str, tuple[NDArray, NDArray]]) -> float:
    """How many times larger the largest curve is than the smallest, in their last value."""
    last = [abs(float(y[-1])) for _, y in curves.values() if len(y) and np.isfinite(y[-1])]
    return max(last) / max(min(last), 1e-3) if last else 1.0


def curves_chart(title: str, x_name: str, curves: dict[str, tuple[NDArray, NDArray]], colors: list[str]) -> str:
    """Curves over training steps or epochs, one axis."""
    with figure(3.9, 2.4) as fig:
        axes = fig.subplots()
        for (name, (x, y)), color in zip(curves.items(), colors):
            axes.plot(x, y, lw=1.6, color=color, label=name, marker="o" if len(x) == 1 else None, ms=3)
        axes.set(xlabel=x_name, title=title)
        if _spread(curves) > 50:
            axes.set_yscale("symlog", linthresh=1)
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        if len(curves) > 1:
            axes.legend(loc="best")
        return to_svg(fig, f"training curve: {title}")
