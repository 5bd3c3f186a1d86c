"""What the points of a layout can be coloured by."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from apps.explorer.colors import Coloring, by_category, by_quantity, category_color
from apps.explorer.labels import LabelView
from apps.explorer.run import IdIndex, Run, taken

#: Text columns with more words than this are no categories.
MOST_CATEGORIES = 40


def colorings(run: Run, labels: LabelView) -> dict[str, Callable[[], Coloring]]:
    """Name -> maker of the colouring, for what this run has; the first is the default."""
    found: dict[str, Callable[[], Coloring]] = {}
    if run.clustering is not None:
        found["cluster"] = partial(_clusters, run)
    found["label"] = partial(_labels, run, labels)
    if run.hits is not None:
        found["photons"] = partial(_photons, run)
    if run.clustering is not None:
        found["strength"] = partial(_quantity, run, "strength", run.strength)
    if run.hits is not None:
        found["hit score"] = partial(_score, run)
    for name, values in run.columns.items():
        if values.dtype.kind in "iufb":
            found[name] = partial(_quantity, run, name, values.astype(np.float64))
        elif len(np.unique(values)) <= MOST_CATEGORIES:
            found[name] = partial(_words, run, name, values)
    return found


def _clusters(run: Run) -> Coloring:
    names = [str(k) for k in range(run.n_clusters)]
    codes = taken(run.cluster, run.layout_rows, -1)
    return by_category("cluster", codes, names, [category_color(k) for k in range(run.n_clusters)])


def _labels(run: Run, labels: LabelView) -> Coloring:
    colors = [category_color(labels.number(name)) for name in labels.names]
    return by_category("label", taken(labels.codes(), run.layout_rows, -1), labels.names, colors, "no label")


def _photons(run: Run) -> Coloring:
    with np.errstate(divide="ignore", invalid="ignore"):
        photons = np.log10(taken(run.photons, run.layout_rows, np.nan))
    return by_quantity("log10 photons" if run.store.unit == "photon" else "log10 sum", photons)


def _score(run: Run) -> Coloring:
    assert run.hits is not None
    return _quantity(run, "hit score", taken(run.hits.score, IdIndex(run.hits.frame_id).rows(run.frame_id), np.nan))


def _quantity(run: Run, name: str, values: NDArray) -> Coloring:
    return by_quantity(name, taken(values, run.layout_rows, np.nan))


def _words(run: Run, name: str, values: NDArray) -> Coloring:
    words, codes = np.unique(values, return_inverse=True)
    colors = [category_color(k) for k in range(len(words))]
    return by_category(name, taken(codes, run.layout_rows, -1), [str(w) for w in words], colors)
