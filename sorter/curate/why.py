"""Why frames are in a cluster: what its frames have in common, and what sets them apart from the clusters nearest to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: A property separates two clusters where a frame of one exceeds a frame of the other at least this often.
SEPARATES = 0.75
_QUANTILES = (10, 50, 90)


@dataclass(frozen=True)
class Difference:
    """In one property a cluster lies above (or below) ``other`` (a cluster, or -1 for all other hits): medians of both, and
    ``chance``: how often a frame of the cluster exceeds one of the other (0.5: never mind; 1: always; 0: never)."""

    name: str
    other: int
    here: float
    there: float
    chance: float


@dataclass(frozen=True)
class ClusterReasons:
    """cluster; n_frames looked at; quantiles: property -> its 10, 50 and 90 % (absent where fewer than a quarter of the frames
    show it); nearest: clusters, the nearest first; differences: from all other hits and from each of the nearest, the clearest
    first."""

    cluster: int
    n_frames: int
    quantiles: dict[str, tuple[float, float, float]]
    nearest: tuple[int, ...]
    differences: tuple[Difference, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "cluster": self.cluster,
            "n_frames": self.n_frames,
            "quantiles": {name: list(values) for name, values in self.quantiles.items()},
            "nearest": list(self.nearest),
            "differences": [vars(d) for d in self.differences],
        }


def reasons(
    properties: dict[str, NDArray[np.float64]], labels: NDArray[np.int32], nearest: dict[int, list[int]]
) -> list[ClusterReasons]:
    """Reasons for each cluster of ``labels`` (N,), from properties name -> (N,) (NaN: not shown) and the nearest clusters."""
    out = []
    for cluster in np.unique(labels[labels >= 0]).tolist():
        mine = labels == cluster
        near = tuple(nearest.get(cluster, ()))
        found = [d for other in (-1, *near) for d in _differences(properties, labels, mine, other)]
        found.sort(key=lambda d: -abs(d.chance - 0.5))
        out.append(ClusterReasons(cluster, int(mine.sum()), _quantiles(properties, mine), near, tuple(found)))
    return out


def _quantiles(properties: dict[str, NDArray], mine: NDArray[np.bool_]) -> dict[str, tuple[float, float, float]]:
    out = {}
    for name, values in properties.items():
        shown = values[mine & np.isfinite(values)]
        if len(shown) >= max(1, mine.sum() / 4):
            low, middle, high = np.percentile(shown, _QUANTILES)
            out[name] = (float(low), float(middle), float(high))
    return out


def _differences(
    properties: dict[str, NDArray], labels: NDArray[np.int32], mine: NDArray[np.bool_], other: int
) -> list[Difference]:
    theirs = ~mine if other < 0 else labels == other
    out = []
    for name, values in properties.items():
        shown = np.isfinite(values)
        a, b = values[mine & shown], values[theirs & shown]
        if min(len(a), len(b)) >= 5 and len(a) >= mine.sum() / 4 and len(b) >= theirs.sum() / 4:
            chance = exceeds(a, b)
            if max(chance, 1 - chance) >= SEPARATES:
                out.append(Difference(name, other, float(np.median(a)), float(np.median(b)), chance))
    return out


def exceeds(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Chance that a value of ``a`` (n,) is larger than one of ``b`` (m,), ties counting half (Mann & Whitney 1947)."""
    order = np.sort(b)
    below = np.searchsorted(order, a, "left") + np.searchsorted(order, a, "right")
    return float(below.mean() / (2 * len(b)))
