"""What the points of a layout can be coloured by."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from apps.explorer.colors import Coloring, by_category, by_quantity, category_color
from apps.explorer.labels import LabelView
from apps.explorer.run import MOST_CATEGORIES, Run, taken


def colorings(run: Run, labels: LabelView, label_color: Callable[[str], str]) -> dict[str, Callable[[], Coloring]]:
    """Name -> maker of the colouring, for what this run has; the first is the default. label_color: colour of a label."""
    found: dict[str, Callable[[], Coloring]] = {}
    if run.clustering is not None:
        found["cluster"] = partial(_clusters, run)
    found["label"] = partial(_labels, run, labels, label_color)
    if run.hits is not None:
        found["photons"] = partial(_photons, run)
    if run.clustering is not None:
        found["strength"] = partial(_quantity, run, "strength", run.strength)
    if run.hits is not None:
        found["hit score"] = partial(_quantity, run, "hit score", run.score)
    found["time in the run"] = partial(_quantity, run, "time in the run", np.arange(len(run.frame_id)))
    found |= {name: partial(_column, run, name) for name in run.column_names}
    return found


def _clusters(run: Run) -> Coloring:
    names = [str(k) for k in range(run.n_clusters)]
    codes = taken(run.cluster, run.layout_rows, -1)
    return by_category("cluster", codes, names, [category_color(k) for k in range(run.n_clusters)])


def _labels(run: Run, labels: LabelView, label_color: Callable[[str], str]) -> Coloring:
    colors = [label_color(name) for name in labels.names]
    return by_category("label", taken(labels.codes(), run.layout_rows, -1), labels.names, colors, "no label")


def _photons(run: Run) -> Coloring:
    with np.errstate(divide="ignore", invalid="ignore"):
        photons = np.log10(taken(run.photons, run.layout_rows, np.nan))
    return by_quantity("log10 photons" if run.store.unit == "photon" else "log10 sum", photons)


def _quantity(run: Run, name: str, values: NDArray) -> Coloring:
    return by_quantity(name, taken(values.astype(np.float32), run.layout_rows, np.nan))


def _column(run: Run, name: str) -> Coloring:
    values = run.column(name)
    if values.dtype.kind in "iufb":
        return _quantity(run, name, values)
    found = run.categories(name)
    codes, words = found if found is not None else (np.full(len(values), -1), [])
    colors = [category_color(k) for k in range(len(words))]
    rest = "" if words else f"more than {MOST_CATEGORIES} different words"
    return by_category(name, taken(codes, run.layout_rows, -1), words, colors, rest)
