"""What the report shows of a work folder, read once: everything that is there, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from apps.explorer.run import IdIndex
from sorter.core.clustering import NOISE, Clustering
from sorter.core.embedding import Layout
from sorter.core.errors import MissingResultError, ShotsortError
from sorter.core.hits import Hits
from sorter.curate.label_book import LabelBook
from sorter.io.workfolder import WorkFolder
from sorter.io.zarr_store import ZarrFrameStore

T = TypeVar("T")


@dataclass(frozen=True)
class Snapshot:
    """One look at a work folder. What a stage has not made yet is None or empty.

    labels: label -> ids of its frames, ascending. truth: name -> (N,) values of a simulated run, in the store's order.
    manifests: records of the stages, without those of the report. problems: what could not be read, one line each.
    """

    work: WorkFolder
    store: ZarrFrameStore
    hits: Hits | None
    clustering: Clustering | None
    layout: Layout | None
    labels: dict[str, NDArray[np.uint64]]
    truth: Mapping[str, NDArray]
    manifests: list[dict[str, Any]]
    problems: tuple[str, ...] = field(default=())

    @property
    def hit_ids(self) -> NDArray[np.uint64]:
        """Frames to look at: the hits, or every frame before hits were looked for."""
        return self.store.frame_ids if self.hits is None else self.hits.hit_ids

    @property
    def n_clusters(self) -> int:
        """Number of clusters, noise not counted."""
        return 0 if self.clustering is None else self.clustering.n_clusters

    @property
    def photon_unit(self) -> str:
        """What a sum over good pixels is counted in."""
        return {"photon": "photons", "adu": "ADU"}.get(self.store.unit, "arbitrary units")

    def groups(self) -> list[int]:
        """The clusters, largest first, and noise (-1) last where there is any."""
        if self.clustering is None:
            return []
        noise = [NOISE] if (self.clustering.labels == NOISE).any() else []
        return [*range(self.n_clusters), *noise]

    @cached_property
    def _index(self) -> tuple[IdIndex, IdIndex, IdIndex]:
        """Rows in the store, the hits and the clustering."""
        none = np.empty(0, np.uint64)
        hits = none if self.hits is None else self.hits.frame_id
        clustered = none if self.clustering is None else self.clustering.frame_id
        return IdIndex(self.store.frame_ids), IdIndex(hits), IdIndex(clustered)

    @cached_property
    def _classes(self) -> NDArray[np.str_] | None:
        return np.asarray(self.truth["class"]).astype(str) if "class" in self.truth else None

    def rows_of(self, ids: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Row of each frame in the store."""
        return self._index[0].rows(ids)

    def photons_of(self, ids: NDArray[np.uint64]) -> NDArray[np.float64]:
        """Sum over good pixels of each frame; NaN where it is not known."""
        return _taken(self._index[1], None if self.hits is None else self.hits.photons, ids)

    def strength_of(self, ids: NDArray[np.uint64]) -> NDArray[np.float64]:
        """Cluster strength of each frame; NaN where it was not clustered."""
        return _taken(self._index[2], None if self.clustering is None else self.clustering.strength, ids)

    def cluster_of(self, ids: NDArray[np.uint64]) -> NDArray[np.float64]:
        """Cluster of each frame; NaN where it was not clustered."""
        return _taken(self._index[2], None if self.clustering is None else self.clustering.labels, ids)

    def class_of(self, ids: NDArray[np.uint64]) -> NDArray[np.str_] | None:
        """True class of each frame of a simulated run; None for a measured one."""
        return None if self._classes is None else self._classes[self.rows_of(ids)]


def _taken(index: IdIndex, values: NDArray | None, ids: NDArray[np.uint64]) -> NDArray[np.float64]:
    """``values`` of the frames ``ids``, NaN where there is none."""
    out = np.full(len(ids), np.nan)
    if values is not None:
        rows = index.rows(ids)
        out[rows >= 0] = values[rows[rows >= 0]]
    return out


def take_snapshot(work: WorkFolder) -> Snapshot:
    """Read a work folder. Raises WorkFolderError before anything was ingested."""
    problems: list[str] = []

    def reading(read: Callable[[], T], missing: T) -> T:
        try:
            return read()
        except MissingResultError:
            return missing
        except ShotsortError as error:
            problems.append(str(error))
            return missing

    work.frames()  # without frames there is nothing to report
    # results before what they are of, so that everything in them is found where frames are being added
    clustering = reading(lambda: work.read_clustering(_newest(work, "clusters", "density")), None)
    layout = reading(lambda: work.read_layout(_layout_name(work, clustering)), None)
    hits = reading(work.read_hits, None)
    store = work.frames()
    labels = reading(lambda: _labels(work), {})
    manifests = [m for m in work.manifests() if m["stage"] != "report"]
    return Snapshot(work, store, hits, clustering, layout, labels, store.truth, manifests, tuple(problems))


def _newest(work: WorkFolder, kind: str, preferred: str) -> str:
    names = work.result_names(kind)
    return preferred if preferred in names or not names else names[-1]


def _layout_name(work: WorkFolder, clustering: Clustering | None) -> str:
    """The layout of the embedding that was clustered, else the newest."""
    names = work.result_names("layouts")
    wanted = None if clustering is None else clustering.meta.get("embedding")
    return wanted if wanted in names else names[-1] if names else "none"


def _labels(work: WorkFolder) -> dict[str, NDArray[np.uint64]]:
    book = LabelBook(work.labels_path)
    return {label: book.frames_with(label) for label in book.labels()}
