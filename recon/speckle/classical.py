"""The conventional rival: first moments, and the best classifier from them, the radial profile and speckle statistics."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import Tensor

from recon.speckle.pattern import FormAndStructure

MOMENTS = ("raw", "shifted", "absolute", "normalised")


def first_moments(raw: Tensor, standardised: Tensor) -> NDArray[np.float64]:
    """First moments (B, 4) of patterns (B, n, n) in the order of MOMENTS (Shen et al., section 4 and figure 6).

    raw: <I q> / <I> of the intensity, corner not blocked; shifted: <x q> / (<x> + 1) of the standardised pattern;
    absolute: <|x| q>; normalised: <z q> / <z> with z = (x - min) / (max - min). q in pixels.
    """
    n = torch.arange(raw.shape[-1], dtype=torch.float64, device=raw.device)
    q = torch.hypot(n[:, None], n[None, :])
    intensity, x = raw.double(), standardised.double()
    low, high = x.amin((1, 2), keepdim=True), x.amax((1, 2), keepdim=True)
    z = (x - low) / (high - low)

    def mean(image: Tensor) -> Tensor:
        return image.mean((1, 2))

    moments = [
        mean(intensity * q) / mean(intensity),
        mean(x * q) / (mean(x) + 1),
        mean(x.abs() * q),
        mean(z * q) / mean(z),
    ]
    return torch.stack(moments, 1).cpu().numpy()


def conventional_features(split: FormAndStructure, standardised: Tensor, moments: NDArray) -> NDArray[np.float32]:
    """Features (B, F): the moments, the radial profile (log of mean, mean of log, contrast per ring), the intensity's
    statistics (contrast, skewness, kurtosis of the pattern over its profile) and the speckle's size along both axes."""
    form, _, _ = split(standardised)
    image = standardised[:, : split.side, : split.side]
    image = image - image.amin((1, 2), keepdim=True)
    speckle = torch.log(image / image.mean((1, 2), keepdim=True) + 1e-6)
    speckle = speckle - speckle.mean((1, 2), keepdim=True)
    scale = speckle.square().mean((1, 2)).sqrt().clamp(min=1e-6)
    shape = [speckle.pow(p).mean((1, 2)) / scale**p for p in (3, 4)]
    along = [(speckle[:, :, s:] * speckle[:, :, :-s]).mean((1, 2)) / scale**2 for s in (1, 2, 3, 4, 6, 8)]
    across = [(speckle[:, s:] * speckle[:, :-s]).mean((1, 2)) / scale**2 for s in (1, 2, 3, 4, 6, 8)]
    statistics = torch.stack([scale, *shape, *along, *across], 1)
    parts = [moments, form.flatten(1).cpu().numpy(), statistics.cpu().numpy()]
    return np.concatenate(parts, 1).astype(np.float32)


def moment_classifiers(moments: NDArray, labels: NDArray) -> list[GaussianNB]:
    """A Gaussian classifier for each of the four moments, trained on (N, 4) and classes (N,)."""
    n_classes = int(labels.max()) + 1
    flat = np.full(n_classes, 1 / n_classes)
    return [GaussianNB(priors=flat).fit(moments[:, [i]], labels) for i in range(len(MOMENTS))]


def conventional_classifier(features: NDArray, labels: NDArray, seed: int = 0) -> tuple[str, Pipeline]:
    """The better of a shrunk linear discriminant and a support vector machine, by cross-validation on the training set."""
    candidates = {
        "linear discriminant": make_pipeline(
            StandardScaler(), LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
        ),
        "support vector machine": make_pipeline(StandardScaler(), SVC(C=10.0, random_state=seed)),
    }
    scores = {name: cross_val_score(c, features, labels, cv=3).mean() for name, c in candidates.items()}
    name = max(scores, key=lambda k: scores[k])
    return name, candidates[name].fit(features, labels)


def averages(values: NDArray, labels: NDArray, of: int) -> tuple[NDArray, NDArray]:
    """Means of ``of`` patterns of one class each, (M, ...), and their classes; what is left over is dropped."""
    means, classes = [], []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        for start in range(0, len(rows) - of + 1, of):
            means.append(values[rows[start : start + of]].mean(0))
            classes.append(label)
    return np.array(means), np.array(classes)
