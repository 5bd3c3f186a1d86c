"""Group the hits into pattern classes and lay them out in 2-D."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.cluster.assigner import Assigner
from sorter.cluster.fit import SMALLEST_CLUSTER, ClusterConfig, cluster_points, empty_result, lay_out
from sorter.cluster.groups import CLUSTER_STEPS
from sorter.cluster.reduce import Projection, concatenate
from sorter.core.clustering import Clustering, Memberships
from sorter.core.config import config_to_dict
from sorter.core.embedding import Embedding, Layout
from sorter.core.errors import MissingResultError
from sorter.core.hits import Hits
from sorter.core.identity import rows_of
from sorter.io.workfolder import WorkFolder

__all__ = ["PREFERRED", "ClusterConfig", "cluster", "embedding_names", "find_assigner", "find_embedding"]

log = logging.getLogger(__name__)

_ROWS = 16_384

#: What "auto" takes: the first of these whose parts are all there.
PREFERRED = ("pretrained", "contrastive+features", "contrastive", "features", "factorvae", "pca")


def cluster(work: str | Path | WorkFolder, config: ClusterConfig | None = None, force: bool = False) -> Clustering:
    """Cluster the hits of a work folder on an embedding and lay them out; stores and returns the clustering.

    The layout is stored under the embedding's name. Called again with the same config on the same vectors it returns what
    is there, unless ``force``. Too few hits are warned about and left as noise. Raises MissingResultError before the hits
    were found or embedded.
    """
    config = config or ClusterConfig()
    work = work if isinstance(work, WorkFolder) else WorkFolder.open(work)
    hits = work.read_hits()
    parts = _parts_of_hits(work, hits, config)
    inputs = _inputs(parts, hits)
    if not force and _up_to_date(work, config, inputs):
        log.info("cluster: up to date")
        return work.read_clustering(config.name)
    with work.stage("cluster", config_to_dict(config), config.seed, inputs) as record:
        if parts is None:
            warning = f"{len(hits.hit_ids)} hits are too few to cluster: all are noise (-1)"
            log.warning("%s", warning)
            clustering, memberships, layout = empty_result(hits.hit_ids, config, warning)
            work.write_assigner(config.name, {}, {"embedding": None})
        else:
            clustering, memberships, layout = _fitted(work, hits, parts, config, inputs["sha256"])
        work.write_layout(layout)
        work.write_memberships(memberships)
        work.write_clustering(clustering)
        record.outputs.update(clustering=clustering.name, layout=layout.name)
        record.metrics.update({
            "cluster/clusters": clustering.n_clusters, "cluster/noise_share": clustering.meta["noise_share"]
        })  # fmt: skip
    return clustering


@dataclass(frozen=True)
class _Parts:
    """The embeddings that are clustered together: name, ids (N,) of the hits, their vectors (N, d_i)."""

    name: str
    ids: NDArray[np.uint64]
    vectors: list[Any]


def _fitted(
    work: WorkFolder, hits: Hits, parts: _Parts, config: ClusterConfig, digest: str
) -> tuple[Clustering, Memberships, Layout]:
    """Clusters, memberships and layout, and what assigns further frames, which is stored. An earlier fit lends its numbers and
    places; a layout that a call with the same inputs left behind is taken as it is."""
    CLUSTER_STEPS.begin("principal components")
    projection = Projection.of(parts.vectors, config.pca_dims)
    order = np.argsort(parts.ids)
    ids, points = parts.ids[order], projection(parts.vectors)[order]
    photons = hits.photons[rows_of(hits.frame_id, ids)]
    before = work.read_clustering(config.name) if config.name in work.result_names("clusters") else None
    clustering, memberships, assigner = cluster_points(parts.name, ids, points, photons, config, before)
    arrays = {f"projection_{k}": v for k, v in vars(projection).items()} | assigner.arrays()
    work.write_assigner(config.name, arrays, {"embedding": parts.name})
    layout = work.read_layout(parts.name) if parts.name in work.result_names("layouts") else None
    made_from = {"inputs_sha256": digest, "config": config_to_dict(config)}
    if layout is None or any(layout.meta.get(key) != value for key, value in made_from.items()):
        CLUSTER_STEPS.begin("layout")
        layout = lay_out(parts.name, ids, points, clustering.labels, config, layout)
        layout = replace(layout, meta=layout.meta | made_from)
    return clustering, memberships, layout


def find_assigner(work: WorkFolder, name: str = "density") -> tuple[list[str], Projection, Assigner]:
    """What assigns frames that come later to the clusters of the clustering ``name``: the embeddings whose vectors it takes,
    what makes points of them, and what gives points their clusters. Raises MissingResultError before there is one."""
    arrays, meta = work.read_assigner(name)
    if meta["embedding"] is None:
        raise MissingResultError(
            f"{work.path}: too few hits were clustered to assign others by; run 'shotsort cluster' again"
        )
    projection = Projection(arrays.pop("projection_offset"), arrays.pop("projection_matrix"))
    return meta["embedding"].split("+"), projection, Assigner.of_arrays(arrays)


def embedding_names(work: WorkFolder, name: str) -> list[str]:
    """The embeddings that ``name`` means: "a+b" joins several, "auto" takes the best of those that are there."""
    if name == "auto":
        have = set(work.result_names("embeddings"))
        known = (choice for choice in PREFERRED if set(choice.split("+")) <= have)
        name = next(known, next(iter(sorted(have)), PREFERRED[0]))
    return name.split("+")


def find_embedding(work: WorkFolder, name: str, at_most: int | None = None) -> Embedding:
    """The embedding ``name`` of a work folder; "a+b" joins several, "auto" takes the best of those that are there.

    at_most: of more frames, that many are drawn at random (the same ones each time), and only their vectors are kept.
    """
    names = embedding_names(work, name)
    if at_most is None:
        return concatenate([work.read_embedding(part) for part in names])
    ids = np.sort(work.open_embedding(names[0])[0])
    drawn = np.sort(np.random.default_rng(0).choice(ids, min(at_most, len(ids)), replace=False))
    return concatenate([_some_of(work, part, drawn) for part in names])


def _some_of(work: WorkFolder, name: str, ids: NDArray[np.uint64]) -> Embedding:
    """The embedding ``name`` of those of ``ids`` that it holds, read block by block."""
    have, stored = work.open_embedding(name)
    rows = np.flatnonzero(np.isin(have, ids))
    blocks = [(start, rows[(rows >= start) & (rows < start + _ROWS)] - start) for start in range(0, len(have), _ROWS)]
    vectors = [stored[start : start + _ROWS][within] for start, within in blocks]
    return Embedding(name, have[rows], np.concatenate([np.empty((0, stored.shape[1]), np.float32), *vectors]))


def _parts_of_hits(work: WorkFolder, hits: Hits, config: ClusterConfig) -> _Parts | None:
    """The vectors of the hits, on disk where each embedding holds just them; None where nothing was embedded because there are
    too few hits for it."""
    ids = hits.hit_ids
    few = len(ids) < 2 * (config.min_cluster_size or SMALLEST_CLUSTER)
    if len(ids) == 0 or (few and not work.result_names("embeddings")):
        return None
    names = embedding_names(work, config.embedding)
    for name in names:  # frames that could not be read any more when they were embedded
        have, stored = work.open_embedding(name)
        if len(have) < len(ids) and stored.meta.get("unreadable_frames", 0) >= len(ids) - len(have):
            log.warning("%d hits could not be read when '%s' was made: not clustered", len(ids) - len(have), name)
            ids = ids[rows_of(have, ids) >= 0]
    return _Parts("+".join(names), ids, [_vectors(work, name, ids) for name in names])


def _vectors(work: WorkFolder, name: str, ids: NDArray[np.uint64]) -> Any:
    have, stored = work.open_embedding(name)
    if np.array_equal(have, ids):
        return stored
    rows = rows_of(have, ids)
    if (rows < 0).any():
        raise MissingResultError(
            f"{work.path}: embedding '{name}' lacks {int((rows < 0).sum())} of {len(ids)} hits; run 'shotsort embed' again"
        )
    return stored[:][rows]


def _inputs(parts: _Parts | None, hits: Hits) -> dict[str, Any]:
    digest = hashlib.sha256(hits.hit_ids.tobytes())
    if parts is not None:
        for vectors in parts.vectors:
            for start in range(0, vectors.shape[0], _ROWS):
                digest.update(np.ascontiguousarray(vectors[start : start + _ROWS]))
        digest.update(hits.photons[hits.is_hit])
    name = None if parts is None else parts.name
    return {"embedding": name, "hits": len(hits.hit_ids), "sha256": digest.hexdigest()}


def inputs_digest(embedding: Embedding | None, hits: Hits) -> str:
    """Checksum of what decides a clustering, its config apart: the hits, their photons and their vectors."""
    digest = hashlib.sha256(hits.hit_ids.tobytes())
    if embedding is not None:
        digest.update(np.ascontiguousarray(embedding.vectors).tobytes())
        digest.update(hits.photons[hits.is_hit].tobytes())
    return digest.hexdigest()


def _up_to_date(work: WorkFolder, config: ClusterConfig, inputs: dict[str, Any]) -> bool:
    """Whether the last run that wrote this clustering had the same inputs and config, and its results are still there."""
    runs = [m for m in work.manifests("cluster") if m["outputs"].get("clustering") == config.name]
    if not runs or runs[-1]["config"] != config_to_dict(config) or runs[-1]["inputs"] != inputs:
        return False
    layout = runs[-1]["outputs"]["layout"]
    return config.name in work.result_names("clusters") and layout in work.result_names("layouts")
