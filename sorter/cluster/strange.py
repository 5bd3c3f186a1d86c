"""New groups among hits that are unlike anything sorted before."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import numpy as np
from numpy.typing import NDArray

from sorter.cluster.density import DensityResult, all_noise, core_distance, density_clusters
from sorter.core.clustering import NOISE

#: A new group begins with few hits, so they lie farther from each other than those of a whole run.
_THINNER = 1.5


def new_groups(points: NDArray, fewest: int, usual_distance: float) -> DensityResult:
    """Groups of at least ``fewest`` among strange ``points`` (N, d).

    Hits that are strange each for itself are no group, however many: only those count that have others about as near as sorted
    hits have (``usual_distance``, a high percentile of their core distance). Among them HDBSCAN looks for clusters; where it
    finds no two, they are one group.
    """
    k = max(2, fewest // 3)
    if len(points) < max(fewest, k + 1):
        return all_noise(len(points))
    core = core_distance(points, k)
    rows = np.flatnonzero(core <= _THINNER * usual_distance)
    if len(rows) < fewest:
        return all_noise(len(points))
    found = density_clusters(points[rows], fewest, k)
    labels, strength = np.full(len(points), NOISE, np.int32), np.zeros(len(points), np.float32)
    if len(found.persistence):
        labels[rows], strength[rows] = found.labels, found.strength
        return DensityResult(labels, strength, found.tree, found.persistence)
    labels[rows] = 0
    strength[rows] = np.minimum(1, np.median(core[rows]) / np.maximum(core[rows], 1e-300))
    return DensityResult(labels, strength, found.tree, np.ones(1))


def new_groups_apart(points: NDArray, fewest: int, usual_distance: float) -> DensityResult:
    """`new_groups`, without its validity, in a process of its own: HDBSCAN holds Python's lock for up to a second, in which
    this process could do nothing else. The other one has low priority, and outlives Ctrl-C for as long as it computes."""
    given = io.BytesIO()
    np.savez(given, points=points, fewest=fewest, usual_distance=usual_distance)
    path = os.pathsep.join(place or os.getcwd() for place in sys.path)
    done = subprocess.run(
        [sys.executable, "-m", "sorter.cluster.strange"],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        input=given.getvalue(),
        stdout=subprocess.PIPE,
        start_new_session=True,
        check=True,
    )
    with np.load(io.BytesIO(done.stdout)) as found:
        return DensityResult(**found)


def _answer() -> None:
    """What the process of `new_groups_apart` does: points on standard input, groups on standard output."""
    os.nice(10)
    with np.load(io.BytesIO(sys.stdin.buffer.read())) as given:
        found = new_groups(given["points"], int(given["fewest"]), float(given["usual_distance"]))
    out = io.BytesIO()
    np.savez(out, **{name: getattr(found, name) for name in ("labels", "strength", "tree", "persistence")})
    try:
        sys.stdout.buffer.write(out.getvalue())
        sys.stdout.flush()
    except BrokenPipeError:  # who asked is gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    _answer()
