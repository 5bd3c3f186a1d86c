"""From an embedding to a clustering and a layout."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.cluster.assign import assign_by_neighbours, medoids
from sorter.cluster.density import (
    DensityResult,
    all_noise,
    lone_points,
    one_population,
    stable_clusters,
    whole_population,
)
from sorter.cluster.reduce import principal_components, scale_block, umap
from sorter.core.clustering import NOISE, Clustering
from sorter.core.config import config_to_dict, require
from sorter.core.embedding import Embedding, Layout
from sorter.core.seeds import child_seed

log = logging.getLogger(__name__)

#: Brightest hits are clustered first where the 90th percentile of photons is this many times the 10th.
WIDE_BRIGHTNESS = 10.0

#: Fewer hits than this are no class by default.
SMALLEST_CLUSTER = 15
#: The sizes that are tried by default, in square roots of the number of clustered hits.
SIZE_FACTORS = (0.6, 0.8, 1.0, 1.25, 1.5)


@dataclass(frozen=True)
class ClusterConfig:
    """How hits are grouped and laid out; defaults chosen on simulated runs (`shotsort bench sorting`).

    embedding: name, several joined by "+", or "auto". pca_dims, umap_dims: dimensions kept before HDBSCAN, 0 leaves the
    step out. min_cluster_size: smallest group that counts; None tries sizes about the square root of the number of clustered
    hits, at least 15, and takes the result on which the others agree most.
    largest_share: clusters of more than this share of the clustered hits are cut into their parts where they have some.
    bright_share: share of the hits, brightest first, in which clusters are sought where brightness spans more than a decade
    (1: all); the others stay noise and are assigned by their neighbours. one_population: whether clusters between which the
    density has no valley are taken back. max_fit: most frames that UMAP is fitted to.
    """

    embedding: str = "auto"
    name: str = "density"
    pca_dims: int = 24
    umap_dims: int = 5
    umap_neighbors: int = 15
    min_cluster_size: int | None = None
    min_samples: int = 10
    selection: str = "eom"
    largest_share: float = 0.15
    bright_share: float = 1.0
    one_population: bool = True
    assign_neighbors: int = 15
    max_fit: int = 30_000
    layout_neighbors: int = 15
    layout_min_dist: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        for field, lowest in (
            ("pca_dims", 0), ("umap_dims", 0), ("umap_neighbors", 2), ("min_samples", 1), ("assign_neighbors", 1),
            ("layout_neighbors", 2), ("max_fit", 100),
        ):  # fmt: skip
            require(getattr(self, field) >= lowest, f"{field} = {getattr(self, field)}: must be at least {lowest}")
        size = self.min_cluster_size
        require(size is None or size >= 2, f"min_cluster_size = {size}: must be at least 2")
        require(self.selection in ("eom", "leaf"), f"selection = {self.selection}: choose eom or leaf")
        require(0 < self.largest_share <= 1, f"largest_share = {self.largest_share}: must lie in (0, 1]")
        require(0 < self.bright_share <= 1, f"bright_share = {self.bright_share}: must lie in (0, 1]")
        require(bool(self.embedding), "embedding: give a name")


def fit(embedding: Embedding, photons: NDArray[np.float64], config: ClusterConfig) -> tuple[Clustering, Layout]:
    """Clusters and layout of the frames of ``embedding``; ``photons`` (N,) say which are bright.

    The result does not depend on the order of rows and is the same for the same input and seed.
    """
    order = np.argsort(embedding.frame_id)
    ids = embedding.frame_id[order]
    points = principal_components(scale_block(embedding.vectors[order]), config.pca_dims)
    clustering = _clusters(embedding.name, ids, points, np.asarray(photons, np.float64)[order], config)
    return clustering, lay_out(embedding.name, ids, points, config)


def find_clusters(embedding: Embedding, photons: NDArray[np.float64], config: ClusterConfig) -> Clustering:
    """The clustering of `fit` without its layout."""
    order = np.argsort(embedding.frame_id)
    points = principal_components(scale_block(embedding.vectors[order]), config.pca_dims)
    return _clusters(embedding.name, embedding.frame_id[order], points, np.asarray(photons, np.float64)[order], config)


def _clusters(
    name: str, ids: NDArray[np.uint64], points: NDArray, photons: NDArray[np.float64], config: ClusterConfig
) -> Clustering:
    """The clustering of ``points`` (N, d), rows in order of their ids."""
    first = bright_rows(photons, config.bright_share)
    first = first[~lone_points(points[first], config.min_samples)]
    first, result, facts = _density(points, first, config)
    labels = np.full(len(ids), NOISE, np.int32)
    strength = np.zeros(len(ids), np.float32)
    labels[first], strength[first] = result.labels, result.strength
    assigned = assign_by_neighbours(points, labels, config.assign_neighbors)
    n_clusters = int(labels.max(initial=NOISE)) + 1
    meta = {
        "embedding": name,
        "config": config_to_dict(config),
        "n_hits": len(ids),
        "n_clustered_first": len(first),  # the others are dimmer, or lie alone
        "photons_clustered_first": float(photons[first].min()) if len(first) else None,
        "sizes": np.bincount(labels[labels >= 0], minlength=n_clusters).tolist(),
        "persistence": [round(float(p), 4) for p in result.persistence],
        "noise_share": round(float((labels < 0).mean()), 4) if len(ids) else None,
        "noise_share_clustered_first": round(float((result.labels < 0).mean()), 4) if len(first) else None,
        **facts,
    }
    stand_for = ids[medoids(points, labels, strength)]
    return Clustering(config.name, ids, labels, strength, assigned, stand_for, result.tree, meta)


def cluster_sizes(n: int, given: int | None) -> list[int]:
    """Smallest cluster sizes to try for ``n`` hits: the ``given`` one, or a few about the square root of n, at least 15."""
    if given is not None:
        return [given]
    return sorted({max(SMALLEST_CLUSTER, round(factor * np.sqrt(n))) for factor in SIZE_FACTORS})


def bright_rows(photons: NDArray, share: float) -> NDArray[np.int64]:
    """Rows, ascending, of the hits in which clusters are sought: all, or the brightest ``share`` where brightness is wide."""
    n = len(photons)
    if n == 0 or share == 1:
        return np.arange(n)
    low, high = np.percentile(photons, [10, 90])
    if high <= WIDE_BRIGHTNESS * max(low, 0):
        return np.arange(n)
    kept = np.lexsort((np.arange(n), -photons))[: int(np.ceil(share * n))]
    return np.sort(kept)


def _density(
    points: NDArray, first: NDArray[np.int64], config: ClusterConfig
) -> tuple[NDArray[np.int64], DensityResult, dict[str, Any]]:
    """Density clusters of the rows ``first`` of ``points`` (of all, where they are one population): those rows, their
    result, and what is worth telling about it."""
    chosen = points[first]
    sizes = cluster_sizes(len(first), config.min_cluster_size)
    size = sizes[len(sizes) // 2]
    facts: dict[str, Any] = {"min_cluster_size": size, "one_population": False, "warning": None, "sweep": []}
    if len(chosen) < max(2 * size, config.min_samples + 1):
        facts["warning"] = f"{len(points)} hits are too few for clusters of {size}: all are noise (-1)"
        log.warning("%s", facts["warning"])
        return first, all_noise(len(chosen)), facts
    seed = child_seed(config.seed, "cluster", "umap")
    alike = (chosen == chosen[0]).all()
    use_umap = config.umap_dims and not alike and len(chosen) > 2 * config.umap_dims + 2
    reduced = umap(chosen, config.umap_dims, config.umap_neighbors, 0.0, seed, config.max_fit) if use_umap else chosen
    result, facts["sweep"] = stable_clusters(reduced, sizes, config.min_samples, config.selection, config.largest_share)
    if alike or (config.one_population and one_population(chosen, result.labels)):
        facts["one_population"] = True
        log.warning("the hits form one population: they are kept as one cluster")
        first, result = np.arange(len(points)), whole_population(points, config.min_samples)
    return first, result, facts


def lay_out(name: str, ids: NDArray[np.uint64], points: NDArray, config: ClusterConfig) -> Layout:
    """2-D UMAP of ``points`` (N, d); principal components where there are too few of them or all are alike."""
    few = len(points) < 10 or (points == points[0]).all()
    if few:
        xy = np.zeros((len(points), 2), np.float32)
        if len(points):
            flat = principal_components(points, 2)[:, :2]
            xy[:, : flat.shape[1]] = flat
    else:
        seed = child_seed(config.seed, "cluster", "layout")
        xy = umap(points, 2, config.layout_neighbors, config.layout_min_dist, seed, config.max_fit)
    method = "pca" if few else "umap"
    return Layout(name, ids, xy, {"method": method, "config": config_to_dict(config)})


def empty_result(ids: NDArray[np.uint64], config: ClusterConfig, warning: str) -> tuple[Clustering, Layout]:
    """What is stored where there is nothing to cluster: every hit is noise."""
    n = len(ids)
    noise = np.full(n, NOISE, np.int32)
    name = "none" if config.embedding == "auto" else config.embedding
    meta = {"embedding": None, "config": config_to_dict(config), "n_hits": n, "sizes": [], "warning": warning}
    clustering = Clustering(
        config.name, ids, noise, np.zeros(n, np.float32), noise.copy(), np.empty(0, np.uint64), meta=meta
    )
    return clustering, Layout(name, ids, np.zeros((n, 2), np.float32), {"method": "none"})
