"""What an embedding is worth to a person who labels a few frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from sorter.cluster.agreement import balanced_accuracy
from sorter.core.seeds import child_rng

SHOTS = (1, 5, 20)
N_DRAWS = 10
#: Neighbours that vote, where that many labels per class exist.
N_NEIGHBORS = 5

#: (labelled vectors, their classes, other vectors) -> classes of the others
Classifier: TypeAlias = Callable[[NDArray, NDArray, NDArray], NDArray]


def nearest_neighbours(known: NDArray, classes: NDArray, other: NDArray) -> NDArray:
    """Vote of the nearest labelled vectors, weighted by inverse distance: 5 of them, or 1 with fewer than 5 labels per class."""
    from sklearn.neighbors import KNeighborsClassifier

    fewest = np.unique(classes, return_counts=True)[1].min()
    k = N_NEIGHBORS if fewest >= N_NEIGHBORS else 1
    return KNeighborsClassifier(k, weights="distance").fit(known, classes).predict(other)


def linear_probe(known: NDArray, classes: NDArray, other: NDArray) -> NDArray:
    """Multinomial logistic regression (L2, C = 1) on columns of unit variance over all vectors."""
    from sklearn.linear_model import LogisticRegression

    scale = np.concatenate([known, other]).std(axis=0)
    scale = np.where(scale > 0, scale, 1)
    return LogisticRegression(max_iter=300, tol=1e-3).fit(known / scale, classes).predict(other / scale)


def few_label_accuracy(
    vectors: NDArray, classes: NDArray, classify: Classifier, seed: int = 0
) -> dict[str, float | None]:
    """Balanced accuracy after 1, 5 and 20 labelled frames per class: {"1": .., "5": .., "20": ..}.

    Mean over 10 draws of the labelled frames; accuracy on all frames that were not drawn. Only classes with a frame to spare
    take part; None where fewer than two do. vectors: (N, d), classes: (N,) text.
    """
    out: dict[str, float | None] = {}
    for shots in SHOTS:
        scores = []
        for draw in range(N_DRAWS):
            labelled = draw_per_class(classes, shots, child_rng(seed, "few labels", shots, draw))
            if labelled is None:
                break
            rest = np.isin(classes, np.unique(classes[labelled]))
            rest[labelled] = False
            named = classify(vectors[labelled], classes[labelled], vectors[rest])
            scores.append(balanced_accuracy(classes[rest], named))
        out[str(shots)] = float(np.mean(scores)) if scores else None
    return out


def draw_per_class(classes: NDArray, shots: int, rng: np.random.Generator) -> NDArray[np.int64] | None:
    """Rows of ``shots`` frames of each class that has more of them; None where fewer than two classes have."""
    names, counts = np.unique(classes, return_counts=True)
    usable = names[counts > shots]
    if len(usable) < 2:
        return None
    return np.concatenate([rng.choice(np.flatnonzero(classes == name), shots, replace=False) for name in usable])
