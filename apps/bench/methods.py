"""The sorters of the bench: what each one embeds, how it is clustered, and which paper it comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sorter.core.embedding import Embedding
    from sorter.core.frames import FrameStore

#: (frames to classify and to learn from, rows of the labelled ones, their classes) -> class of every frame; None: not for these
LabelledSorter = Callable[["FrameStore", NDArray, NDArray], NDArray | None]


@dataclass(frozen=True)
class Method:
    """A way to sort. embedding: name(s), joined by "+", "" for a sorter that needs labels and makes none. overrides: what differs
    from the default clustering. classifier: key of LABELLED, the method's own way to use few labels. source: the paper."""

    embedding: str = ""
    overrides: tuple[tuple[str, Any], ...] = ()
    classifier: str = ""
    source: str = ""


#: HDBSCAN straight on the embedding. PCA has the parameters that did best for it on runs of other seeds; with the default ones
#: all of it is noise.
_DIRECT = (("umap_dims", 0), ("largest_share", 1.0), ("one_population", False))
_PCA_DIRECT = (*_DIRECT, ("pca_dims", 10), ("min_cluster_size", 10), ("min_samples", 1))

#: Simulated hits that a network is taught with, their seed (a 63-bit one: of no run that is simulated by hand), and its updates.
_SIMULATED_HITS, _SIMULATED_SEED, _SIMULATED_STEPS = 12_000, 0x5EED_0F_7EAC_4E25, 2_000

METHODS = {
    "pca + hdbscan": Method("pca", _PCA_DIRECT, source="Jolliffe 2002; Campello 2013"),
    "pca + umap + hdbscan": Method("pca", (("one_population", False),), source="McInnes 2018"),
    "spectral": Method("spectral", (("pca_dims", 0), *_DIRECT), source="Yoon 2011"),
    "correlations + svm": Method("correlations", (("one_population", False),), "svm", "Bobkov 2015"),
    "eigen-image": Method(classifier="eigen-image", source="Liu 2019"),
    "log-likelihood": Method(classifier="log-likelihood", source="Liu 2019"),
    "resnet-18, labels of the run": Method(classifier="resnet-18", source="Zimmermann 2019"),
    "resnet-18, simulated labels": Method(classifier="resnet-18 simulated", source="Zimmermann 2019"),
    "triplet": Method(classifier="triplet", source="Wang 2023 (SpeckleNN)"),
    "projection learning": Method("projection", (("one_population", False),), source="Zimmermann 2023"),
    "cartesian factorvae": Method(
        "cartesian-factorvae", (("pca_dims", 0), *_DIRECT), source="Kim & Mnih 2018; Zimmermann"
    ),
    "features": Method("features"),
    "pretrained": Method("pretrained"),
    "pretrained + features": Method("pretrained+features"),
    "factorvae": Method("factorvae"),
    "contrastive": Method("contrastive"),
    "contrastive + features": Method("contrastive+features"),
    "contrastive + factorvae": Method("contrastive+factorvae"),
}


def default_method() -> str:
    """The method that `shotsort sort` uses: the one on the preferred embedding with nothing overridden."""
    from sorter.stages.cluster import PREFERRED

    return next(name for name, method in METHODS.items() if method == Method(PREFERRED[0]))


def _spectral(store: FrameStore) -> Embedding:
    from sorter.classic.spectral import spectral_embedding

    return spectral_embedding(store)


def _correlations(store: FrameStore) -> Embedding:
    from sorter.classic.correlations import correlation_embedding

    return correlation_embedding(store)


def _projection(store: FrameStore) -> Embedding:
    from sorter.classic.projection_learning import projection_embedding

    return projection_embedding(store)


def _cartesian_factorvae(store: FrameStore) -> Embedding:
    from sorter.classic.cartesian_factorvae import cartesian_factorvae_embedding

    return cartesian_factorvae_embedding(store)


#: Embeddings of the earlier sorters, made from the hits on the spot.
BASELINES: dict[str, Callable[[FrameStore], Embedding]] = {
    "spectral": _spectral,
    "correlations": _correlations,
    "projection": _projection,
    "cartesian-factorvae": _cartesian_factorvae,
}


