"""Why the clusters of a run are clusters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sorter.core.clustering import Clustering
from sorter.core.identity import rows_of
from sorter.curate.why import ClusterReasons, reasons
from sorter.io.workfolder import WorkFolder
from sorter.preprocess.properties import frame_properties
from sorter.stages.cluster import find_embedding

#: Frames of each cluster that are looked at, spread over it.
FRAMES_PER_CLUSTER = 60
#: Clusters that each one is compared with.
N_NEAREST = 3
#: Frames, drawn at random from a longer run, whose vectors say which clusters are near to each other.
NEAR_FRAMES = 50_000


def why(work: str | Path | WorkFolder, clustering: str = "density", n_clusters: int = 40) -> list[ClusterReasons]:
    """What the frames of each of the ``n_clusters`` largest clusters share, and what sets them apart from the nearest ones.

    Looks at up to 60 frames of each, spread over the run. Raises MissingResultError before the hits were clustered.
    """
    work = work if isinstance(work, WorkFolder) else WorkFolder.open(work)
    return why_of(work, work.read_clustering(clustering), n_clusters)


def why_of(work: WorkFolder, clustering: Clustering, n_clusters: int) -> list[ClusterReasons]:
    """`why` for a clustering that was read already."""
    shown = range(min(n_clusters, clustering.n_clusters))
    chosen = [_spread(clustering.members(cluster)) for cluster in shown]
    if not chosen:
        return []
    labels = np.repeat(np.array(shown, np.int32), [len(ids) for ids in chosen])
    near = {
        c: [g for g in others if g in shown][:N_NEAREST] for c, others in nearest_clusters(work, clustering).items()
    }
    return reasons(frame_properties(work.frames(), np.concatenate(chosen)), labels, near)


def _spread(members: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Up to FRAMES_PER_CLUSTER of them, spread evenly."""
    return members[np.unique(np.linspace(0, len(members) - 1, min(FRAMES_PER_CLUSTER, len(members))).astype(np.int64))]


def nearest_clusters(work: WorkFolder, clustering: Clustering) -> dict[int, list[int]]:
    """For each cluster the others, nearest first, by the distance of their mean vectors in the embedding that was clustered;
    empty where that embedding is not kept, or there are fewer than two clusters."""
    named = clustering.meta.get("embedding")
    if not named or clustering.n_clusters < 2 or not set(named.split("+")) <= set(work.result_names("embeddings")):
        return {}
    embedding = find_embedding(work, named, NEAR_FRAMES)
    row = rows_of(clustering.frame_id, embedding.frame_id)
    labels = np.where(row >= 0, clustering.labels[row], -1)
    if len(np.unique(labels[labels >= 0])) != clustering.n_clusters:
        return {}
    middle = np.stack([embedding.vectors[labels == c].mean(axis=0) for c in range(clustering.n_clusters)])
    distance = np.linalg.norm(middle[:, None] - middle[None], axis=2)
    return {c: [int(g) for g in np.argsort(distance[c], kind="stable") if g != c] for c in range(clustering.n_clusters)}
