"""How well groups match classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def contingency(classes: NDArray, groups: NDArray) -> NDArray[np.int64]:
    """Table (n_classes, n_groups) of counts of two labellings (N,) of the same frames."""
    _, row = np.unique(classes, return_inverse=True)
    _, column = np.unique(groups, return_inverse=True)
    table = np.zeros((row.max(initial=-1) + 1, column.max(initial=-1) + 1), np.int64)
    np.add.at(table, (row, column), 1)
    return table


def adjusted_rand_index(classes: NDArray, groups: NDArray) -> float | None:
    """Adjusted Rand index (Hubert & Arabie 1985, eq. 5); 1 for equal partitions, None for fewer than two frames."""
    if len(classes) < 2:
        return None
    table = contingency(classes, groups).astype(np.float64)
    pairs, rows, columns = (_pairs(v).sum() for v in (table, table.sum(1), table.sum(0)))
    expected = rows * columns / _pairs(np.float64(len(classes)))
    largest = (rows + columns) / 2
    return 1.0 if largest == expected else float((pairs - expected) / (largest - expected))


def normalised_mutual_information(classes: NDArray, groups: NDArray) -> float | None:
    """Mutual information over the mean of the two entropies (Strehl & Ghosh 2002, arithmetic mean); None without frames."""
    if not len(classes):
        return None
    joint = contingency(classes, groups) / len(classes)
    rows, columns = joint.sum(1), joint.sum(0)
    mean_entropy = (_entropy(rows) + _entropy(columns)) / 2
    information = _entropy(rows) + _entropy(columns) - _entropy(joint.ravel())
    return 1.0 if mean_entropy == 0 else float(max(information, 0) / mean_entropy)


def purity(classes: NDArray, groups: NDArray) -> float | None:
    """Share of frames that belong to their group's most common class; None without frames."""
    return float(contingency(classes, groups).max(axis=0).sum() / len(classes)) if len(classes) else None


def most_common(classes: NDArray, groups: NDArray) -> dict[int, str]:
    """The most common class of each group (ties: the first in alphabetical order)."""
    out = {}
    for group in np.unique(groups):
        names, counts = np.unique(classes[groups == group], return_counts=True)
        out[int(group)] = str(names[counts.argmax()])
    return out


def f1_score(truth: NDArray[np.bool_], found: NDArray[np.bool_]) -> tuple[float | None, float | None, float | None]:
    """Precision, recall and F1 of ``found`` (N,); None where a figure has nothing to stand on."""
    both, n_found, n_true = int((truth & found).sum()), int(found.sum()), int(truth.sum())
    precision = both / n_found if n_found else None
    recall = both / n_true if n_true else None
    return precision, recall, 2 * both / (n_found + n_true) if n_true else None


def macro_f1(classes: NDArray, named: NDArray) -> float | None:
    """Mean over the classes of ``classes`` (N,) of the F1 of the names ``named`` (N,); None without frames."""
    if not len(classes):
        return None
    return float(np.mean([f1_score(classes == c, named == c)[2] for c in np.unique(classes)]))


def balanced_accuracy(classes: NDArray, named: NDArray) -> float:
    """Mean over classes of the share of its frames that are named rightly."""
    return float(np.mean([(named[classes == c] == c).mean() for c in np.unique(classes)]))


def _pairs(counts: NDArray | np.float64) -> NDArray | np.float64:
    return counts * (counts - 1) / 2


def _entropy(shares: NDArray) -> float:
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())
