"""One row per frame as CSV."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TypeAlias

from sorter.core.clustering import Clustering, Memberships
from sorter.core.embedding import Layout
from sorter.core.errors import MissingResultError
from sorter.core.frames import find_rows
from sorter.core.hits import Hits
from sorter.core.subset import Subset
from sorter.curate.label_book import LabelBook
from sorter.curate.table import table_rows, write_table
from sorter.io.whole import whole_file
from sorter.io.workfolder import WorkFolder
from sorter.io.zarr_store import ZarrFrameStore


def table(
    work: str | Path | WorkFolder, to: str | Path | None = None, clustering: str = "density", layout: str | None = None,
    soft: bool = False,
) -> int:  # fmt: skip
    """Write the table of a run (columns: `sorter.curate.table.write_table`) to a file, or to standard output; returns its rows.

    layout: name of the one that x and y come from; None takes the one of the clustered embedding. Columns of results that are
    not there yet are empty. soft: with the clusters that each hit belongs to most. Raises MissingResultError before the hits
    were found, and for ``soft`` where the clusters were not made by 'shotsort cluster'.
    """
    work = work if isinstance(work, WorkFolder) else WorkFolder.open(work)
    parts = _parts(work, clustering, layout)
    memberships = _memberships(work, clustering, parts[2]) if soft else None
    if to is None:
        return write_table(sys.stdout, *parts, memberships)
    with whole_file(Path(to)) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        return write_table(file, *parts, memberships)


def _memberships(work: WorkFolder, name: str, clustering: Clustering | None) -> Memberships:
    found = work.read_memberships(name)
    if clustering is None or not found.fits(clustering):
        raise MissingResultError(
            f"{work.path}: the memberships '{name}' are of other clusters than are there now; run 'shotsort cluster --force'"
        )
    return found


def subset_rows(work: WorkFolder, subset: Subset, clustering: str = "density") -> list[list[str]]:
    """The rows of the table for the frames of a subset, in its order."""
    parts = _parts(work, clustering, None)
    return list(table_rows(find_rows(parts[0].frame_ids, subset.frame_id), *parts))


_Parts: TypeAlias = tuple[ZarrFrameStore, Hits, Clustering | None, Layout | None, LabelBook]


def _parts(work: WorkFolder, clustering: str, layout: str | None) -> _Parts:
    # results before what they are of, so that everything in them is found where frames are being added
    found = _clustering(work, clustering)
    chosen, hits = find_layout(work, found, layout), work.read_hits()
    return work.frames(), hits, found, chosen, LabelBook(work.labels_path)


def find_layout(work: WorkFolder, clustering: Clustering | None, name: str | None = None) -> Layout | None:
    """The layout ``name``; without one that of the clustered embedding, else the newest, else None."""
    if name is not None:
        return work.read_layout(name)
    names = work.result_names("layouts")
    clustered = None if clustering is None else clustering.meta.get("embedding")
    chosen = clustered if clustered in names else next(reversed(names), None)
    return None if chosen is None else work.read_layout(chosen)


def _clustering(work: WorkFolder, name: str) -> Clustering | None:
    try:
        return work.read_clustering(name)
    except MissingResultError:
        if name != "density":
            raise
        return None
