"""Where the blanks end in the distribution of hit scores, and whether there are two populations at all."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Scores up to this (chi2 per tile of 5) may be noise; blanks of a run lie below.
NOISE_SCORE = 0.7
#: With fewer frames a run has no background of its own.
FEWEST_FRAMES = 10
#: Score of an empty frame. Fewer of them than EMPTY_SHARE were dropped on the way; more are what a dark detector's blanks are.
EMPTY_SCORE, EMPTY_SHARE = -3.0, 0.2
_SIGMAS = 5.5
_MIN_BLANK_SHARE = 0.002
_BINS = 120
#: Blanks that are no plain noise (a structured, unsteady background) are believed only behind a deep valley.
_VALLEY_DEPTH, _VALLEY_SHARE = 0.1, 0.05
#: A peak of blanks holds this many times more frames than the stretch of the same width above it; weak hits alone do not.
_PEAK_CONTRAST = 4.0


@dataclass(frozen=True)
class ThresholdFit:
    """threshold on the score (-inf: all are hits, inf: none); populations: "blanks and hits", "blanks only" or "hits only";
    statement: one sentence for a person; blank_mode, blank_sigma: of the blanks' peak, None where there is none."""

    threshold: float
    populations: str
    statement: str
    blank_mode: float | None = None
    blank_sigma: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values; an infinite threshold is None."""
        return asdict(self) | {"threshold": self.threshold if np.isfinite(self.threshold) else None}


def histogram(score: NDArray[np.floating], bins: int = _BINS) -> dict[str, list[float]]:
    """edges (bins + 1) and counts (bins) of the scores, JSON-ready."""
    if len(score) == 0:
        return {"edges": [], "counts": []}
    counts, edges = np.histogram(score, bins=bins)
    return {"edges": edges.tolist(), "counts": counts.tolist()}


def half_sample_mode(values: NDArray[np.floating]) -> float:
    """Mode by repeatedly keeping the densest half (Bickel & Frühwirth, Comput. Stat. Data Anal. 50, 3500, 2006)."""
    ordered = np.sort(np.asarray(values, np.float64))
    while len(ordered) > 3:
        half = (len(ordered) + 1) // 2
        widths = ordered[half - 1 :] - ordered[: len(ordered) - half + 1]
        # among equally dense halves the middle one: a spike of equal values must not pull the mode to its edge
        ties = np.flatnonzero(widths == widths.min())
        start = int(ties[len(ties) // 2])
        ordered = ordered[start : start + half]
    return float(ordered.mean()) if len(ordered) else float("nan")


def find_threshold(score: NDArray[np.floating], total: NDArray[np.floating], blank_sigma: float) -> ThresholdFit:
    """Threshold for hits from the scores (N,) of `preprocess.hits`.

    total (N,): sum of each frame; blank_sigma: least width of the blanks' peak (`Background.score_sigma`). The peak is looked for
    where noise lies, and must stand out from what is above it; its width comes from its lower side, which no weak hit reaches;
    what is more than _SIGMAS of these above it is a hit. Without such a peak a valley in the distribution is accepted only if
    it is deep and parts dim frames from bright ones; otherwise the run has one population, and every frame is a hit. A few
    empty frames take no part in this, and are no hits.
    """
    lit = score > EMPTY_SCORE
    if 0 < (~lit).sum() < EMPTY_SHARE * len(score):
        fit = find_threshold(score[lit], total[lit], blank_sigma)
        statement = f"{fit.statement}; {(~lit).sum()} empty frames are none"
        return replace(fit, threshold=max(fit.threshold, EMPTY_SCORE), statement=statement)
    n = len(score)
    noise = np.asarray(score[score < NOISE_SCORE], np.float64)
    if n < FEWEST_FRAMES:
        return ThresholdFit(-np.inf, "hits only", f"{n} frames are too few to know a background; all are taken as hits")
    if len(noise) < max(1, _MIN_BLANK_SHARE * n):
        return _without_blank_peak(np.asarray(score, np.float64), np.asarray(total, np.float64))
    mode = half_sample_mode(noise)
    lower = noise[noise <= mode]
    sigma = max(float(np.sqrt(((lower - mode) ** 2).mean())), blank_sigma)
    within = int((np.abs(score - mode) <= 3 * sigma).sum())
    beyond = int(((score > mode + 3 * sigma) & (score <= mode + 9 * sigma)).sum())
    if within < _PEAK_CONTRAST * beyond:
        return _without_blank_peak(np.asarray(score, np.float64), np.asarray(total, np.float64))
    threshold = mode + _SIGMAS * sigma
    above = int((score > threshold).sum())
    if above == 0:
        text = f"one population: all {n} frames are like the background; no hits"
        return ThresholdFit(np.inf, "blanks only", text, mode, sigma)
    text = f"two populations: {n - above} blanks around score {mode:.2f}, {above} hits more than {_SIGMAS:g} sigma above them"
    return ThresholdFit(threshold, "blanks and hits", text, mode, sigma)


def _without_blank_peak(score: NDArray[np.float64], total: NDArray[np.float64]) -> ThresholdFit:
    valley = _valley(score)
    if valley is not None:
        low, high = score <= valley, score > valley
        enough = min(low.mean(), high.mean()) >= _VALLEY_SHARE
        brighter = np.quantile(total[high], 0.25) > np.quantile(total[low], 0.75)
        if enough and brighter:
            text = (
                f"two populations parted by a valley at score {valley:.2f}: {low.sum()} dim frames with a structured"
                f" background are taken as blanks, {high.sum()} bright ones as hits"
            )
            return ThresholdFit(valley, "blanks and hits", text, half_sample_mode(score[low]), float(score[low].std()))
    text = f"one population: no frame is like a background; all {len(score)} frames are taken as hits"
    return ThresholdFit(-np.inf, "hits only", text)


def _valley(score: NDArray[np.float64]) -> float | None:
    """Deepest valley between two peaks of the smoothed histogram, None unless it is deep."""
    counts, edges = np.histogram(score, bins=64)
    smooth = np.convolve(counts, np.array([1, 2, 3, 2, 1]) / 9, mode="same")
    left, right = np.maximum.accumulate(smooth), np.maximum.accumulate(smooth[::-1])[::-1]
    depth = smooth / np.maximum(np.minimum(left, right), 1e-12)
    place = int(np.argmin(depth))
    if depth[place] > _VALLEY_DEPTH:
        return None
    flat = np.flatnonzero(depth <= depth[place] + 1e-12)
    place = int(flat[len(flat) // 2])
    return float((edges[place] + edges[place + 1]) / 2)
