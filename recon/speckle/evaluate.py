"""Measure a network against the truth and against the conventional rival, on patterns that no training has seen."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recon.speckle import classical
from recon.speckle.data import PAPER_POLYDISPERSITY, PatternConfig
from recon.speckle.pattern import MAPS, FormAndStructure
from recon.speckle.predict import Predictor
from recon.training.scores import ClassScores, class_scores
from sim.scattering.disks import standardise
from sorter.core.config import require

_log = logging.getLogger(__name__)
_BLOCK = 32
_TEN = 10
_SMALLEST = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 1.0)
"""Upper ends of the classes of smallest over median radius (1 is among the last: equal disks)."""


@dataclass(frozen=True)
class SpeckleEvaluateConfig:
    """patterns in each test set (classes in turn: 1,900 are the paper's 100 of each); rival_patterns to train the conventional
    rival with, for each polydispersity; with_513: also the 513 pattern set; with_rival: also the conventional rival;
    most: largest number of disks in the test sets (None: all that the weights know)."""

    patterns: int = 1900
    rival_patterns: int = 1900
    with_513: bool = True
    with_rival: bool = True
    most: int | None = None

    def __post_init__(self) -> None:
        require(self.patterns >= 19, f"patterns = {self.patterns}: need at least 19")
        require(self.rival_patterns >= 40, f"rival_patterns = {self.rival_patterns}: need at least 40")


@dataclass(frozen=True)
class Scored:
    """A test set with what was made of it: labels (N,) int64; logits (N, C); moments (N, 4); features (N, F) of the rival;
    seconds that the network took."""

    labels: NDArray[np.int64]
    logits: NDArray[np.float32]
    moments: NDArray[np.float64]
    features: NDArray[np.float32]
    seconds: float

    @property
    def predicted(self) -> NDArray[np.int64]:
        """(N,) most probable class."""
        return self.logits.argmax(1)

    @property
    def accuracy(self) -> float:
        """Share of patterns whose number of disks is right."""
        return float((self.predicted == self.labels).mean())


def score(
    predictor: Predictor | None, config: PatternConfig, seed: int, stream: str, n: int, *, features: bool = True
) -> Scored:
    """Draw ``n`` patterns of a stream and let the network (where given) and the rival's eyes look at them, block by block."""
    split = FormAndStructure(min(256, config.side_px - 1), maps=MAPS[:1])  # the rival reads the radial curves alone
    labels, logits, moments, found, seconds = [], [], [], [], 0.0
    for start in range(0, n, _BLOCK):
        made = [config.raw_pattern(seed, stream, i) for i in range(start, min(start + _BLOCK, n))]
        raw = torch.stack([image for image, _ in made])
        patterns = standardise(raw, config.blocked_px)
        labels += [label for _, label in made]
        if predictor is not None:
            begin = time.perf_counter()
            logits.append(predictor.logits(patterns))
            seconds += time.perf_counter() - begin
        if features:
            moments.append(classical.first_moments(raw, patterns))
            with torch.no_grad():
                found.append(classical.conventional_features(split, patterns, moments[-1]))
    return Scored(
        np.array(labels),
        torch.cat(logits).numpy() if logits else np.empty((n, 0), np.float32),
        np.concatenate(moments) if features else np.empty((n, 4)),
        np.concatenate(found) if features else np.empty((n, 0), np.float32),
        seconds,
    )


@dataclass(frozen=True)
class Evaluation:
    """summary: JSON-ready figures; scores: class scores by name of the test set; sets: the test sets; counts: numbers of
    disks, class by class; meta: of the weights."""

    summary: dict[str, Any]
    scores: dict[str, ClassScores]
    sets: dict[str, Scored]
    counts: list[int]
    meta: dict[str, Any]


def evaluate(predictor: Predictor, config: SpeckleEvaluateConfig, seed: int = 0) -> Evaluation:
    """Accuracy on 257 and 513 patterns of equal disks, macro-F1 on polydisperse ones, and the rival on the same patterns.

    A key that the weights or the config do not cover is None. Test patterns come from streams of their own names; no
    training draws from them, whatever its seed.
    """
    counts = [int(c) for c in predictor.counts]
    most = counts[-1] if config.most is None else config.most
    require(most in counts[1:], f"{most} disks: unknown to these weights, which know {counts[0]} to {counts[-1]}")
    equal = PatternConfig(counts[0], most)
    cases = {"257": equal, "polydisperse": replace(equal, polydispersity=PAPER_POLYDISPERSITY)}
    if config.with_513:
        cases["513"] = replace(equal, side_px=513)
    sets = {}
    for name, case in cases.items():
        sets[name] = score(
            predictor, case, seed, _stream(name), config.patterns, features=name != "513" and config.with_rival
        )
        _log.info("%s: accuracy %.4f", name, sets[name].accuracy)
    scores = {name: class_scores(s.labels, s.predicted, len(counts)) for name, s in sets.items()}
    summary = {
        "accuracy_257": sets["257"].accuracy,
        "accuracy_513": sets["513"].accuracy if "513" in sets else None,
        "macro_f1_polydisperse": scores["polydisperse"].macro_f1,
        "first_moment_accuracy": None,
        **{f"errors_beyond_one_{name}": s.errors_beyond(1) for name, s in scores.items()},
        **{f"errors_{name}": s.errors_beyond(0) for name, s in scores.items()},
        **{f"accuracy_ten_{name}": _accuracy_of_ten(s) for name, s in sets.items()},
        "polydisperse_by_smallest_disk": _by_smallest_disk(sets["polydisperse"], cases["polydisperse"], seed),
        "patterns": config.patterns,
        "seed": seed,
        "seconds_per_pattern": sets["257"].seconds / config.patterns,
        "device": str(predictor.device),
        **{key: value for key, value in predictor.describe().items() if key != "seed"},
        "weights_seed": predictor.meta["seed"],
    }
    if config.with_rival:
        summary |= _rivals(sets, cases, config, seed)
    return Evaluation(summary, scores, sets, counts, predictor.meta)


def _stream(name: str) -> str:
    return f"test {name}"


def _by_smallest_disk(scored: Scored, config: PatternConfig, seed: int) -> list[dict[str, float | int | None]]:
    """Patterns and accuracy by the smallest radius over the median one: a disk that hardly scatters can hardly be counted."""
    radii = [config.disks(seed, _stream("polydisperse"), i)[0].radii for i in range(len(scored.labels))]
    bins = np.digitize([r.min() / np.median(r) for r in radii], _SMALLEST[:-1], right=False)
    right = scored.predicted == scored.labels
    return [
        {
            "smallest_below": below,
            "patterns": int((bins == i).sum()),
            "accuracy": float(right[bins == i].mean()) if (bins == i).any() else None,
        }
        for i, below in enumerate(_SMALLEST)
    ]


def _accuracy_of_ten(scored: Scored) -> float | None:
    """Accuracy from ten patterns of one number of disks at a time: log probabilities are summed."""
    logs = torch.from_numpy(scored.logits).log_softmax(1).numpy()
    means, labels = classical.averages(logs, scored.labels, _TEN)
    return float((means.argmax(1) == labels).mean()) if len(labels) else None


def _rivals(
    sets: dict[str, Scored], cases: dict[str, PatternConfig], config: SpeckleEvaluateConfig, seed: int
) -> dict[str, Any]:
    out: dict[str, Any] = {"rival_patterns": config.rival_patterns}
    for name in ("257", "polydisperse"):
        train = score(None, cases[name], seed, f"rival {name}", config.rival_patterns)
        test = sets[name]
        ten = classical.averages(test.moments, test.labels, _TEN)
        single, averaged = {}, {}
        for moment, column, model in zip(
            classical.MOMENTS, range(4), classical.moment_classifiers(train.moments, train.labels), strict=True
        ):
            single[moment] = float(model.score(test.moments[:, [column]], test.labels))
            averaged[moment] = _score_of_ten(train, ten, column)
        kind, model = classical.conventional_classifier(train.features, train.labels, seed)
        predicted = model.predict(test.features)
        found = class_scores(test.labels, predicted, int(train.labels.max()) + 1)
        out[f"conventional_{name}"] = {
            "first_moment": single, "first_moment_of_ten": averaged, "classifier": kind,
            "accuracy": float((predicted == test.labels).mean()), "macro_f1": found.macro_f1,
        }  # fmt: skip
    out["first_moment_accuracy"] = max(out["conventional_257"]["first_moment"].values())
    return out


def _score_of_ten(train: Scored, test: tuple[NDArray, NDArray], column: int) -> float | None:
    """Accuracy of one moment averaged over ten patterns; None where a class has fewer than twenty to learn from."""
    if min(np.bincount(train.labels)) < 2 * _TEN or not len(test[1]):
        return None
    model = classical.moment_classifiers(*classical.averages(train.moments, train.labels, _TEN))[column]
    return float(model.score(test[0][:, [column]], test[1]))


# -- beyond the paper ----------------------------------------------------------------------------------------------------


def curves(predictor: Predictor, n: int, seed: int = 0) -> dict[str, list[dict[str, float]]]:
    """Accuracy, mean error in disks and share of errors beyond one, along polydispersity (0..0.6), photons (1e2..1e7), missing
    columns of the detector (0..0.5) and coherence length, with ``n`` patterns at each point."""
    counts = predictor.counts
    base = PatternConfig(int(counts[0]), int(counts[-1]), polydispersity=PAPER_POLYDISPERSITY)
    points = {
        "polydispersity": [replace(base, polydispersity=p) for p in (0.0, 0.1, 0.2, 1 / 3, 0.45, 0.6)],
        "photons": [replace(base, polydispersity=0.0, photons=10.0**p) for p in range(2, 8)],
        "coherence_length": [replace(base, coherence_length=c) for c in (250.0, 500.0, 1000.0, 2000.0, 4000.0)],
        "missing": [replace(base, missing=s) for s in (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5)],
    }
    return {
        name: [{name: getattr(case, name), **_point(predictor, case, n, seed)} for case in cases]
        for name, cases in points.items()
    }


def _point(predictor: Predictor, config: PatternConfig, n: int, seed: int) -> dict[str, float]:
    labels, found = [], []
    for start in range(0, n, _BLOCK):
        patterns, classes = config.patterns(seed, "curves", range(start, min(start + _BLOCK, n)))
        found.append(predictor.logits(patterns).argmax(1).numpy())
        labels.append(classes.numpy())
    error = np.abs(np.concatenate(found) - np.concatenate(labels))
    return {
        "accuracy": float((error == 0).mean()),
        "mean_error_disks": float(error.mean()),
        "beyond_one": float((error > 1).mean()),
    }


def occlusion(
    predictor: Predictor, config: PatternConfig, n: int, seed: int = 0, tiles: int = 8
) -> NDArray[np.float64]:
    """What the network looks at: (tiles, tiles) mean loss of log probability of the true class when a tile in k is covered.

    A covered tile takes the mean of its rings, so that it keeps its form and loses its speckle; the blocked corner stays.
    """
    patterns, labels = config.patterns(seed, "occlusion", range(n))
    edges = np.linspace(0, min(config.side_px, predictor.smallest_px), tiles + 1).astype(int)
    before = predictor.logits(patterns).log_softmax(1)[torch.arange(n), labels]
    smooth = _ring_means(patterns, config.blocked_px)
    lost = np.zeros((tiles, tiles))
    for i in range(tiles):
        for j in range(tiles):
            covered = patterns.clone()
            tile = (slice(None), slice(edges[i], edges[i + 1]), slice(edges[j], edges[j + 1]))
            covered[tile] = smooth[tile]
            after = predictor.logits(covered).log_softmax(1)[torch.arange(n), labels]
            lost[i, j] = float((before - after).mean())
    return lost


def _ring_means(patterns: Tensor, blocked: int) -> Tensor:
    """Patterns (B, n, n) with each pixel replaced by the mean of its ring of one pixel; the blocked corner as it was."""
    n = torch.arange(patterns.shape[-1])
    opened = ((n[:, None] >= blocked) | (n[None, :] >= blocked)).float()
    ring = torch.hypot(n[:, None].float(), n[None, :].float()).long().flatten()
    sums = torch.zeros(len(patterns), int(ring.max()) + 1).index_add_(1, ring, (patterns * opened).flatten(1))
    counts = torch.zeros(int(ring.max()) + 1).index_add_(0, ring, opened.flatten())
    means = (sums / counts.clamp(min=1))[:, ring].view_as(patterns)
    return torch.where(opened > 0, means, patterns)
