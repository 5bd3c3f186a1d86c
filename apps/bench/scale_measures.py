"""The measurements of ``shotsort bench scale`` beside the stages: bare limits, assignment, sampling."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

#: Points that are assigned, and those of them that hdbscan's own prediction is asked about.
_ASSIGNED, _PREDICTED = 20_000, 2_000


#: Points of the fits that are compared.
_FITTED = (10_000, 20_000, 50_000)


def measure_reading(work: Path) -> float:
    """Frames/s of reading all frames of a work folder, checksums included, in one thread."""
    from sorter.io.workfolder import WorkFolder

    store = WorkFolder.open(work).frames()
    started = time.perf_counter()
    for _ in store.blocks():
        pass
    return round(len(store) / (time.perf_counter() - started), 1)


def measure_limits(work: Path) -> dict[str, float]:
    """Frames/s of the bare network, and of the embedding in the same run."""
    from sorter.io.workfolder import WorkFolder
    from sorter.stages.embed import bench_embedding

    found = bench_embedding(WorkFolder.open(work))
    return {name: found[name] for name in ("network_frames_per_s", "embed_frames_per_s")}


def measure_fits(d: int = 5) -> list[dict[str, Any]]:
    """Seconds of a fit of hdbscan and, where it is installed, of fast_hdbscan, by number of points: what decides
    which one is used, and up to how many points."""
    from hdbscan import HDBSCAN

    from sorter.cluster.agreement import adjusted_rand_index

    try:
        from fast_hdbscan import HDBSCAN as FastHDBSCAN
    except ImportError:
        FastHDBSCAN = None
    rows = []
    if FastHDBSCAN is not None:
        FastHDBSCAN(min_cluster_size=15, min_samples=10).fit(_clumps(1000, d))  # compiled once
    for n in _FITTED:
        points = _clumps(n, d)
        fits = {"hdbscan": HDBSCAN(min_cluster_size=round(n**0.5), min_samples=10, core_dist_n_jobs=1)}
        if FastHDBSCAN is not None:
            fits["fast_hdbscan"] = FastHDBSCAN(min_cluster_size=round(n**0.5), min_samples=10)
        row: dict[str, Any] = {"points": n, "dimensions": d}
        labels = []
        for name, model in fits.items():
            started, cpu = time.perf_counter(), time.process_time()
            labels.append(model.fit(points).labels_)
            row[f"{name}_seconds"] = round(time.perf_counter() - started, 2)
            row[f"{name}_cpu_seconds"] = round(time.process_time() - cpu, 2)
        row["ari"] = adjusted_rand_index(labels[0], labels[-1])
        rows.append(row)
    return rows


def _clumps(n: int, d: int) -> Any:
    """Points (n, d) float64: twenty normal clumps of different widths."""
    import numpy as np

    rng = np.random.default_rng(0)
    kind = rng.integers(0, 20, n)
    return (rng.normal(size=(20, d)) * 2)[kind] + rng.normal(size=(n, d)) * (0.2 + 0.02 * kind[:, None])


def measure_assignment(n_base: int = 50_000, d: int = 16) -> dict[str, Any]:
    """Points/s of `DensityAssigner` against those of hdbscan's ``approximate_predict``, on the same fit and points."""
    import numpy as np
    from hdbscan import HDBSCAN, approximate_predict

    from sorter.cluster.assign import DensityAssigner
    from sorter.cluster.density import by_size

    rng = np.random.default_rng(0)
    centres = rng.normal(size=(20, d)) * 2

    def draw(n: int) -> Any:
        kind = rng.integers(0, 20, n)
        return centres[kind] + rng.normal(size=(n, d)) * (0.5 + 0.05 * kind[:, None])

    base, points = draw(n_base), draw(_ASSIGNED)
    model = HDBSCAN(100, min_samples=10, prediction_data=True, core_dist_n_jobs=1).fit(base)
    labels, order = by_size(model.labels_)
    assigner = DensityAssigner.of_fit(base, labels, model.condensed_tree_.to_numpy(), 10)
    assigner(points[:64])
    started, cpu = time.perf_counter(), time.process_time()
    found = assigner(points)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    started, their_cpu = time.perf_counter(), time.process_time()
    expected, _ = approximate_predict(model, points[:_PREDICTED])
    theirs, their_cpu = time.perf_counter() - started, time.process_time() - their_cpu
    renamed = np.append(np.argsort(order), -1)[expected]
    return {
        "base_points": n_base, "dimensions": d, "clusters": len(order),
        "points_per_s": round(_ASSIGNED / seconds, 1), "points_per_cpu_s": round(_ASSIGNED / cpu, 1),
        "approximate_predict_points_per_s": round(_PREDICTED / theirs, 1),
        "approximate_predict_points_per_cpu_s": round(_PREDICTED / their_cpu, 1),
        "equal_share": float((found.labels[:_PREDICTED] == renamed).mean()),
    }  # fmt: skip


