"""A sorted run against its truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.cluster import agreement as agree
from sorter.cluster.few_labels import few_label_accuracy, linear_probe, nearest_neighbours
from sorter.core.clustering import NOISE, Clustering
from sorter.core.embedding import Embedding
from sorter.core.hits import Hits
from sorter.core.identity import rows_of

BRIGHT_PHOTONS = 20_000
CLEAR_HIT_PHOTONS = 1_000
UNNAMED = ""


@dataclass(frozen=True)
class Truth:
    """frame_id (N,) uint64; classes (N,) text; is_hit (N,) bool; photons (N,) float64, the particle's detected photons."""

    frame_id: NDArray[np.uint64]
    classes: NDArray[np.str_]
    is_hit: NDArray[np.bool_]
    photons: NDArray[np.float64]


def evaluate_run(
    truth: Truth, hits: Hits, clustering: Clustering | None, embedding: Embedding | None, seed: int = 0
) -> dict[str, Any]:
    """Figures of a sorted run, JSON-ready; None where something they need is not there.

    hit_*: frames found as hits, among true hits of at least 1,000 photons and all true blanks.
    hits_*: true hits; bright_*: true hits of at least 20,000 detected photons. ``ari`` and ``nmi`` count noise and missed
    hits as one extra group, ``_without_noise`` leaves both out, as ``purity`` does; ``noise`` is the share of both.
    They use the density result; ``hits_ari_assigned`` and other ``_assigned`` figures use what neighbours assigned.
    macro_f1_one_label_per_cluster: each cluster is named by its most common class; noise and missed hits have no name.
    knn_ and probe_balanced_accuracy: `few_label_accuracy` on the embedding of the true hits that were found.
    """
    return evaluate_clusters(truth, hits, clustering) | evaluate_few_labels(truth, hits, embedding, seed)


def evaluate_clusters(truth: Truth, hits: Hits, clustering: Clustering | None) -> dict[str, Any]:
    """The figures of `evaluate_run` that need no embedding."""
    found = _look_up(hits.frame_id, hits.is_hit, truth.frame_id, False)
    out: dict[str, Any] = {
        "n_frames": len(truth.frame_id),
        "n_true_hits": int(truth.is_hit.sum()),
        "n_bright": int((truth.is_hit & (truth.photons >= BRIGHT_PHOTONS)).sum()),
        "n_found_hits": int(found.sum()),
    }
    out |= _hit_figures(truth, found)
    return out | _cluster_figures(truth, found, clustering)


def _look_up(ids: NDArray, values: NDArray, wanted: NDArray, missing: Any) -> NDArray:
    """``values`` of the frames ``wanted``; ``missing`` where they have none."""
    rows = rows_of(ids, wanted)
    if not len(values):
        return np.full(len(wanted), missing)
    return np.where(rows >= 0, values[rows], missing)


def _hit_figures(truth: Truth, found: NDArray[np.bool_]) -> dict[str, Any]:
    counted = ~truth.is_hit | (truth.photons >= CLEAR_HIT_PHOTONS)
    precision, recall, f1 = agree.f1_score(truth.is_hit[counted], found[counted])
    overall = agree.f1_score(truth.is_hit, found)
    return {
        "hit_precision": precision, "hit_recall": recall, "hit_f1": f1, "hit_f1_any_brightness": overall[2],
    }  # fmt: skip


def _cluster_figures(truth: Truth, found: NDArray[np.bool_], clustering: Clustering | None) -> dict[str, Any]:
    true_hits = truth.is_hit
    bright = true_hits & (truth.photons >= BRIGHT_PHOTONS)
    groups = assigned = None
    if clustering is not None:
        ids = clustering.frame_id
        groups = np.where(found, _look_up(ids, clustering.labels, truth.frame_id, NOISE), NOISE)
        assigned = np.where(found, _look_up(ids, clustering.assigned, truth.frame_id, NOISE), NOISE)
    out: dict[str, Any] = {"n_clusters": None if clustering is None else clustering.n_clusters}
    for name, rows in (("bright", bright), ("hits", true_hits)):
        out |= _group_figures(name, "", truth.classes, groups, rows)
        out |= _group_figures(name, "_assigned", truth.classes, assigned, rows)
    out["macro_f1_one_label_per_cluster"] = _named_f1(truth, groups)
    out["macro_f1_one_label_per_cluster_assigned"] = _named_f1(truth, assigned)
    return out


def _group_figures(name: str, end: str, classes: NDArray, groups: NDArray | None, rows: NDArray) -> dict[str, Any]:
    keys = ("ari", "nmi", "ari_without_noise", "nmi_without_noise", "purity", "noise")
    values: tuple[float | None, ...] = (None,) * len(keys)
    if groups is not None and rows.any():
        c, g = classes[rows], groups[rows]
        kept = g != NOISE
        values = (
            agree.adjusted_rand_index(c, g), agree.normalised_mutual_information(c, g),
            agree.adjusted_rand_index(c[kept], g[kept]), agree.normalised_mutual_information(c[kept], g[kept]),
            agree.purity(c[kept], g[kept]), float((~kept).mean()),
        )  # fmt: skip
    return {f"{name}_{key}{end}": value for key, value in zip(keys, values)}


def _named_f1(truth: Truth, groups: NDArray | None) -> float | None:
    """Macro-F1 over the true hits, each cluster named by the most common class of all its frames."""
    if groups is None or not truth.is_hit.any():
        return None
    clustered = groups != NOISE
    names = agree.most_common(truth.classes[clustered], groups[clustered])
    named = np.array([names.get(int(g), UNNAMED) for g in groups[truth.is_hit]])
    return agree.macro_f1(truth.classes[truth.is_hit], named)


def evaluate_few_labels(truth: Truth, hits: Hits, embedding: Embedding | None, seed: int = 0) -> dict[str, Any]:
    """The figures of `evaluate_run` that tell what the embedding is worth to a person who labels a few frames."""
    found = _look_up(hits.frame_id, hits.is_hit, truth.frame_id, False)
    kinds = {"knn": nearest_neighbours, "probe": linear_probe}
    bright = truth.photons >= BRIGHT_PHOTONS
    out: dict[str, Any] = {}
    for prefix, wanted in (("", truth.is_hit & found), ("bright_", truth.is_hit & found & bright)):
        for kind, classify in kinds.items():
            value = dict.fromkeys(("1", "5", "20"))
            if embedding is not None:
                rows = rows_of(embedding.frame_id, truth.frame_id)
                used = wanted & (rows >= 0)
                value = few_label_accuracy(embedding.vectors[rows[used]], truth.classes[used], classify, seed)
            out[f"{prefix}{kind}_balanced_accuracy"] = value
    return out
