"""The figure of the labelling bench: curves of label quality per click, and the reliability diagram."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from apps.bench.click_curves import FAULTLESS, FEWEST
from sorter.io.whole import whole_file

#: Lines of what no method can beat.
_BOUNDS = {FAULTLESS: "--", FEWEST: ":"}


def draw(result: dict[str, Any], path: Path) -> None:
    """Write a PNG: macro-F1 over clicks for each population, and stated against true probability of each head."""
    populations = [p for p in ("bright", "hits") if result["curves"].get(p)]
    sheet = Figure(figsize=(4.2 * (len(populations) + 1), 3.6), layout="constrained")
    FigureCanvasAgg(sheet)
    axes = sheet.subplots(1, len(populations) + 1)
    for ax, population in zip(axes, populations):
        for name, curve in result["curves"][population].items():
            mean, spread = np.array(curve["macro_f1"]), np.array(curve["macro_f1_sd"])
            bound = {"color": "0.5", "ls": _BOUNDS[name], "lw": 1.0} if name in _BOUNDS else {"lw": 1.5}
            (line,) = ax.plot(curve["clicks"], mean, label=name, **bound)
            ax.fill_between(curve["clicks"], mean - spread, mean + spread, color=line.get_color(), alpha=0.15, lw=0)
        ax.set(
            xlabel="clicks",
            ylabel="macro-F1",
            ylim=(0, 1),
            title=f"{population}: label quality per click",
            xscale="log",
        )
        ax.xaxis.set_major_locator(LogLocator(10, (1, 2, 5)))
        ax.xaxis.set_major_formatter("{x:.0f}")
        ax.xaxis.set_minor_locator(NullLocator())
        ax.grid(lw=0.4)
    axes[0].legend(fontsize=7, loc="lower right")
    ax = axes[-1]
    ax.plot([0, 1], [0, 1], color="0.6", lw=1)
    for head, found in result["calibration"].items():
        seen = np.array(found["count"]) > 0
        label = f"{head}, error {found['ece']:.3f}"
        ax.plot(np.array(found["stated"])[seen], np.array(found["true"])[seen], "o-", ms=3, lw=1.2, label=label)
    ax.set(
        xlabel="stated probability",
        ylabel="share that is right",
        xlim=(0, 1),
        ylim=(0, 1),
        title="reliability, 20 labels per class",
    )
    ax.legend(fontsize=7)
    ax.grid(lw=0.4)
    with whole_file(path) as partial:
        sheet.savefig(partial, format="png", dpi=110)
