"""The field's earlier sorters, each on a small run whose classes differ in rings and symmetry."""

import itertools

import numpy as np
import pytest
import torch

from sorter.classic import cartesian_factorvae, projection_learning, supervised_resnet, templates, triplet
from sorter.classic.correlations import correlation_embedding, svm
from sorter.classic.pictures import pictures
from sorter.classic.residual_network import random_turns
from sorter.classic.spectral import spectral_embedding
from sorter.core.frames import ArrayFrameStore
from tests.workfolders import GEOMETRY, bad_pixels, make_frames


@pytest.fixture(scope="module")
def run():
    """240 frames of three classes, 5,000 photons each, as a store and their classes."""
    rng = np.random.default_rng(5)
    kind = rng.integers(0, 3, 240)
    frames = make_frames(kind, np.full(240, 5000.0), rng)
    return ArrayFrameStore(frames, bad_pixels=bad_pixels(), geometry=GEOMETRY), np.array(["a", "b", "c"])[kind]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def labelled(classes, shots=10):
    return np.concatenate([np.flatnonzero(classes == c)[:shots] for c in np.unique(classes)])


def test_pictures_are_square_and_hide_bad_pixels(run):
    store, _ = run
    images = pictures(store, 64)
    assert images.shape == (240, 64, 64) and images.min() == 0 and images.max() == 1
    assert not images[:, 16:48, 16:48][:, bad_pixels()].any() and not images[:, :16].any()
    hot = store.read(store.frame_ids).copy()
    hot[:, bad_pixels()] = 60000
    spoilt = ArrayFrameStore(hot, bad_pixels=bad_pixels(), geometry=GEOMETRY)
    assert np.array_equal(pictures(spoilt, 16), pictures(store, 16))


@pytest.mark.parametrize("make", [spectral_embedding, correlation_embedding])
def test_untrained_embeddings(run, make):
    store, classes = run
    embedding = make(store)
    assert np.isfinite(embedding.vectors).all() and len(embedding.vectors) == 240
    rows = labelled(classes)
    assert (svm(embedding.vectors[rows], classes[rows], embedding.vectors) == classes).mean() > 0.9
    assert np.array_equal(make(store).vectors, embedding.vectors)
    assert make(store.select(store.frame_ids[:4])).vectors.shape == (4, embedding.vectors.shape[1])


def test_spectral_tells_separate_groups_apart():
    """Of a graph in three pieces the leading eigenvectors are constant on each piece, up to the trivial one."""
    from sorter.classic.spectral import leading_eigenvectors

    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(3), 60)
    points = 40.0 * np.eye(3)[group] + rng.normal(size=(180, 3))
    axes = leading_eigenvectors(points, 2, 0)
    between = np.stack([axes[group == g].mean(0) for g in range(3)])
    within = max(axes[group == g].std(0).max() for g in range(3))
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(between, 2)) > 3 * within


@pytest.mark.parametrize("classify", [templates.eigen_image, templates.log_likelihood])
def test_templates_do_not_mind_a_turn(run, classify):
    store, classes = run
    counts, area = templates.polar_counts(store)
    assert np.isclose(counts.sum(), (store.read(store.frame_ids) * ~bad_pixels()).sum(), rtol=0.3) and area.shape == (
        16,
        32,
    )
    rows = labelled(classes)
    named = classify(counts[rows], classes[rows], counts)
    assert (named == classes).mean() > 0.9
    turned = np.roll(counts, 8, axis=2)
    assert (classify(counts[rows], classes[rows], turned) == named).mean() > 0.9


def test_log_likelihood_is_the_poisson_likelihood():
    """Slow truth: log L = sum k log(s t) - s t with the best brightness s, over all turns, by a loop."""
    rng = np.random.default_rng(1)
    known, other = rng.poisson(4, (3, 4, 8)).astype(np.float32), rng.poisson(3, (5, 4, 8)).astype(np.float32)
    smooth = (np.roll(known, 1, 2) + 2 * known + np.roll(known, -1, 2)) / 4 + 0.3
    expected = []
    for k in other:
        best = []
        for t in smooth:
            turns = [np.roll(t, s, 1) * k.sum() / t.sum() for s in range(8)]
            best.append(max((k * np.log(mean) - mean).sum() for mean in turns))
        expected.append(int(np.argmax(best)))
    assert templates.log_likelihood(known, np.arange(3), other).tolist() == expected


def test_semi_hard_triplets_by_a_loop():
    rng = np.random.default_rng(2)
    vectors = torch.nn.functional.normalize(torch.from_numpy(rng.normal(size=(12, 4))), dim=1)
    classes = torch.from_numpy(rng.integers(0, 3, 12))
    squared = ((vectors[:, None] - vectors) ** 2).sum(-1)
    losses = []
    for a, p in itertools.permutations(range(12), 2):
        if classes[a] != classes[p]:
            continue
        away = squared[a][classes != classes[a]]
        farther = away[away > squared[a, p]]
        n = farther.min() if len(farther) else away.max()
        losses.append(max(0.0, float(squared[a, p] - n + 0.3)))
    found = triplet.semi_hard_loss(vectors, classes, 0.3)
    assert float(found) == pytest.approx(np.mean([x for x in losses if x > 0]))


@pytest.mark.parametrize("classify", [supervised_resnet.resnet_classes, triplet.triplet_classes])
def test_labelled_networks_learn(run, classify, monkeypatch):
    store, classes = run
    monkeypatch.setattr(supervised_resnet, "STEPS", 30)
    monkeypatch.setattr(triplet, "STEPS", 30)
    images, rows = pictures(store, 24), labelled(classes)
    named = classify(images, rows, classes[rows])
    rest = np.setdiff1d(np.arange(240), rows)
    assert (named[rest] == classes[rest]).mean() > 0.5


@pytest.mark.parametrize(
    "make", [projection_learning.projection_embedding, cartesian_factorvae.cartesian_factorvae_embedding]
)
def test_unlabelled_networks_repeat(run, make):
    store, _ = run
    few = store.select(store.frame_ids[:24])
    first, again = make(few, 1), make(few, 1)
    assert np.array_equal(first.vectors, again.vectors) and np.isfinite(first.vectors).all()
    assert len(make(store.select(store.frame_ids[:0]), 2).vectors) == 0


@pytest.mark.parametrize("polar", [False, True])
def test_augmented_pictures(polar):
    images = torch.rand(16, 32, 32, generator=torch.Generator().manual_seed(0))
    views = projection_learning.augmented(images, polar, torch.Generator().manual_seed(1))
    assert views.shape == images.shape and views.min() >= 0 and views.max() <= 1
    assert not torch.allclose(views[0], views[1])
    same = random_turns(images, torch.Generator().manual_seed(2))
    assert torch.allclose(same.flatten(1).sort(1).values, images.flatten(1).sort(1).values)
