"""What a person looks at, and in which order its frames are shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apps.explorer.run import Run
from sorter.core.seeds import child_rng

#: Orders of a page of thumbnails, with what a person reads.
ORDERS = {
    "random": "random",
    "typical": "medoid first",
    "strange": "most strange first",
    "uncertain": "least certain first",
    "bright": "brightest first",
    "recorded": "as recorded",
}


@dataclass(frozen=True)
class Selection:
    """Frames that were pointed at. rows: (n,) rows in the store, ascending. reason: how they were pointed at, for the label
    book. kind and key: "cluster" and its number, "label" and the word, ..., so that a table can mark its row."""

    rows: NDArray[np.int64]
    title: str
    reason: str
    kind: str = "none"
    key: int | str | None = None

    def __len__(self) -> int:
        return len(self.rows)


NOTHING = Selection(np.empty(0, np.int64), "", "")


def in_order(run: Run, selection: Selection, order: str, shuffle: int) -> NDArray[np.int64]:
    """The rows of ``selection`` in one of ORDERS; ``shuffle`` numbers the random ones. What is not known comes last."""
    rows = selection.rows
    if order == "random":
        return child_rng(shuffle, "explorer", selection.reason).permutation(rows)
    keys = {
        "typical": lambda: distance_from_center(run, selection),
        "strange": lambda: -distance_from_center(run, selection),
        "uncertain": lambda: run.strength[rows],
        "bright": lambda: -run.photons[rows],
        "recorded": lambda: rows,
    }
    return rows[np.argsort(keys[order](), kind="stable")]


def distance_from_center(run: Run, selection: Selection) -> NDArray[np.floating]:
    """Distance in the embedding of each selected frame from the medoid of the cluster, else from the selection's mean; NaN
    where a frame is not in the embedding."""
    rows = selection.rows
    if run.vectors is None or not len(rows):
        return np.full(len(rows), np.nan)
    here = run.vectors[rows]
    if selection.kind == "cluster" and isinstance(selection.key, int) and selection.key >= 0:
        center = run.vectors[run.medoid_rows()[selection.key]]
    else:
        known = here[~np.isnan(here[:, 0])]
        center = known.mean(0) if len(known) else here[0]
    return np.linalg.norm(here - center, axis=1)


def nearest_in_embedding(run: Run, row: int, n: int) -> NDArray[np.int64]:
    """Rows of the ``n`` frames nearest to ``row`` in the embedding, itself included, ascending; none where it has no vector."""
    if run.vectors is None or np.isnan(run.vectors[row]).any():
        return np.empty(0, np.int64)
    distance = np.linalg.norm(run.vectors - run.vectors[row], axis=1)
    known = np.flatnonzero(~np.isnan(distance))
    n = min(n, len(known))
    return np.sort(known[np.argpartition(distance[known], n - 1)[:n]])
