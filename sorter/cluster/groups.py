"""The groups of a run: density clusters of its hits, or of a sample of them and what that says of the others."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.cluster.assign import Assigned, DensityAssigner
from sorter.cluster.assigner import Assigner, Level
from sorter.cluster.config import ClusterConfig
from sorter.cluster.density import (
    DensityResult,
    all_noise,
    core_distance,
    density_clusters,
    far_distance,
    one_population,
    resample_agreement,
    stable_clusters,
    typical_strength,
)
from sorter.cluster.reduce import Placement, umap
from sorter.core.clustering import NOISE, TREE_DTYPE
from sorter.core.seeds import child_rng, child_seed
from sorter.io.progress import Steps

log = logging.getLogger(__name__)

#: Fewer hits than this are no class by default.
SMALLEST_CLUSTER = 15
#: What clustering tells of its progress.
CLUSTER_STEPS = Steps("principal components", "neighbourhoods", "dense groups", "layout")
#: The sizes that are tried by default, in square roots of the number of clustered hits.
SIZE_FACTORS = (0.6, 0.8, 1.0, 1.25, 1.5)
#: Clusters that a hit's shares are kept of, the largest ones.
SOFT = 3
#: Rare groups are sought in at most this many hits, half of them noise, have at least this many square roots of the noise's
#: number, and are made of noise to at least this share.
RARE_FIT, RARE_FACTOR, RARE_NOISE = 20_000, 0.5, 0.8


@dataclass(frozen=True)
class Groups:
    """labels (N,) int32 in any numbering, -1 noise; strength (N,) float32; soft_labels, soft_shares (N, SOFT): the clusters that
    each belongs to most (`Memberships`); fitted: rows that HDBSCAN was fitted to, and what it found there; assigner: for other
    points; facts: what is worth telling, JSON-ready."""

    labels: NDArray[np.int32]
    strength: NDArray[np.float32]
    soft_labels: NDArray[np.int32]
    soft_shares: NDArray[np.float32]
    fitted: NDArray[np.int64]
    result: DensityResult
    assigner: Assigner
    facts: dict[str, Any]


def cluster_sizes(n: int, given: int | None) -> list[int]:
    """Smallest cluster sizes to try for ``n`` hits: the ``given`` one, or a few about the square root of n, at least 15."""
    if given is not None:
        return [given]
    return sorted({max(SMALLEST_CLUSTER, round(factor * np.sqrt(n))) for factor in SIZE_FACTORS})


def drawn(rows: NDArray[np.int64], wanted: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """``wanted`` of ``rows``, or all where there are no more, ascending; each as likely as any other, so densities stay."""
    return rows if len(rows) <= wanted else np.sort(rng.choice(rows, wanted, replace=False))


def find_groups(points: NDArray, rows: NDArray[np.int64], config: ClusterConfig) -> Groups:
    """Groups of ``points`` (N, d), sought among ``rows``; the others are noise, unless all is one population."""
    sample = drawn(rows, config.max_fit, child_rng(config.seed, "cluster", "sample"))
    core = (
        core_distance(points[sample], config.min_samples) if len(sample) > config.min_samples else np.zeros(len(sample))
    )
    far = far_distance(core)
    fitted = sample[core <= far]
    result, level, facts = _fit(points[fitted], far, len(points), config)
    facts["n_drawn"] = len(sample) if len(sample) < len(rows) else None
    if facts["one_population"]:
        return _one_population(points, sample, far, config, facts)
    all_of = Assigned.nowhere(len(points), SOFT)
    labels, strength, soft = all_of.labels, all_of.strength, all_of.soft
    labels[fitted], strength[fitted] = result.labels, result.strength
    if level is None:
        return Groups(labels, strength, *soft, fitted, result, Assigner(()), facts)
    levels = [level]
    places = points[fitted] if level.placement is None else level.placement.places
    soft[0][fitted], soft[1][fitted] = level.density(places, SOFT).soft
    if len(sample) < len(rows):
        rest = np.setdiff1d(rows, sample, assume_unique=True)
        found = level(points[rest], SOFT)
        labels[rest], strength[rest] = found.labels, found.strength
        soft[0][rest], soft[1][rest] = found.soft
        levels += _rare(points, rows, all_of, float(np.median(core)), config, facts)
    return Groups(labels, strength, *soft, fitted, result, Assigner(tuple(levels)), facts)


def renumbered(groups: Groups, table: NDArray[np.int32]) -> Groups:
    """The groups with cluster c called ``table[c]``; persistence stays in the order that it had."""
    full = np.append(table, np.int32(NOISE))
    result = replace(groups.result, labels=full[groups.result.labels])
    assigner = Assigner(tuple(replace(level, numbers=full[level.numbers]) for level in groups.assigner.levels))
    soft = full[groups.soft_labels]
    return replace(groups, labels=full[groups.labels], soft_labels=soft, result=result, assigner=assigner)


def _fit(
    points: NDArray, far: float, n_hits: int, config: ClusterConfig
) -> tuple[DensityResult, Level | None, dict[str, Any]]:
    """Density clusters of ``points``, what assigns others by them, and what is worth telling."""
    sizes = cluster_sizes(len(points), config.min_cluster_size)
    size = sizes[len(sizes) // 2]
    facts: dict[str, Any] = {"min_cluster_size": size, "one_population": False, "warning": None, "sweep": []}
    if len(points) < max(2 * size, config.min_samples + 1):
        facts["warning"] = f"{n_hits} hits are too few for clusters of {size}: all are noise (-1)"
        log.warning("%s", facts["warning"])
        return all_noise(len(points)), None, facts
    seed = child_seed(config.seed, "cluster", "umap")
    alike = (points == points[0]).all()
    use_umap = config.umap_dims and not alike and len(points) > 2 * config.umap_dims + 2
    CLUSTER_STEPS.begin("neighbourhoods")
    reduced = umap(points, config.umap_dims, config.umap_neighbors, 0.0, seed) if use_umap else points
    CLUSTER_STEPS.begin("dense groups")
    settings = (config.min_samples, config.selection, config.largest_share)
    result, facts["sweep"] = stable_clusters(reduced, sizes, *settings)
    facts["resample_agreement"] = resample_agreement(reduced, result, size, *settings)
    if alike or (config.one_population and one_population(points, result.labels)):
        facts["one_population"] = True
        log.warning("the hits form one population: they are kept as one cluster")
        return result, None, facts
    if not len(result.tree) or not len(result.persistence):
        return result, None, facts
    placement = Placement(np.asarray(points, np.float64), reduced) if use_umap else None
    numbers = np.arange(len(result.persistence), dtype=np.int32)
    return result, Level(placement, _rule(reduced, result, config), numbers, far), facts


def _rule(points: NDArray, result: DensityResult, config: ClusterConfig) -> DensityAssigner:
    return DensityAssigner.of_fit(points, result.labels, result.tree, config.min_samples)


def _rare(
    points: NDArray,
    rows: NDArray[np.int64],
    all_of: Assigned,
    typical: float,
    config: ClusterConfig,
    facts: dict,
) -> list[Level]:
    """Groups among the noise of ``rows`` that are too rare to be seen in the sample; written into ``all_of``.

    They are sought among the points themselves (UMAP would draw what is left over into clumps of its own), with some of the
    clustered hits beside them. One counts that is made of noise and as dense as half of the run's hits are: its median core
    distance is at most the ``typical`` one.
    """
    labels, strength = all_of.labels, all_of.strength
    rng = child_rng(config.seed, "cluster", "rare")
    noise = rows[labels[rows] < 0]
    some = drawn(noise, RARE_FIT // 2, rng)
    sample = np.concatenate([some, drawn(rows[labels[rows] >= 0], max(len(some), 20 * config.min_samples), rng)])
    size = config.min_cluster_size or max(SMALLEST_CLUSTER, round(RARE_FACTOR * np.sqrt(len(some))))
    result = density_clusters(points[sample], size, config.min_samples, config.selection)
    core = core_distance(points[sample], config.min_samples) if len(sample) > config.min_samples else np.empty(0)
    numbers = np.full(len(result.persistence), NOISE, np.int32)
    for cluster in range(len(numbers)):
        members = np.flatnonzero(result.labels == cluster)
        if (members < len(some)).mean() >= RARE_NOISE and np.median(core[members]) <= typical:
            numbers[cluster] = labels.max() + 1 + (numbers >= 0).sum()
    facts["rare_clusters"] = int((numbers >= 0).sum())
    if not facts["rare_clusters"]:
        return []
    level = Level(None, _rule(points[sample], result, config), numbers, np.inf)
    found = level(points[noise])
    labels[noise], strength[noise] = found.labels, found.strength
    own = np.append(numbers, np.int32(NOISE))[result.labels[: len(some)]]
    labels[some], strength[some] = own, np.where(own < 0, 0, result.strength[: len(some)])
    rare = noise[labels[noise] >= 0]  # of no other cluster: the tree that knows them does not know the others
    all_of.soft_labels[rare], all_of.soft_shares[rare] = NOISE, 0
    all_of.soft_labels[rare, 0], all_of.soft_shares[rare, 0] = labels[rare], strength[rare]
    return [level]


def _one_population(
    points: NDArray, sample: NDArray[np.int64], far: float, config: ClusterConfig, facts: dict[str, Any]
) -> Groups:
    """All points as one cluster, but for those that lie alone."""
    n = len(points)
    base = points if len(sample) == n else points[sample]
    core = core_distance(points, config.min_samples, base)
    if len(sample) == n:
        far = far_distance(core)
    labels = np.where(core > far, NOISE, 0).astype(np.int32)
    strength = np.where(labels < 0, 0, typical_strength(core)).astype(np.float32)
    result = DensityResult(labels, strength, np.empty(0, TREE_DTYPE), np.ones(1))
    level = Level(None, DensityAssigner.of_one(base, config.min_samples), np.zeros(1, np.int32), far)
    soft_labels, soft_shares = Assigned.nowhere(n, SOFT).soft
    soft_labels[:, 0], soft_shares[:, 0] = labels, strength
    return Groups(labels, strength, soft_labels, soft_shares, np.arange(n), result, Assigner((level,)), facts)
