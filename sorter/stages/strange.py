"""Strange hits of a watched run: gathered, grouped, and proposed as a clustering."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sorter.cluster.assign import medoids
from sorter.cluster.fit import SMALLEST_CLUSTER
from sorter.cluster.reduce import Projection
from sorter.cluster.strange import new_groups, new_groups_apart
from sorter.core.clustering import Clustering
from sorter.core.identity import rows_of
from sorter.io.workfolder import WorkFolder
from sorter.online.sorting import Sorted
from sorter.online.status import STRANGE, LiveStatus
from sorter.online.strange import StrangeFrames
from sorter.stages.base import BaseInfo


class StrangeHits:
    """What is far from everything sorted: kept in the clustering STRANGE of ``work``, and told in ``status``.

    say: shows a line to whoever watches.
    """

    def __init__(
        self, work: WorkFolder, info: BaseInfo, projection: Projection, status: LiveStatus, say: Callable[[str], None]
    ) -> None:
        self._work, self._info, self._status, self._say = work, info, status, say
        self._find_groups = new_groups_apart
        self._gathered = StrangeFrames(self._group, 2 * SMALLEST_CLUSTER, self._propose)
        self._recall(projection)

    def add(self, found: Sorted) -> None:
        """Gather those of ``found`` that are far."""
        far = found.placement.far
        self._gathered.add(found.hit_ids[far], found.points[far])

    def finish(self) -> None:
        """Group what was gathered since the last time; nothing waits for this process any more."""
        self._find_groups = new_groups
        self._gathered.finish()

    def _recall(self, projection: Projection) -> None:
        """What earlier calls gathered, as far as it is still in the embeddings."""
        if STRANGE not in self._work.result_names("clusters"):
            return
        parts = [self._work.read_embedding(name) for name in self._info.parts]
        ids = self._work.read_clustering(STRANGE).frame_id
        for part in parts:
            ids = ids[rows_of(part.frame_id, ids) >= 0]
        vectors = [part.vectors[rows_of(part.frame_id, ids)] for part in parts]
        self._gathered.recall(ids, projection(vectors))

    def _group(self, ids: NDArray[np.uint64], points: NDArray[np.float32]) -> Clustering:
        found = self._find_groups(points, SMALLEST_CLUSTER, self._info.far_distance)
        stand_for = ids[medoids(points, found.labels, found.strength)]
        meta = {"embedding": self._info.embedding, "config": {"min_cluster_size": SMALLEST_CLUSTER}, "proposal": True}
        return Clustering(STRANGE, ids, found.labels, found.strength, found.labels.copy(), stand_for, found.tree, meta)

    def _propose(self, found: Clustering) -> None:
        self._work.write_clustering(found)
        sizes = np.bincount(found.labels[found.labels >= 0], minlength=found.n_clusters)
        if found.n_clusters > len(self._status.proposals):
            self._say(
                f"{int(sizes.sum())} strange hits form {found.n_clusters} group(s) of their own: clustering '{STRANGE}'"
            )
        self._status.proposals = [
            {"clustering": STRANGE, "cluster": number, "hits": int(n)} for number, n in enumerate(sizes)
        ]
