"""Clusters as regions of high density."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from sorter.cluster.agreement import adjusted_rand_index
from sorter.cluster.neighbours import searcher
from sorter.core.clustering import NOISE, TREE_DTYPE

Labels = NDArray[np.int32]
_BLOCK = 16_384


@dataclass(frozen=True)
class DensityResult:
    """labels (N,) int32, clusters numbered by size, -1 noise; strength (N,) float32 in [0, 1], 0 for noise; tree: condensed
    tree (TREE_DTYPE); persistence (n_clusters,): stability of each cluster in [0, 1]; validity: relative density-based
    validity in [-1, 1] (Moulavi et al. 2014, on the spanning tree), None where there is no tree."""

    labels: Labels
    strength: NDArray[np.float32]
    tree: NDArray
    persistence: NDArray[np.float64]
    validity: float | None = None


#: A cluster may be cut into its parts as long as that makes at most this share of all points noise.
_NOISE_OF_A_CUT = 0.1
#: Clusters that come back from halves of the points to this adjusted Rand index are not cut into parts that do not.
_COMES_BACK = 0.9
#: Points of a half in `resample_agreement`, at most.
_LARGEST_HALF = 5000


def density_clusters(
    points: NDArray, min_cluster_size: int, min_samples: int, selection: str = "eom", largest_share: float = 1.0
) -> DensityResult:
    """HDBSCAN (Campello, Moulavi & Sander 2013; McInnes & Healy 2017) on ``points`` (N, d), Euclidean.

    Fewer than two clusters' worth of points are all noise; points that are all alike are one cluster. Clusters of more than
    ``largest_share`` of the points are cut along the tree into their parts, unless too much of them would become noise, or the
    clusters come back from halves of the points and the parts do not: then they have no parts worth the name, and stay whole.
    """
    whole = _whole(points, min_cluster_size, min_samples, selection)
    cut = cut_large(points, whole, min_cluster_size, min_samples, selection, largest_share)
    if np.array_equal(cut.labels, whole.labels):
        return whole

    def comes_back(result: DensityResult) -> bool:
        found = resample_agreement(points, result, min_cluster_size, min_samples, selection, largest_share)
        return found is not None and found >= _COMES_BACK

    return whole if comes_back(whole) and not comes_back(cut) else cut


def _whole(points: NDArray, min_cluster_size: int, min_samples: int, selection: str) -> DensityResult:
    """`density_clusters` without a largest share."""
    n = len(points)
    if n < max(2 * min_cluster_size, min_samples + 1):
        return all_noise(n)
    if (points == points[0]).all():
        return DensityResult(np.zeros(n, np.int32), np.ones(n, np.float32), np.empty(0, TREE_DTYPE), np.ones(1))
    return _hdbscan(points, min_cluster_size, min_samples, selection, 0)


def cut_large(
    points: NDArray, whole: DensityResult, min_cluster_size: int, min_samples: int, selection: str, largest_share: float
) -> DensityResult:
    """``whole``, or its clusters of more than ``largest_share`` of the points in parts that leave little of them as noise."""
    if not len(whole.tree) or _largest(whole) <= largest_share * len(points):
        return whole
    cut = _hdbscan(points, min_cluster_size, min_samples, selection, int(largest_share * len(points)))
    made_noise = (cut.labels < 0).mean() - (whole.labels < 0).mean()
    return cut if made_noise <= _NOISE_OF_A_CUT else whole


def _largest(result: DensityResult) -> int:
    """Points of the largest cluster."""
    return int(np.bincount(result.labels[result.labels >= 0], minlength=1).max())


def _hdbscan(points: NDArray, min_cluster_size: int, min_samples: int, selection: str, max_size: int) -> DensityResult:
    """One fit; max_size 0: no limit."""
    from hdbscan import HDBSCAN

    model = HDBSCAN(
        min_cluster_size,
        min_samples=min_samples,
        max_cluster_size=max_size,
        cluster_selection_method=selection,
        core_dist_n_jobs=1,
        gen_min_span_tree=True,
    )
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        model.fit(np.asarray(points, np.float64))
        validity = float(model.relative_validity_)
    strength = np.nan_to_num(model.probabilities_, nan=1.0).clip(0, 1).astype(np.float32)
    labels, order = by_size(model.labels_)
    tree = np.array(model.condensed_tree_.to_numpy(), copy=True)
    tree["lambda_val"] = np.nan_to_num(tree["lambda_val"], posinf=np.finfo(np.float64).max)
    persistence = np.nan_to_num(np.asarray(model.cluster_persistence_, np.float64), nan=1.0)[order]
    strength = np.where(labels < 0, 0, strength).astype(np.float32)
    found = validity if np.isfinite(validity) else None
    return DensityResult(labels, strength, tree.astype(TREE_DTYPE), persistence, found)


def stable_clusters(
    points: NDArray, sizes: list[int], min_samples: int, selection: str, largest_share: float = 1.0
) -> tuple[DensityResult, list[dict]]:
    """`density_clusters` for several smallest cluster sizes; returns the result on which the others agree most, and the sweep.

    HDBSCAN falls off cliffs: a slightly larger size can join a dozen clusters into three. Agreement is the mean adjusted Rand
    index with the results of the other sizes; of equals the size nearest to the middle of ``sizes`` is taken. The sweep has one
    entry per size: min_cluster_size, n_clusters, noise_share, agreement, validity (told, not used: by `shotsort bench choice` it
    chooses no better).
    """
    results = [density_clusters(points, size, min_samples, selection, largest_share) for size in sizes]
    table = [[adjusted_rand_index(a.labels, b.labels) or 0.0 for b in results] for a in results]
    others = max(len(results) - 1, 1)
    agreement = [(sum(row) - row[i]) / others for i, row in enumerate(table)]
    best = max(range(len(sizes)), key=lambda i: (round(agreement[i], 6), -abs(i - len(sizes) // 2)))
    sweep = [
        {
            "min_cluster_size": size,
            "n_clusters": len(result.persistence),
            "noise_share": round(float((result.labels < 0).mean()), 4) if len(points) else None,
            "agreement": round(score, 4),
            "validity": None if result.validity is None else round(result.validity, 4),
        }
        for size, result, score in zip(sizes, results, agreement)
    ]
    return results[best], sweep


def resample_agreement(
    points: NDArray,
    result: DensityResult,
    min_cluster_size: int,
    min_samples: int,
    selection: str,
    largest_share: float = 1.0,
) -> float | None:
    """How much of ``result`` comes back from half of the points: adjusted Rand index of its labels there and those of the half's
    own clusters (smallest size halved too; cut into parts where those of ``result`` were), mean over 3 halves of at most 5,000
    points; None where a half is too small."""
    n_half = min(len(points) // 2, _LARGEST_HALF)
    size = max(2, round(min_cluster_size * n_half / max(len(points), 1)))
    if n_half < max(2 * size, min_samples + 1):
        return None
    if _largest(result) > largest_share * len(points):  # it was not cut
        largest_share = 1.0
    found = []
    for seed in range(3):
        rows = np.random.default_rng(seed).choice(len(points), n_half, replace=False)
        whole = _whole(points[rows], size, min_samples, selection)
        again = cut_large(points[rows], whole, size, min_samples, selection, largest_share)
        found.append(adjusted_rand_index(result.labels[rows], again.labels) or 0.0)
    return round(float(np.mean(found)), 4)


def all_noise(n: int) -> DensityResult:
    """No clusters among ``n`` points."""
    none = np.full(n, NOISE, np.int32)
    return DensityResult(none, np.zeros(n, np.float32), np.empty(0, TREE_DTYPE), np.empty(0))


def by_size(labels: NDArray) -> tuple[Labels, NDArray[np.int64]]:
    """Labels renumbered so that 0 is the largest cluster (ties: the one whose first point comes first), and the old numbers."""
    kept = labels[labels >= 0]
    old, first, sizes = np.unique(kept, return_index=True, return_counts=True)
    order = old[np.lexsort((first, -sizes))].astype(np.int64)
    table = np.full((old.max() if len(old) else 0) + 2, NOISE, np.int32)
    table[order] = np.arange(len(order))
    return table[labels], order


def one_population(points: NDArray, labels: NDArray, valley: float = 0.2) -> bool:
    """Whether the clusters ``labels`` cut what is one population of ``points`` (N, d).

    For each pair of clusters all points are projected on the pair's linear discriminant (Fisher 1936, shrunk covariance);
    where the density along it, between the two clusters' medians, never falls by more than ``valley`` below the lower of the two
    sides, nothing separates that pair. One population: no pair is separated. Fewer than two clusters are not cut.
    """
    clusters = np.unique(labels[labels >= 0])
    if len(clusters) < 2:
        return False
    points = np.asarray(points, np.float64)
    return all(_valley_depth(points, labels == a, labels == b) < valley for a, b in combinations(clusters, 2))


def _valley_depth(points: NDArray, in_a: NDArray, in_b: NDArray) -> float:
    """Relative depth of the density's valley between two clusters along their discriminant; 0 where there is none."""
    within = np.concatenate([points[m] - points[m].mean(axis=0) for m in (in_a, in_b)])
    covariance = within.T @ within / len(within)
    covariance += np.eye(points.shape[1]) * (0.1 * np.trace(covariance) / points.shape[1] + 1e-12)
    along = points @ np.linalg.solve(covariance, points[in_b].mean(axis=0) - points[in_a].mean(axis=0))
    low, high = sorted((np.median(along[in_a]), np.median(along[in_b])))
    if high <= low:
        return 0.0
    width = (
        0.9 * min(along.std(), np.subtract(*np.percentile(along, [75, 25])) / 1.34) * len(along) ** -0.2
    )  # Silverman
    width = max(width, 1e-3 * (high - low))
    grid = np.linspace(low, high, 65)
    edges = np.linspace(along.min(), along.max(), 2049)
    counts, _ = np.histogram(along, edges)
    centres = (edges[1:] + edges[:-1]) / 2
    density = np.exp(-0.5 * ((grid[:, None] - centres) / width) ** 2) @ counts
    bottom = int(density.argmin())
    side = min(density[: bottom + 1].max(), density[bottom:].max())
    return float(1 - density[bottom] / side) if side > 0 else 0.0


def core_distance(points: NDArray, k: int, base: NDArray | None = None) -> NDArray[np.float64]:
    """Distance (N,) of each of ``points`` (N, d) to its ``k``-th nearest other one, of those in ``base`` where it is given."""
    search = searcher(points if base is None else base)
    parts = [search(points[start : start + _BLOCK], k + 1)[0][:, -1] for start in range(0, len(points), _BLOCK)]
    return np.concatenate([np.empty(0), *parts])


def far_distance(core: NDArray[np.float64]) -> float:
    """Core distance from which a point lies alone: five times the 95th percentile; inf where most points are alike.

    UMAP draws every point to some neighbours, so a lone one must be told before it.
    """
    usual = float(np.percentile(core, 95)) if len(core) else 0.0
    return 5 * usual if usual > 0 else np.inf


def typical_strength(core: NDArray[np.float64]) -> NDArray[np.float32]:
    """How well points (N,) belong to a single population: the median core distance over their own, at most 1."""
    typical = np.median(core) if len(core) else 0.0
    return np.minimum(1, typical / np.maximum(core, 1e-300)).astype(np.float32) if typical else np.ones_like(core, "f4")
