"""The beam centre from point symmetry."""

import numpy as np
import pytest

from sorter.preprocess.center import estimate_center


def patterns(center, n=12, shape=(80, 72), photons=3e4, seed=0):
    """Point-symmetric patterns: each of its own size and direction."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]] - np.array(center)[:, None, None]
    out = []
    for _ in range(n):
        turn, period = rng.uniform(0, np.pi), rng.uniform(5, 10)
        along, across = np.cos(turn) * y + np.sin(turn) * x, np.cos(turn) * x - np.sin(turn) * y
        shape_ = np.exp(-np.hypot(along, 0.6 * across) / 10) * (1.05 + np.cos(2 * np.pi * along / period))
        out.append(rng.poisson(shape_ / shape_.sum() * photons))
    return np.array(out, np.uint16)


def off(estimate, center):
    return max(abs(a - b) for a, b in zip(estimate.center_px, center))


@pytest.mark.parametrize("center", [(39.5, 35.5), (44.25, 30.0), (52.0, 25.5)])
def test_found_within_its_error(center):
    estimate = estimate_center(patterns(center), np.zeros((80, 72), bool))
    assert estimate.found and estimate.error_px < 3
    assert off(estimate, center) < min(1.0, estimate.error_px)


def test_beam_stop_gaps_and_hot_pixels_do_not_pull():
    center, bad = (42.0, 33.0), np.zeros((80, 72), bool)
    y, x = np.mgrid[:80, :72]
    bad |= np.hypot(y - 45, x - 30) < 6  # a beam stop that is not in the middle
    bad[:, 40:43] = True
    frames = patterns(center)
    frames[:, bad] = 50000
    estimate = estimate_center(frames, bad)
    assert estimate.found and off(estimate, center) < estimate.error_px


def test_uneven_light_is_in_the_error():
    """The brightest place of the mean picture is far from the centre; the estimate must not be."""
    center = (40.0, 36.0)
    frames = patterns(center, photons=1e5)
    lit = np.random.default_rng(1).poisson(frames * (1 + 0.4 * np.tanh((np.arange(72) - 36) / 20)))
    estimate = estimate_center(lit.astype(np.uint16), np.zeros((80, 72), bool))
    assert off(estimate, center) <= 2 * estimate.error_px


def test_without_symmetry_nothing_is_found():
    rng = np.random.default_rng(0)
    frames = np.zeros((12, 80, 72), np.uint16)
    for frame in frames:
        for y, x in rng.integers(0, 70, (5, 2)):
            frame[y : y + 2, x : x + 2] = 1000
    assert not estimate_center(frames, np.zeros((80, 72), bool)).found


@pytest.mark.parametrize("frames", [np.empty((0, 80, 72)), np.zeros((5, 80, 72))])
def test_nothing_to_see(frames):
    estimate = estimate_center(frames, np.zeros((80, 72), bool))
    assert not estimate.found and estimate.center_px == (39.5, 35.5) and estimate.n_frames == 0
