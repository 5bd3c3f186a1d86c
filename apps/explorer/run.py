"""A sorted run as the explorer sees it: the frames of a layout with what is known of each. Read-only, shared by all pages."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from apps.explorer.jobs import Job
from apps.explorer.points import PointIndex, spread_order
from sorter.cluster.reduce import concatenate, principal_components
from sorter.core.clustering import NOISE, Clustering
from sorter.core.embedding import Embedding, Layout
from sorter.core.errors import MissingResultError
from sorter.core.hits import Hits
from sorter.core.identity import IdIndex
from sorter.io.workfolder import WorkFolder
from sorter.io.zarr_store import ZarrFrameStore

#: Cluster of a frame that the clustering has never seen.
NOT_CLUSTERED = -2
#: Embeddings of more values than this are kept as their leading principal components: memory for a million frames.
MOST_VALUES = 60_000_000
KEPT_COMPONENTS = 32
#: Text columns with more words than this are no categories.
MOST_CATEGORIES = 40


def taken(values: NDArray, rows: NDArray[np.int64], missing: float) -> NDArray:
    """``values[rows]``, with ``missing`` where a row is -1."""
    if not len(values):
        return np.full(len(rows), missing, values.dtype)
    return np.where(rows < 0, values.dtype.type(missing), values[rows])


@dataclass(frozen=True)
class Run:
    """One layout and one clustering over the frames of a work folder; arrays have one row per frame of the store.

    in_layout: row in the layout or -1. cluster: -1 noise, NOT_CLUSTERED where the clustering has not seen the frame.
    assigned: the same with the frames that were too dim or too lonely to be clustered given to the cluster they are like.
    strength: NaN there. photons: sum over good pixels in the store's unit. is_hit: all True where hits were never found.
    """

    work: WorkFolder
    store: ZarrFrameStore
    hits: Hits | None
    layout: Layout
    clustering: Clustering | None
    index: IdIndex
    in_layout: NDArray[np.int64]
    cluster: NDArray[np.int32]
    assigned: NDArray[np.int32]
    strength: NDArray[np.float32]
    photons: NDArray[np.float64]
    is_hit: NDArray[np.bool_]
    _read: dict[str, NDArray] = field(default_factory=dict)
    _coded: dict[str, tuple[NDArray[np.int32], list[str]] | None] = field(default_factory=dict)

    @property
    def frame_id(self) -> NDArray[np.uint64]:
        """(N,) ids of all frames, storage order."""
        return self.index.ids

    @property
    def n_clusters(self) -> int:
        """Number of clusters, noise not counted."""
        return self.clustering.n_clusters if self.clustering else 0

    @cached_property
    def layout_rows(self) -> NDArray[np.int64]:
        """Row in the store of each point of the layout."""
        return self.index.rows(self.layout.frame_id)

    @cached_property
    def points(self) -> PointIndex:
        """The points of the layout."""
        return PointIndex(self.layout.xy)

    @cached_property
    def spread(self) -> NDArray[np.int64]:
        """All points of the layout in an order of which every beginning stands for all of them."""
        return spread_order(taken(self.cluster, self.layout_rows, NOT_CLUSTERED))

    @cached_property
    def cluster_middles(self) -> dict[int, tuple[float, float]]:
        """Median place in the layout of each cluster that has points there."""
        cluster = taken(self.cluster, self.layout_rows, NOT_CLUSTERED)
        order = np.argsort(cluster, kind="stable")
        bounds = np.searchsorted(cluster[order], np.arange(self.n_clusters + 1))
        found = [(k, order[a:b]) for k, (a, b) in enumerate(pairwise(bounds)) if a < b]
        return {k: tuple(map(float, np.median(self.layout.xy[rows], axis=0))) for k, rows in found}

    @cached_property
    def source(self) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Source file number and index in that file of each frame."""
        return self.store.source_file, self.store.source_index

    @cached_property
    def score(self) -> NDArray[np.float32]:
        """(N,) hit score, NaN where hits were never found."""
        if self.hits is None:
            return np.full(len(self.frame_id), np.nan, np.float32)
        return taken(self.hits.score, IdIndex(self.hits.frame_id).rows(self.frame_id), np.nan)

    @cached_property
    def column_names(self) -> list[str]:
        """What else is known per frame and has one value: machine data, and the truth of a simulated run as ``truth: NAME``."""
        truth = (f"truth: {name}" for name in self.store.table_names("truth", single=True))
        return [*self.store.table_names("columns", single=True), *truth]

    def column(self, name: str) -> NDArray:
        """(N,) values of one of `column_names`, read once."""
        if name not in self._read:
            table, _, key = name.rpartition(": ")
            self._read[name] = self.store.table_column(table or "columns", key)
        return self._read[name]

    def categories(self, name: str) -> tuple[NDArray[np.int32], list[str]] | None:
        """A text column as codes (N,) and its words; None where it is none, or has more than MOST_CATEGORIES words."""
        if name not in self._coded:
            values = self.column(name)
            self._coded[name] = None
            if values.dtype.kind not in "iufb":
                words, codes = np.unique(values, return_inverse=True)
                if len(words) <= MOST_CATEGORIES:
                    self._coded[name] = codes.astype(np.int32), [str(word) for word in words]
        return self._coded[name]

    @cached_property
    def embedding_name(self) -> str | None:
        """The embedding that the clustering was made in, else that of the layout; None where it is not kept."""
        named = (self.clustering.meta.get("embedding") if self.clustering else None) or self.layout.name
        return named if set(named.split("+")) <= set(self.work.result_names("embeddings")) else None

    @cached_property
    def vectors(self) -> NDArray[np.float32] | None:
        """(N, d) embedding that the clustering was made in, NaN where a frame is not in it; None where it is not kept.

        Above MOST_VALUES values: the leading KEPT_COMPONENTS principal components.
        """
        if self.embedding_name is None:
            return None
        parts = [self.work.read_embedding(part) for part in self.embedding_name.split("+")]
        embedding = parts[0] if len(parts) == 1 else concatenate(parts)
        kept = embedding.vectors
        if kept.size > MOST_VALUES:
            kept = principal_components(kept, KEPT_COMPONENTS)
        return self._spread(Embedding(embedding.name, embedding.frame_id, kept))

    def _spread(self, embedding: Embedding) -> NDArray[np.float32]:
        vectors = np.full((len(self.frame_id), embedding.vectors.shape[1]), np.nan, np.float32)
        rows = self.index.rows(embedding.frame_id)
        vectors[rows[rows >= 0]] = embedding.vectors[rows >= 0]
        return vectors

    def medoid_rows(self) -> NDArray[np.int64]:
        """Row in the store of each cluster's medoid."""
        return self.index.rows(self.clustering.medoids) if self.clustering else np.empty(0, np.int64)

    def noise_rows(self) -> NDArray[np.int64]:
        """Rows of the frames that the clustering calls noise."""
        return np.flatnonzero(self.cluster == NOISE)


