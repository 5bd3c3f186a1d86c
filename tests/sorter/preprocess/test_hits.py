"""The hit score and its threshold, on runs where the truth is known."""

import numpy as np
import pytest

from sorter.preprocess.hits import BackgroundSample, Tiles
from sorter.preprocess.threshold import find_threshold, half_sample_mode, histogram

SHAPE = (64, 64)
BACKGROUND = 0.05


def run(n_blank, n_hit, seed=0, least=800, drift=0.0):
    """Frames of a run, shuffled: speckled rings of ``least`` to 100 times as many photons over a flat background."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    is_hit = rng.permutation(np.arange(n_blank + n_hit) < n_hit)
    level = BACKGROUND * (1 + drift * np.sin(np.arange(len(is_hit)) / 50))
    frames = rng.poisson(level[:, None, None], (len(is_hit), *SHAPE))
    for i in np.flatnonzero(is_hit):
        period, turn = rng.uniform(4, 9), rng.uniform(0, np.pi)
        along, across = np.cos(turn) * (y - 31.5) + np.sin(turn) * (x - 31.5), np.hypot(y - 31.5, x - 31.5)
        shape = np.exp(-across / 8) * (1 + np.cos(np.pi * across / period)) * (1 + 0.5 * np.cos(along))
        frames[i] += rng.poisson(shape / shape.sum() * least * 100 ** rng.random())
    return frames.astype(np.uint16), is_hit


def decide(frames, unit="photon", bad=None):
    bad = np.zeros(SHAPE, bool) if bad is None else bad
    sample = BackgroundSample(bad, unit)
    sample.update(frames)
    background = sample.finish()
    sums = background.tiles.sums(frames)
    score = background.score(sums)
    return score, find_threshold(score, sums.sum(1), background.score_sigma)


def f1(score, fit, is_hit):
    found = score > fit.threshold
    return 2 * (found & is_hit).sum() / max(1, found.sum() + is_hit.sum())


@pytest.mark.parametrize("drift", [0.0, 0.9])
def test_blanks_and_hits_are_parted_even_when_the_background_drifts(drift):
    frames, is_hit = run(400, 200, drift=drift)
    score, fit = decide(frames)
    assert fit.populations == "blanks and hits" and f1(score, fit, is_hit) >= 0.99
    assert np.median(score[~is_hit]) == pytest.approx(0, abs=0.1)  # chi2 of the blanks is 1 per tile


@pytest.mark.parametrize("pedestal", [0.0, 500.0])
def test_adu_with_negative_values(pedestal):
    frames, is_hit = run(400, 200)
    rng = np.random.default_rng(1)
    adu = frames * 30.0 + rng.normal(0, 10, frames.shape) + pedestal
    score, fit = decide(adu.astype(np.float32), "adu")
    assert f1(score, fit, is_hit) >= 0.99 and (pedestal or adu.min() < 0)


@pytest.mark.parametrize(("n_blank", "n_hit", "populations"), [(300, 0, "blanks only"), (0, 300, "hits only")])
@pytest.mark.parametrize("unit", ["photon", "adu"])
def test_one_population_is_not_cut_in_two(n_blank, n_hit, populations, unit):
    frames, is_hit = run(n_blank, n_hit, least=5000)
    noise = np.random.default_rng(1).normal(0, 0.3, frames.shape) if unit == "adu" else 0
    score, fit = decide(frames + noise, unit)
    assert fit.populations == populations and "one population" in fit.statement
    assert (score > fit.threshold).tolist() == is_hit.tolist()


def test_frames_alike_but_far_from_noise_are_one_population_of_hits():
    """A scan of one bright object: every frame has the same light, a little differently spread."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    mean = [2000 * np.exp(-np.hypot(y - 31.5, x - 31.5) / 9) * (1 + 0.2 * np.cos(x * t / 30)) for t in range(60)]
    _, fit = decide(rng.poisson(mean))
    assert fit.populations == "hits only" and fit.threshold == -np.inf


def test_few_hits_among_many_blanks_and_the_other_way_round():
    frames, is_hit = run(500, 5)
    assert f1(*decide(frames), is_hit) == 1.0
    frames, is_hit = run(60, 300)
    assert f1(*decide(frames), is_hit) >= 0.99


