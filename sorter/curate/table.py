"""One row per frame, for whoever goes on with other tools."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from sorter.core.clustering import Clustering, Memberships
from sorter.core.embedding import Layout
from sorter.core.hits import Hits
from sorter.core.identity import rows_of
from sorter.curate.label_book import LabelBook
from sorter.io.zarr_store import ZarrFrameStore

COLUMNS = (
    "frame_id", "source_file", "source_index", "photons", "hit", "cluster", "strength", "assigned_cluster", "label", "x", "y",
)  # fmt: skip
_BLOCK = 10_000


def write_table(
    file: TextIO,
    store: ZarrFrameStore,
    hits: Hits,
    clustering: Clustering | None,
    layout: Layout | None,
    book: LabelBook,
    memberships: Memberships | None = None,
) -> int:
    """Write the table of a run as CSV, rows in order of (source_file, source_index); returns how many rows it has.

    photons is the measured sum over good pixels; cluster is the density result, -1 for noise, and assigned_cluster what
    neighbours add to it; cluster, strength, assigned_cluster, x and y are empty for a frame that is no hit, and where nothing was
    clustered; several labels are joined by ";". With ``memberships`` columns cluster_1, membership_1, cluster_2, ... follow: the
    clusters that a hit belongs to most, and how much.
    """
    writer = csv.writer(file, lineterminator="\n")
    order = table_order(store)
    rows = table_rows(order, store, hits, clustering, layout, book)
    if memberships is None:
        writer.writerow(COLUMNS)
        writer.writerows(rows)
        return len(order)
    n = memberships.clusters.shape[1]
    writer.writerow([*COLUMNS, *(f"{what}_{i}" for i in range(1, n + 1) for what in ("cluster", "membership"))])
    soft = rows_of(memberships.frame_id, store.frame_ids[order])
    writer.writerows([*row, *_soft(memberships, place)] for row, place in zip(rows, soft))
    return len(order)


def _soft(memberships: Memberships, row: int) -> list[str]:
    """Cluster and share, as often as there are any; empty for a frame that has none."""
    if row < 0:
        return [""] * (2 * memberships.clusters.shape[1])
    pairs = zip(memberships.clusters[row], memberships.shares[row])
    return [text for c, share in pairs for text in (("", "") if c < 0 else (str(c), _text(share)))]


def table_order(store: ZarrFrameStore) -> NDArray[np.int64]:
    """Rows of the store in order of (source_file, source_index), source_file as text."""
    paths = np.array([source.path for source in store.info.sources], str)
    rank = np.unique(paths, return_inverse=True)[1]
    return np.lexsort((store.source_index, rank[store.source_file] if len(rank) else store.source_file))


def table_rows(
    rows: NDArray[np.int64], store: ZarrFrameStore, hits: Hits, clustering: Clustering | None, layout: Layout | None,
    book: LabelBook,
) -> Iterator[list[str]]:  # fmt: skip
    """The rows of `write_table` for the frames in ``rows`` of the store, as text."""
    ids, files, index = store.frame_ids[rows], store.source_file[rows], store.source_index[rows]
    in_hits = rows_of(hits.frame_id, ids)
    is_hit = (in_hits >= 0) & (hits.is_hit[in_hits] if len(hits.is_hit) else False)
    none = np.full(len(ids), -1)
    in_clusters = none if clustering is None else np.where(is_hit, rows_of(clustering.frame_id, ids), -1)
    in_layout = none if layout is None else np.where(is_hit, rows_of(layout.frame_id, ids), -1)
    columns = (ids, files, index, in_hits, is_hit, in_clusters, in_layout)
    paths = [source.path for source in store.info.sources]
    labels = book.state()
    for start in range(0, len(ids), _BLOCK):
        block = [column[start : start + _BLOCK] for column in columns]
        yield from _rows(block, labels.labels_of(ids[start : start + _BLOCK]), paths, hits, clustering, layout)


def _rows(
    block: list[NDArray],
    labels: list[tuple[str, ...]],
    paths: list[str],
    hits: Hits,
    clustering: Clustering | None,
    layout: Layout | None,
) -> Iterator[list[str]]:
    """Rows of the table. block: frame id, place of the source, index in it, row in the hits, whether it is one, rows in the
    clustering and in the layout (-1 where it is not there) of each frame."""
    for (frame_id, file, place, h, hit, c, xy), said in zip(zip(*block), labels):
        cluster = strength = assigned = x = y = ""
        if clustering is not None and c >= 0:
            cluster, assigned = str(clustering.labels[c]), str(clustering.assigned[c])
            strength = _text(clustering.strength[c])
        if layout is not None and xy >= 0:
            x, y = (_text(v) for v in layout.xy[xy])
        photons = _text(hits.photons[h]) if h >= 0 else ""
        path = paths[file] if len(paths) else ""
        hit_text = "true" if hit else "false"
        yield [str(frame_id), path, str(place), photons, hit_text, cluster, strength, assigned, ";".join(said), x, y]


def _text(value: np.floating) -> str:
    """A number in as few digits as hold it; whole numbers without a point, nothing for NaN."""
    if np.isnan(value):
        return ""
    return str(int(value)) if float(value).is_integer() else str(value)