def load_run(work: WorkFolder, layout: str, clustering: str | None) -> Run:
    """Read a layout, a clustering and the hits. Raises MissingResultError where one of them is not there.

    In this order, so that every frame of a result that grows meanwhile is found in those read after it.
    """
    xy = work.read_layout(layout)
    grouped = work.read_clustering(clustering) if clustering else None
    hits = work.read_hits() if "default" in work.result_names("hits") else None
    store = work.frames()
    index = IdIndex(store.frame_ids)
    n = len(index.ids)
    cluster = assigned = np.full(n, NOT_CLUSTERED, np.int32)
    strength = np.full(n, np.nan, np.float32)
    photons, is_hit = np.full(n, np.nan), np.ones(n, bool)
    if grouped is not None:
        rows = IdIndex(grouped.frame_id).rows(index.ids)
        cluster, assigned = (taken(values, rows, NOT_CLUSTERED) for values in (grouped.labels, grouped.assigned))
        strength = taken(grouped.strength, rows, np.nan)
    if hits is not None:
        rows = IdIndex(hits.frame_id).rows(index.ids)
        photons, is_hit = taken(hits.photons, rows, np.nan), taken(hits.is_hit, rows, False)
    in_layout = IdIndex(xy.frame_id).rows(index.ids)
    return Run(work, store, hits, xy, grouped, index, in_layout, cluster, assigned, strength, photons, is_hit)


def _modified_ns(path: Path) -> int:
    """When a result was written; 0 while it is just being replaced."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


class Library:
    """The runs of a work folder that pages have open; each is read once as long as its files stay the same."""

    def __init__(self, work: WorkFolder) -> None:
        self.work = work
        self.job: Job | None = None  # what makes a layout where there is none
        self._load = lru_cache(maxsize=3)(lambda layout, clustering, _: load_run(work, layout, clustering))

    def layouts(self) -> list[str]:
        """Names of the layouts, the newest last."""
        return self.work.result_names("layouts")

    def clusterings(self) -> list[str]:
        """Names of the clusterings, the newest last."""
        return self.work.result_names("clusters")

    def stamp(self) -> tuple[tuple[str, str, int], ...]:
        """Changes when a layout, a clustering or the hits are made anew."""
        kinds = ("hits", "layouts", "clusters")
        names = [(kind, name) for kind in kinds for name in sorted(self.work.result_names(kind))]
        folder = self.work.path / "results.zarr"
        return tuple((kind, name, _modified_ns(folder / kind / name)) for kind, name in names)

    def load(self, layout: str | None = None, clustering: str | None = None) -> Run:
        """The run in the named layout and clustering; by default the density clustering and the layout of its embedding.

        Raises MissingResultError without a layout.
        """
        layouts, clusterings = self.layouts(), self.clusterings()
        if not layouts:
            raise MissingResultError(f"{self.work.path}: no layout yet; run 'shotsort cluster {self.work.path}' first")
        clustering = clustering or next((c for c in ("density", *clusterings[::-1]) if c in clusterings), None)
        if layout is None and clustering is not None:
            made_in = self.work.meta("clusters", clustering).get("embedding")
            layout = made_in if made_in in layouts else None
        return self._load(layout or layouts[-1], clustering, self.stamp())
