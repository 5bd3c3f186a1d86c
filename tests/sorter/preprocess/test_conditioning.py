"""Binning, calibration, running statistics and the guess of the unit: against plain arithmetic."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sorter.core.errors import InputError
from sorter.core.geometry import Geometry
from sorter.preprocess.binning import bin_frames, binned_dtype, choose_factor, good_fraction
from sorter.preprocess.calibration import Calibration
from sorter.preprocess.statistics import RunningStatistics
from sorter.stages.conditioning import guess_unit

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("factor", [1, 2, 3, 5])
def test_binning_against_a_loop(factor):
    frames, bad = RNG.integers(0, 60000, (4, 11, 13)).astype(np.uint16), RNG.random((11, 13)) < 0.3
    got, share = bin_frames(frames, bad, factor), good_fraction(bad, factor)
    if factor == 1:
        np.testing.assert_array_equal(got, frames)
        return
    for i in range(11 // factor):
        for j in range(13 // factor):
            tile = np.s_[i * factor : (i + 1) * factor, j * factor : (j + 1) * factor]
            good = ~bad[tile]
            assert share[i, j] == pytest.approx(good.mean())
            for frame, binned in zip(frames, got):
                assert binned[i, j] == int(frame[tile][good].astype(int).sum())


def test_binned_sums_cannot_overflow_and_photons_stay_whole():
    full = np.full((1, 16, 16), 65535, np.uint16)
    assert bin_frames(full, np.zeros((16, 16), bool), 16)[0, 0, 0] == 65535 * 256
    assert binned_dtype(np.int16, 2) == np.int32 and binned_dtype(np.float32, 4) == np.float32
    assert binned_dtype(np.uint32, 2) == np.uint64 and binned_dtype(np.uint16, 1) == np.uint16


@pytest.mark.parametrize(
    ("shape", "factor"), [((128, 128), 1), ((256, 256), 1), ((257, 100), 2), ((1035, 1035), 5), ((8192, 128), 4)]
)
def test_factor_of_large_detectors(shape, factor):
    assert choose_factor(shape, 256) == factor


def test_q_is_the_same_after_binning():
    """A binned pixel's centre lies where the mean of its pixels lies."""
    geometry = Geometry((12, 12), 1e-4, 1.0, 1e-9, (5.25, 6.5))
    binned = geometry.binned(3)
    for k in range(4):
        y = np.mean(np.arange(3 * k, 3 * k + 3)) - 5.25
        assert (k - binned.beam_center_px[0]) * binned.pixel_size_m == pytest.approx(y * 1e-4)


def test_calibration_against_plain_arithmetic():
    frames = RNG.normal(500, 30, (3, 8, 9)).astype(np.float32)
    dark, bad = RNG.normal(500, 5, (8, 9)).astype(np.float32), np.zeros((8, 9), bool)
    bad[2, :4] = True
    got = Calibration((8, 9), dark, None, "row").apply(frames, bad)
    for f, frame in enumerate(frames):
        for y in range(8):
            row = frame[y] - dark[y]
            np.testing.assert_allclose(got[f, y], row - np.median(row[~bad[y]]), atol=1e-4)
    gain = np.float32(7)
    photons = Calibration((8, 9), dark, gain).apply(frames, bad)
    np.testing.assert_array_equal(photons, np.maximum(np.rint((frames - dark) / gain), 0))
    assert photons.dtype == np.int32


def test_calibration_that_does_not_fit():
    with pytest.raises(InputError, match="dark of shape"):
        Calibration((8, 9), np.zeros((9, 8), np.float32))
    gain = np.ones((8, 9), np.float32)
    gain[1, 1] = 0
    assert np.argwhere(Calibration((8, 9), None, gain).bad_pixels()).tolist() == [[1, 1]]


def test_nothing_to_calibrate_changes_nothing():
    frames = RNG.integers(0, 9, (2, 4, 4)).astype(np.uint8)
    assert Calibration((4, 4)).apply(frames, np.zeros((4, 4), bool)) is frames


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 40), max_size=5), swap=st.booleans())
def test_statistics_do_not_depend_on_batches(cuts, swap):
    frames = np.random.default_rng(3).poisson(3.0, (40, 3, 4)).astype(np.uint16)
    parts = np.split(frames, sorted(cuts))
    running, other = RunningStatistics((3, 4)), RunningStatistics((3, 4))
    for k, part in enumerate(parts):
        (other if swap and k % 2 else running).update(part)
    running.merge(other)
    found = running.finish()
    assert found.n_frames == 40
    for name in ("mean", "std", "max"):
        np.testing.assert_allclose(getattr(found, name), getattr(frames, name)(0), atol=1e-12)
    again = RunningStatistics((3, 4), found).finish()
    np.testing.assert_allclose(again.std, found.std, atol=1e-12)


def test_no_frames_no_statistics():
    assert RunningStatistics((2, 2)).finish().max.tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        (RNG.poisson(0.1, (4, 8, 8)), "photon"),
        (RNG.poisson(0.1, (4, 8, 8)).astype(float), "photon"),
        (RNG.normal(0, 1, (4, 8, 8)), "adu"),
        (RNG.poisson(1000, (4, 8, 8)), "adu"),
        (RNG.random((4, 8, 8)), "arbitrary"),
        (np.full((4, 8, 8), np.nan), "arbitrary"),
        (np.zeros((4, 8, 8), np.uint16), "photon"),
    ],
)
def test_unit_by_the_looks(values, unit):
    assert guess_unit(values) == unit
