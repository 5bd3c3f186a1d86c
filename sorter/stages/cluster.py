"""Group the hits into pattern classes and lay them out in 2-D."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

import numpy as np

from sorter.cluster.fit import SMALLEST_CLUSTER, ClusterConfig, empty_result, fit
from sorter.cluster.reduce import concatenate
from sorter.core.clustering import Clustering
from sorter.core.config import config_to_dict
from sorter.core.embedding import Embedding
from sorter.core.errors import MissingResultError
from sorter.core.hits import Hits
from sorter.core.identity import rows_of
from sorter.io.workfolder import WorkFolder

__all__ = ["PREFERRED", "ClusterConfig", "cluster", "find_embedding"]

log = logging.getLogger(__name__)

#: What "auto" takes: the first of these whose parts are all there.
PREFERRED = ("contrastive+features", "contrastive", "features", "factorvae", "pca")


def cluster(work: str | Path | WorkFolder, config: ClusterConfig | None = None, force: bool = False) -> Clustering:
    """Cluster the hits of a work folder on an embedding and lay them out; stores and returns the clustering.

    The layout is stored under the embedding's name. Called again with the same config on the same vectors it returns what
    is there, unless ``force``. Too few hits are warned about and left as noise. Raises MissingResultError before the hits
    were found or embedded.
    """
    config = config or ClusterConfig()
    work = work if isinstance(work, WorkFolder) else WorkFolder.open(work)
    hits = work.read_hits()
    embedding = _embedding_of_hits(work, hits, config)
    inputs = _inputs(embedding, hits)
    if not force and _up_to_date(work, config, inputs):
        log.info("cluster: up to date")
        return work.read_clustering(config.name)
    with work.stage("cluster", config_to_dict(config), config.seed, inputs) as record:
        if embedding is None:
            warning = f"{len(hits.hit_ids)} hits are too few to cluster: all are noise (-1)"
            log.warning("%s", warning)
            clustering, layout = empty_result(hits.hit_ids, config, warning)
        else:
            photons = hits.photons[rows_of(hits.frame_id, embedding.frame_id)]
            clustering, layout = fit(embedding, photons, config)
        work.write_layout(layout)
        work.write_clustering(clustering)
        record.outputs.update(clustering=clustering.name, layout=layout.name)
        noise = float((clustering.labels < 0).mean()) if len(clustering.labels) else None
        record.metrics.update({"cluster/clusters": clustering.n_clusters, "cluster/noise_share": noise})
    return clustering


def find_embedding(work: WorkFolder, name: str) -> Embedding:
    """The embedding ``name`` of a work folder; "a+b" joins several, "auto" takes the best of those that are there."""
    if name == "auto":
        have = set(work.result_names("embeddings"))
        known = (choice for choice in PREFERRED if set(choice.split("+")) <= have)
        name = next(known, next(iter(sorted(have)), PREFERRED[0]))
    return concatenate([work.read_embedding(part) for part in name.split("+")])


def _embedding_of_hits(work: WorkFolder, hits: Hits, config: ClusterConfig) -> Embedding | None:
    """The vectors of the hits; None where nothing was embedded because there are too few hits for it."""
    ids = hits.hit_ids
    few = len(ids) < 2 * (config.min_cluster_size or SMALLEST_CLUSTER)
    if len(ids) == 0 or (few and not work.result_names("embeddings")):
        return None
    embedding = find_embedding(work, config.embedding)
    rows = rows_of(embedding.frame_id, ids)
    if (rows < 0).any():
        raise MissingResultError(
            f"{work.path}: embedding '{embedding.name}' lacks {int((rows < 0).sum())} of {len(ids)} hits;"
            " run 'shotsort embed' again"
        )
    return Embedding(embedding.name, ids, embedding.vectors[rows], embedding.meta)


def _inputs(embedding: Embedding | None, hits: Hits) -> dict[str, Any]:
    name = None if embedding is None else embedding.name
    return {"embedding": name, "hits": len(hits.hit_ids), "sha256": inputs_digest(embedding, hits)}


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