@pytest.mark.parametrize(("n_blank", "n_hit", "n_empty"), [(400, 200, 1), (400, 200, 60), (0, 300, 6), (300, 0, 5)])
@pytest.mark.parametrize("unit", ["photon", "adu"])
def test_dropped_frames_are_no_hits_and_move_nothing(n_blank, n_hit, n_empty, unit):
    frames, is_hit = run(n_blank, n_hit, least=5000)
    frames = frames + (np.random.default_rng(1).normal(0, 0.3, frames.shape) if unit == "adu" else 0)
    _, expected = decide(frames, unit)
    dropped = np.zeros((n_empty, *SHAPE), frames.dtype)
    score, fit = decide(np.concatenate([frames, dropped]), unit)
    assert fit.populations == expected.populations and fit.threshold == max(expected.threshold, -3)
    assert (score > fit.threshold).tolist() == is_hit.tolist() + [False] * n_empty
    assert f"{n_empty} empty frames" in fit.statement


def test_empty_frames_are_the_blanks_of_a_dark_detector():
    frames, is_hit = run(300, 100)
    frames[~is_hit] = 0
    assert f1(*decide(frames), is_hit) == 1.0


def test_masked_pixels_never_count():
    frames, _ = run(60, 40)
    bad = np.zeros(SHAPE, bool)
    bad[10:14], bad[:, 30] = True, True
    hot = frames.copy()
    hot[:, bad] = 60000
    np.testing.assert_array_equal(decide(frames, bad=bad)[0], decide(hot, bad=bad)[0])


def test_sample_does_not_depend_on_batches():
    frames, _ = run(60, 40)
    bad = np.zeros(SHAPE, bool)
    whole, cut, other = (BackgroundSample(bad, "adu") for _ in range(3))
    whole.update(frames)
    cut.update(frames[:33])
    other.update(frames[33:])
    cut.merge(other)
    np.testing.assert_array_equal(whole.finish().mean, cut.finish().mean)


@pytest.mark.parametrize("shape", [(16, 16), (37, 50), (5, 3)])
def test_tile_sums_against_a_loop(shape):
    rng = np.random.default_rng(0)
    bad = rng.random(shape) < 0.2
    frames = rng.integers(-5, 50, (3, *shape)).astype(np.int32)
    tiles = Tiles.of(bad)
    side, expected, signed = tiles.side_px, [], []
    for y in range(0, shape[0], side):
        for x in range(0, shape[1], side):
            cells = [
                (i, j)
                for i in range(y, min(y + side, shape[0]))
                for j in range(x, min(x + side, shape[1]))
                if not bad[i, j]
            ]
            if cells:
                expected.append([sum(int(f[c]) for c in cells) for f in frames])
                signed.append([sum(int(f[i, j]) * (-1) ** (i + j) for i, j in cells) for f in frames])
    np.testing.assert_array_equal(tiles.sums(frames), np.array(expected).T)
    np.testing.assert_array_equal(tiles.differences(frames), np.array(signed).T)


def test_mode_and_histogram():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(1, 0.1, 2000), rng.uniform(0, 8, 1000)])
    assert half_sample_mode(values) == pytest.approx(1, abs=0.1)
    assert half_sample_mode(np.full(9, 3.0)) == 3.0
    counted = histogram(values)
    assert sum(counted["counts"]) == 3000 and len(counted["edges"]) == len(counted["counts"]) + 1
    assert histogram(np.empty(0)) == {"edges": [], "counts": []}


def test_too_few_frames_are_all_hits():
    fit = find_threshold(np.zeros(3), np.zeros(3), 0.05)
    assert fit.threshold == -np.inf and "too few" in fit.statement and fit.to_dict()["threshold"] is None


def test_a_deep_valley_parts_dim_blanks_with_a_structured_background_from_bright_hits():
    rng = np.random.default_rng(0)
    score = np.concatenate([rng.normal(2, 0.1, 500), rng.normal(4, 0.2, 300)])
    total = np.concatenate([rng.normal(1e4, 1e3, 500), rng.normal(1e5, 1e4, 300)])
    fit = find_threshold(score, total, 0.04)
    assert fit.populations == "blanks and hits" and 2.3 < fit.threshold < 3.5
    assert find_threshold(score, np.ones(800), 0.04).populations == "hits only"
