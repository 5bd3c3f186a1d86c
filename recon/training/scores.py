"""Scores of a classifier whose classes are ordered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ClassScores:
    """confusion (C, C) int64, rows truth, columns prediction; precision, recall and f1 (C,), 0 where nothing was predicted."""

    confusion: NDArray[np.int64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]

    @property
    def macro_f1(self) -> float:
        """Mean of F1 over the classes that occur."""
        return float(self.f1[self.confusion.sum(1) > 0].mean())

    @property
    def accuracy(self) -> float:
        """Share on the diagonal."""
        return float(np.trace(self.confusion) / max(self.confusion.sum(), 1))

    def errors_beyond(self, distance: int) -> int:
        """Number of predictions more than ``distance`` classes away from the truth (0: all errors)."""
        i, j = np.indices(self.confusion.shape)
        return int(self.confusion[np.abs(i - j) > distance].sum())


def class_scores(truth: NDArray[np.int64], predicted: NDArray[np.int64], n_classes: int) -> ClassScores:
    """Scores of classes 0 .. n_classes - 1."""
    confusion = np.zeros((n_classes, n_classes), np.int64)
    np.add.at(confusion, (truth, predicted), 1)
    hits = np.diag(confusion).astype(float)
    precision = hits / np.maximum(confusion.sum(0), 1)
    recall = hits / np.maximum(confusion.sum(1), 1)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return ClassScores(confusion, precision, recall, f1)