def _svm(store: FrameStore, rows: NDArray, classes: NDArray) -> NDArray:
    from sorter.classic.correlations import correlation_embedding, svm

    vectors = correlation_embedding(store).vectors
    return svm(vectors[rows], classes, vectors)


def _template(store: FrameStore, rows: NDArray, classes: NDArray, name: str) -> NDArray:
    from sorter.classic import templates

    counts, _ = templates.polar_counts(store)
    return getattr(templates, name)(counts[rows], classes, counts)


def _resnet(store: FrameStore, rows: NDArray, classes: NDArray) -> NDArray:
    from sorter.classic.pictures import pictures
    from sorter.classic.supervised_resnet import resnet_classes

    return resnet_classes(pictures(store), rows, classes)


def _resnet_simulated(store: FrameStore, rows: NDArray, classes: NDArray) -> NDArray | None:
    """Trained on simulated frames of the yardstick, by other seeds than a run's, and on no label of the run."""
    from sim.dataset import SimulatedFrames
    from sim.recipes.clusters import MIXTURE
    from sorter.classic.pictures import pictures
    from sorter.classic.supervised_resnet import resnet_classes
    from sorter.core.frames import ArrayFrameStore

    if not set(classes) <= set(MIXTURE):
        return None
    blocks = SimulatedFrames("clusters", _SIMULATED_SEED, {"blank_fraction": 0.0}, _SIMULATED_HITS)
    taught, known = [], []
    for block in blocks:
        frames = ArrayFrameStore(block["frames"].numpy(), bad_pixels=store.bad_pixels, geometry=store.geometry)
        taught.append(pictures(frames))
        known += block["class"]
    images = np.concatenate([*taught, pictures(store)])
    named = resnet_classes(images, np.arange(len(known)), np.array(known), steps=_SIMULATED_STEPS)
    return named[len(known) :]


def _triplet(store: FrameStore, rows: NDArray, classes: NDArray) -> NDArray:
    from sorter.classic.pictures import pictures
    from sorter.classic.triplet import triplet_classes

    return triplet_classes(pictures(store), rows, classes)


#: The sorters that learn from labelled frames of the run, and how often labels are drawn for them (the slow ones once).
LABELLED: dict[str, tuple[LabelledSorter, int]] = {
    "svm": (_svm, 3),
    "eigen-image": (lambda *given: _template(*given, "eigen_image"), 3),
    "log-likelihood": (lambda *given: _template(*given, "log_likelihood"), 3),
    "resnet-18": (_resnet, 1),
    "resnet-18 simulated": (_resnet_simulated, 1),
    "triplet": (_triplet, 1),
}


def labelled_accuracy(
    name: str, store: FrameStore, classes: NDArray, shots: int, seed: int = 0
) -> dict[str, float] | None:
    """Balanced accuracy of a LABELLED sorter on the frames of ``store`` (N,), of ``classes`` (N,), that were not labelled.

    ``shots`` frames of each class are drawn and labelled, as `few_label_accuracy` draws them; None where fewer than two classes
    have so many, and where the sorter knows other classes than these. Returns {"classifier_balanced_accuracy": ..,
    "classifier_seconds": of one training}.
    """
    import time

    from sorter.cluster.agreement import balanced_accuracy
    from sorter.cluster.few_labels import draw_per_class
    from sorter.core.seeds import child_rng

    sorter, draws = LABELLED[name]
    scores, seconds = [], []
    for draw in range(draws):
        rows = draw_per_class(classes, shots, child_rng(seed, "few labels", shots, draw))
        if rows is None:
            return None
        started = time.perf_counter()
        named = sorter(store, rows, classes[rows])
        if named is None:
            return None
        seconds.append(time.perf_counter() - started)
        rest = np.isin(classes, np.unique(classes[rows]))
        rest[rows] = False
        scores.append(balanced_accuracy(classes[rest], named[rest]))
    return {"classifier_balanced_accuracy": float(np.mean(scores)), "classifier_seconds": float(np.mean(seconds))}