def measure_sampling(n: int = 200_000, n_fitted: int = 50_000, d: int = 5) -> dict[str, Any]:
    """How far clusters fitted to a sample, the rest assigned, agree with those of a fit to all points: adjusted Rand index
    with noise counted as a group, and over the points that neither calls noise."""
    import numpy as np

    from sorter.cluster.config import ClusterConfig
    from sorter.cluster.groups import find_groups

    rng = np.random.default_rng(0)
    kind = rng.integers(0, 24, n)
    points = (rng.normal(size=(24, d)) * 3)[kind] + rng.normal(size=(n, d)) * (0.3 + 0.04 * kind[:, None])
    points[: n // 20] = rng.uniform(-9, 9, (n // 20, d))  # a background
    labels, seconds = [], []
    for max_fit in (n, n_fitted):
        started = time.process_time()
        size = round(max_fit**0.5)
        config = ClusterConfig(
            umap_dims=0, max_fit=max_fit, min_cluster_size=size, largest_share=1.0, one_population=False
        )
        labels.append(find_groups(points.astype(np.float32), np.arange(n), config).labels)
        seconds.append(round(time.process_time() - started, 1))
    return {
        "points": n, "fitted": n_fitted, "dimensions": d, **_agreement(*labels),
        "cpu_seconds": seconds[0], "cpu_seconds_of_sample": seconds[1],
    }  # fmt: skip


def measure_run_sampling(work: Path, most: int = 200_000, n_fitted: int = 50_000) -> dict[str, Any]:
    """The same on the embedding of a run, by all that `sorter.cluster.fit` does: at most ``most`` of its hits are fitted, then a
    sample of them. Beside it a second fit to all with another seed, as UMAP draws another picture each time, and how each agrees
    with the simulated classes."""
    import numpy as np

    from sorter.cluster.agreement import adjusted_rand_index
    from sorter.cluster.config import ClusterConfig
    from sorter.cluster.fit import find_clusters
    from sorter.core.identity import rows_of
    from sorter.io.workfolder import WorkFolder
    from sorter.stages.cluster import find_embedding

    folder = WorkFolder.open(work)
    embedding, hits, store = find_embedding(folder, "auto", most), folder.read_hits(), folder.frames()
    order = np.argsort(embedding.frame_id)  # that in which clusterings have their rows
    photons = hits.photons[rows_of(hits.frame_id, embedding.frame_id)]
    classes = store.truth["class"][rows_of(store.frame_ids, embedding.frame_id[order])]
    n = len(classes)
    found, seconds = {}, {}
    for name, max_fit, seed in (("all", n, 0), ("sample", n_fitted, 0), ("all_again", n, 1)):
        started = time.process_time()
        found[name] = find_clusters(embedding, photons, ClusterConfig(max_fit=max_fit, seed=seed)).labels
        seconds[name] = round(time.process_time() - started, 1)
    again = _agreement(found["all"], found["all_again"])
    return {
        "hits": n, "fitted": n_fitted, **_agreement(found["all"], found["sample"]),
        "ari_of_two_full_fits": again["ari"], "ari_without_noise_of_two_full_fits": again["ari_without_noise"],
        **{f"ari_with_classes_{name}": adjusted_rand_index(classes, labels) for name, labels in found.items()},
        **{f"cpu_seconds_{name}": value for name, value in seconds.items()},
    }  # fmt: skip


def _agreement(full: Any, sample: Any) -> dict[str, Any]:
    """Of the labels (N,) of a fit to all and of another one."""
    from sorter.cluster.agreement import adjusted_rand_index

    both = (full >= 0) & (sample >= 0)
    return {
        "clusters": int(full.max()) + 1, "clusters_of_sample": int(sample.max()) + 1,
        "ari": adjusted_rand_index(full, sample), "ari_without_noise": adjusted_rand_index(full[both], sample[both]),
        "noise_share": float((full < 0).mean()), "noise_share_of_sample": float((sample < 0).mean()),
    }  # fmt: skip
