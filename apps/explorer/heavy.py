"""The long work that the explorer starts in other processes: each a function of plain values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.core.identity import IdIndex
from sorter.io.progress import Steps
from sorter.io.workfolder import WorkFolder

#: Principal components that frames are re-clustered in.
N_DIMS = 24
#: Fewer frames than this are clustered in the principal components themselves.
FEWEST_FOR_UMAP = 300
#: Most frames that are re-clustered at once; of more, a random part stands for all.
MOST_FRAMES = 50_000
RECLUSTER_STEPS = Steps("principal components", "neighbourhoods", "dense groups")


def recluster(
    work: str, embedding: str, frame_id: NDArray[np.uint64], min_cluster_size: int, min_samples: int, selection: str
) -> tuple[NDArray[np.uint64], NDArray[np.int32], NDArray[np.float32]]:
    """HDBSCAN on some frames alone, after UMAP to five dimensions where they are many: (frame_id, groups numbered by size with
    -1 for noise, strength). Raises InputError where too few of them are embedded."""
    from sorter.cluster.density import density_clusters
    from sorter.cluster.reduce import principal_components, scale_block, umap
    from sorter.core.errors import InputError
    from sorter.core.seeds import child_rng, child_seed
    from sorter.stages.cluster import find_embedding

    found = find_embedding(WorkFolder(work), embedding)
    rows = IdIndex(found.frame_id).rows(frame_id)
    frame_id, rows = frame_id[rows >= 0], rows[rows >= 0]
    if len(rows) < 2 * min_cluster_size:
        raise InputError(
            f"{len(rows)} embedded frames are too few for clusters of {min_cluster_size}; choose a smaller size"
        )
    if len(rows) > MOST_FRAMES:
        kept = np.sort(child_rng(0, "explorer", "recluster").choice(len(rows), MOST_FRAMES, replace=False))
        frame_id, rows = frame_id[kept], rows[kept]
    RECLUSTER_STEPS.begin("principal components")
    points = principal_components(scale_block(found.vectors[rows]), N_DIMS)
    if len(points) >= FEWEST_FOR_UMAP:
        RECLUSTER_STEPS.begin("neighbourhoods")
        points = umap(points, 5, 15, 0.0, child_seed(0, "explorer", "recluster"), MOST_FRAMES)
    RECLUSTER_STEPS.begin("dense groups")
    result = density_clusters(points, min_cluster_size, min_samples, selection)
    return frame_id, result.labels, result.strength


def lay_out(work: str, embedding: str) -> str:
    """Cluster and lay out the hits in another embedding, under its name; returns that name."""
    from sorter.stages.cluster import ClusterConfig, cluster

    return cluster(work, ClusterConfig(embedding=embedding, name=embedding.replace("+", "_"))).name


def make_layout(work: str) -> None:
    """Hits, embedding, clusters and layout of a work folder that has only frames; what is there already stays."""
    from apps.sort import SortConfig, group

    group(WorkFolder(work), SortConfig())


def propose(work: str, embedding: str, name: str) -> int:
    """Propose labels for all hits from those that were given; returns the number of classes."""
    from sorter.stages.propose import ProposeConfig
    from sorter.stages.propose import propose as run

    return len(run(work, ProposeConfig(embedding=embedding, n_next=24, name=name)).classes)


def export(work: str, subset: str, to: str, binned: bool) -> dict[str, Any]:
    """Write a stored subset to a file; returns its path and the number of frames."""
    from sorter.stages.export import ExportConfig
    from sorter.stages.export import export as run
    from sorter.stages.subset import SubsetConfig, choose_frames

    folder = WorkFolder(work)
    chosen = choose_frames(folder, SubsetConfig(subset=subset))
    path = run(folder, chosen, ExportConfig(str(Path(to)), binned))
    return {"path": str(path), "n_frames": len(chosen.frame_id)}
