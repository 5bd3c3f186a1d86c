"""Which latent follows which factor, and whether one latent alone does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BINS = 10
#: Frames that a factor must be known of.
_FEWEST = 50


@dataclass(frozen=True)
class Disentanglement:
    """latents (K,): their numbers; factors: names (F,); information (K, F): mutual information of a latent and a factor over the
    entropy of the factor, 0 (nothing) to 1 (all of it); what chance alone gives is taken off. gap: factor -> information of the
    best latent less that of the second (mutual information gap, Chen et al. 2018, eq. 6), near 0 where several share it."""

    latents: tuple[int, ...]
    factors: tuple[str, ...]
    information: NDArray[np.float64]
    gap: dict[str, float]

    def best(self, factor: str) -> tuple[int, float]:
        """The latent that follows a factor most, and its information."""
        column = self.information[:, self.factors.index(factor)]
        return self.latents[int(column.argmax())], float(column.max())

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        best = {f: dict(zip(("latent", "information"), self.best(f))) for f in self.factors}
        table = {str(k): dict(zip(self.factors, row.tolist())) for k, row in zip(self.latents, self.information)}
        return {"best": best, "gap": self.gap, "information": table}


def disentanglement(
    vectors: NDArray[np.floating], factors: dict[str, NDArray[np.floating]], latents: NDArray[np.int64], seed: int = 0
) -> Disentanglement:
    """How much each of ``latents`` (K,) of vectors (N, d) tells of each factor, name -> (N,), NaN where it is not known.

    Both are cut into ten bins of equal number; the mean over 5 shuffles of the factor is what chance gives. Factors that are
    known of fewer than 50 frames, or all alike, are left out.
    """
    rng = np.random.default_rng(seed)
    kept: dict[str, NDArray[np.float64]] = {}
    for name, values in factors.items():
        known = np.isfinite(values)
        if known.sum() < _FEWEST or np.ptp(values[known]) == 0:
            continue
        factor = _binned(values[known])
        column = []
        for latent in latents:
            code = _binned(vectors[known, latent])
            by_chance = np.mean([_information(code, rng.permutation(factor)) for _ in range(5)])
            column.append(max(0.0, _information(code, factor) - by_chance))
        kept[name] = np.array(column)
    table = np.stack(list(kept.values()), axis=1) if kept else np.zeros((len(latents), 0))
    ordered = -np.sort(-table, axis=0)
    gap = {name: float(ordered[0, f] - ordered[1, f]) if len(latents) > 1 else 0.0 for f, name in enumerate(kept)}
    return Disentanglement(tuple(int(k) for k in latents), tuple(kept), table, gap)


def _binned(values: NDArray) -> NDArray[np.int64]:
    """Bin (n,) of each value, ten bins of equal number; equal values share one."""
    edges = np.quantile(values, np.linspace(0, 1, _BINS + 1)[1:-1])
    return np.searchsorted(edges, values, side="right")


def _information(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
    """Mutual information of two codes (n,) over the entropy of the second."""
    joint = np.zeros((_BINS, _BINS))
    np.add.at(joint, (a, b), 1 / len(a))
    rows, columns = joint.sum(1), joint.sum(0)
    seen = joint > 0
    mutual = float((joint[seen] * np.log(joint[seen] / np.outer(rows, columns)[seen])).sum())
    entropy = -float((columns[columns > 0] * np.log(columns[columns > 0])).sum())
    return mutual / entropy if entropy > 0 else 0.0
