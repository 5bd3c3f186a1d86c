"""The figure of the sorting bench."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from apps.bench.sorting_table import figure
from sorter.io.whole import whole_file

#: Panels: title, and the columns whose best value is shown.
PANELS = {
    "ARI, bright hits": ("ARI bright",),
    "ARI, all hits (assigned)": ("assigned",),
    "balanced accuracy, 20 labels per class": ("k-NN 20", "probe 20", "own 20"),
}
_DEFAULT, _OTHER = "#c44e52", "#4c72b0"


def draw(result: dict[str, Any], path: Path) -> None:
    """Write a PNG: one row of panels per recipe, a bar per method (mean over the runs), a dot per run."""
    recipes = list(dict.fromkeys(row["recipe"] for row in result["rows"]))
    methods = list(dict.fromkeys(row["method"] for row in result["rows"]))
    sheet = Figure(figsize=(11, 0.6 + len(recipes) * (0.6 + 0.21 * len(methods))), layout="constrained")
    FigureCanvasAgg(sheet)
    axes = sheet.subplots(len(recipes), len(PANELS), sharey=True, squeeze=False)
    for i, recipe in enumerate(recipes):
        for j, (title, columns) in enumerate(PANELS.items()):
            ax = axes[i, j]
            for y, method in enumerate(methods):
                mine = [r for r in result["rows"] if r["recipe"] == recipe and r["method"] == method]
                best = [max(v) for r in mine if (v := [f for c in columns if (f := figure(r, c)) is not None])]
                if best:
                    color = _DEFAULT if method == result["default"] else _OTHER
                    ax.barh(y, sum(best) / len(best), color=color, height=0.7)
                    ax.plot(best, [y] * len(best), "o", color="black", ms=2.5)
            ax.set(xlim=(0, 1), yticks=range(len(methods)), title=f"{recipe}: {title}" if recipe else title)
            ax.title.set_size(9)
            ax.grid(axis="x", lw=0.4)
            ax.set_axisbelow(True)
        axes[i, 0].set_yticklabels(methods, fontsize=8)
        axes[i, 0].invert_yaxis()
    with whole_file(path) as partial:
        sheet.savefig(partial, format="png", dpi=110)
