"""A machine's grouping of frames; disposable."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.core.embedding import check_rows
from sorter.core.errors import InputError

NOISE = -1

#: Condensed tree of HDBSCAN: one row per link.
TREE_DTYPE = np.dtype([("parent", "<i8"), ("child", "<i8"), ("lambda_val", "<f8"), ("child_size", "<i8")])


@dataclass(frozen=True)
class Placed:
    """Hits (n,) that came after a clustering was made, placed in it: labels, strength, assigned as of `Clustering`;
    far bool: unlike anything that was clustered; xy (n, 2) float32: place in its layout."""

    labels: NDArray[np.int32]
    strength: NDArray[np.float32]
    assigned: NDArray[np.int32]
    far: NDArray[np.bool_]
    xy: NDArray[np.float32]


@dataclass(frozen=True)
class Clustering:
    """Clusters of frames, numbered by size: 0 is the largest, -1 is noise.

    frame_id (N,) uint64; labels (N,) int32, what the density found and nothing else; strength (N,) float32 in [0, 1];
    assigned (N,) int32, equal to labels where that is a cluster, else what a nearest-neighbour rule gives (-1 where it
    declines); medoids (n_clusters,) uint64 frame ids; tree: condensed tree (TREE_DTYPE) whose leaves are rows (of those that
    were clustered first, the others are in none) and whose nodes count on from N, its root; may be empty;
    meta: parameters and quality figures, JSON-ready.
    """

    name: str
    frame_id: NDArray[np.uint64]
    labels: NDArray[np.int32]
    strength: NDArray[np.float32]
    assigned: NDArray[np.int32]
    medoids: NDArray[np.uint64]
    tree: NDArray = field(default_factory=lambda: np.empty(0, TREE_DTYPE))
    meta: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        what = f"clustering {self.name}"
        check_rows(what, self.frame_id, labels=self.labels, strength=self.strength, assigned=self.assigned)
        if len(self.labels) and (self.labels.min() < NOISE or self.labels.max() >= self.n_clusters):
            raise InputError(f"{what}: labels must lie in -1..{self.n_clusters - 1} (one medoid per cluster)")

    @property
    def n_clusters(self) -> int:
        """Number of clusters, noise not counted."""
        return len(self.medoids)

    def members(self, cluster: int) -> NDArray[np.uint64]:
        """Ids of the frames of one cluster (-1: noise). Raises InputError for a cluster that does not exist."""
        if not NOISE <= cluster < self.n_clusters:
            have = f"0..{self.n_clusters - 1}" if self.n_clusters else "none"
            raise InputError(f"cluster {cluster}: not in clustering '{self.name}' (clusters: {have}; -1 is noise)")
        return self.frame_id[self.labels == cluster]


@dataclass(frozen=True)
class Memberships:
    """How much frames belong to the clusters of a clustering, the few largest shares of each.

    name: of the clustering; frame_id (N,) uint64; clusters (N, n) int32, -1 where there is none; shares (N, n) float32 in [0, 1],
    descending; what the shares of all clusters lack to 1 is the probability of noise. labels_sha256: checksum of the
    labels that they go with.
    """

    name: str
    frame_id: NDArray[np.uint64]
    clusters: NDArray[np.int32]
    shares: NDArray[np.float32]
    labels_sha256: str

    def __post_init__(self) -> None:
        check_rows(f"memberships {self.name}", self.frame_id, clusters=self.clusters, shares=self.shares)

    @classmethod
    def of(cls, clustering: Clustering, clusters: NDArray[np.int32], shares: NDArray[np.float32]) -> Memberships:
        """Those of the frames of ``clustering``, in its order."""
        digest = _labels_sha256(clustering.labels)
        return cls(clustering.name, clustering.frame_id, clusters, shares, digest)

    def fits(self, clustering: Clustering) -> bool:
        """Whether they are of these clusters; frames that were added to them since have none."""
        n = len(self.frame_id)
        return np.array_equal(clustering.frame_id[:n], self.frame_id) and self.labels_sha256 == _labels_sha256(
            clustering.labels[:n]
        )


def _labels_sha256(labels: NDArray[np.int32]) -> str:
    return hashlib.sha256(np.ascontiguousarray(labels, "<i4").tobytes()).hexdigest()
