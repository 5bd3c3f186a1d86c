"""The report's own calculations against slow and known ones."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from apps.report.html import percent, quantity, text
from apps.report.mini import Chart, Scale
from apps.report.montage import make_pictures
from apps.report.provenance import sweep_table
from apps.report.sampling import MeanFrame, evenly, read_sample, spread_by
from apps.report.svg import power_of_ten
from apps.report.truth import confusion
from sorter.core.frames import ArrayFrameStore
from sorter.core.geometry import Geometry, azimuth_rad, q_inv_nm, radius_px
from sorter.preprocess.angular import AngularContrast, make_rings
from sorter.preprocess.radial import q_of_radius, radial_grid

GEOMETRY = Geometry((40, 48), 1e-4, 0.05, 13.5e-9, (18.3, 25.1))


def test_evenly_takes_both_ends_and_no_more_than_asked():
    ids = np.arange(1000, dtype=np.uint64)
    some = evenly(ids, 7)
    assert len(some) == 7 and some[0] == 0 and some[-1] == 999
    assert_array_equal(evenly(ids[:3], 7), ids[:3])


def test_spread_by_goes_from_large_to_small_whatever_the_order_of_rows():
    rng = np.random.default_rng(0)
    ids, values = rng.permutation(100).astype(np.uint64), np.arange(100.0)
    some = spread_by(ids, values, 5)
    order = rng.permutation(100)
    assert_array_equal(spread_by(ids[order], values[order], 5), some)
    assert (np.diff([values[ids == i][0] for i in some]) < 0).all()
    assert len(spread_by(ids, np.full(100, np.nan), 5)) == 5


def test_mean_frame_is_numpy_nanmean_in_any_batches():
    frames = np.random.default_rng(0).normal(size=(13, 6, 5))
    frames[2, 1, 1] = np.nan
    frames[:, 3, 3] = np.nan
    mean = MeanFrame((6, 5))
    for part in np.array_split(frames, 4):
        mean.update(part)
    expected = np.full((6, 5), np.nan)
    expected[~np.isnan(frames).all(0)] = [np.nanmean(frames[:, y, x]) for y, x in np.argwhere(~np.isnan(frames).all(0))]
    assert_allclose(mean.finish(), expected)


def test_read_sample_averages_the_members_and_keeps_the_examples():
    frames = np.random.default_rng(0).poisson(3, (30, 8, 8)).astype(np.uint16)
    store = ArrayFrameStore(frames, np.arange(100, 130, dtype=np.uint64))
    groups = {0: np.arange(100, 110, dtype=np.uint64), -1: np.array([129, 105], np.uint64)}
    sample = read_sample(store, groups, np.array([103, 120], np.uint64))
    assert_allclose(sample.means[0], frames[:10].mean(0))
    assert_allclose(sample.means[-1], frames[[29, 5]].mean(0))
    assert sample.n_frames == {0: 10, -1: 2} and set(sample.frames) == {103, 120}
    assert_array_equal(sample.frames[120], frames[20])


def test_profile_is_the_mean_over_each_ring_and_its_axis_is_q():
    bad = np.zeros(GEOMETRY.shape_px, bool)
    bad[:, 20:23] = True
    frame = np.random.default_rng(0).normal(size=GEOMETRY.shape_px)
    frame[5, 5] = np.nan
    grid = radial_grid(GEOMETRY, bad)
    ring = np.rint(radius_px(GEOMETRY))
    for r, value in enumerate(grid.profile(frame)):
        here = (ring == r) & ~bad & np.isfinite(frame)
        assert here.any() or np.isnan(value)
        if here.any():
            assert_allclose(value, frame[here].mean())
    assert grid.unit == "1/nm"
    assert_allclose(q_of_radius(GEOMETRY, radius_px(GEOMETRY)), q_inv_nm(GEOMETRY))
    assert radial_grid(Geometry((40, 48)), bad).unit == "px"


@pytest.mark.parametrize("order", [1, 2, 3, 5, 6])
def test_angular_contrast_finds_the_order_and_nothing_else(order):
    geometry = Geometry((96, 96), beam_center_px=(47.5, 47.5))
    bad = radius_px(geometry) < 6
    depth = 0.6
    rate = 200 * (1 + depth * np.cos(order * azimuth_rad(geometry) + 0.7)) * (radius_px(geometry) < 46)
    contrast = AngularContrast(make_rings(geometry, bad), True)
    contrast.update(np.random.default_rng(0).poisson(rate, (5, 96, 96)))
    found = contrast.finish()
    assert_allclose(found[order - 1], depth / 2, rtol=0.05)  # the half of a cosine that exp(-i m phi) sees
    assert np.delete(found, order - 1).max() < 0.02


def test_angular_contrast_of_noise_alone_does_not_depend_on_brightness():
    geometry = Geometry((64, 64), beam_center_px=(31.5, 31.5))
    rings = make_rings(geometry, np.zeros((64, 64), bool))
    for rate in (1.0, 100.0):
        contrast = AngularContrast(rings, True)
        contrast.update(np.random.default_rng(1).poisson(rate, (60, 64, 64)))
        assert (np.abs(contrast.power) / contrast.n < 2e-3 / rate).all()
    dark = AngularContrast(rings, True)
    dark.update(np.zeros((2, 64, 64)))
    assert np.isnan(dark.finish()).all()


def test_angular_contrast_does_not_see_the_mask():
    geometry = Geometry((64, 64), beam_center_px=(31.5, 31.5))
    bad = np.zeros((64, 64), bool)
    bad[:, 20:28] = True
    contrast = AngularContrast(make_rings(geometry, bad), False)
    contrast.update(np.where(bad, 1e6, 100.0)[None])
    assert_allclose(contrast.finish(), 0, atol=1e-9)


@pytest.mark.parametrize(
    ("scale", "labels"),
    [
        (Scale(0.0, 1.0), ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        (Scale(0.0, 3.0, whole=True), ["0", "1", "2", "3"]),
        (Scale(0.0, 12000.0), ["0", "5,000", "10,000"]),
        (Scale(90.0, 2e5, log=True), ["10²", "10³", "10⁴", "10⁵"]),
        (Scale(120.0, 800.0, log=True), ["200", "500"]),
        (Scale(1e-8, 1.0, log=True), ["10⁻⁸", "10⁻⁶", "10⁻⁴", "10⁻²", "1"]),
    ],
)
def test_ticks_are_round_and_inside(scale, labels):
    assert [word for _, word in scale.ticks()] == labels
    assert all(-1e-9 <= scale.share(np.array(v)) <= 1 + 1e-9 for v, _ in scale.ticks())


def test_scale_of_nothing_and_of_one_value():
    for values in (np.empty(0), np.array([np.nan]), np.array([3.0, 3.0]), np.array([0.0])):
        for log in (False, True):
            scale = Scale.over(values, log=log)
            assert scale.high > scale.low and len(scale.ticks()) >= 1


def test_a_curve_breaks_where_a_value_is_missing():
    chart = Chart(Scale(0.0, 4.0), Scale(1.0, 10.0, log=True), "x", "y")
    path = chart.line(np.arange(5.0), np.array([1, 10, 0, np.nan, 5.0]), "#000000", 1)
    assert path.count("M") == 2 and path.count("L") == 1


def test_confusion_counts_pairs():
    classes = np.array(["rod", "rod", "cube", "blank", "rod"])
    words, groups, counts = confusion(classes, np.array([0, 1, 1, -2, -1]))
    assert words == ["rod", "blank", "cube"] and groups == [0, 1, -1, -2]
    assert_array_equal(counts, [[1, 1, 1, 0], [0, 0, 0, 1], [0, 1, 0, 0]])


def test_pictures_stay_within_the_budget():
    frames = np.random.default_rng(0).integers(0, 1000, (40, 96, 96)).astype(np.uint16)
    store = ArrayFrameStore(frames)
    sample = read_sample(store, {0: store.frame_ids}, store.frame_ids)
    said = dict.fromkeys(range(40), "")
    for budget, side in ((10**7, 96), (300_000, 48)):
        pictures = make_pictures(sample, store.bad_pixels, said, budget)
        assert sum(map(len, pictures.urls.values())) <= budget
        data = base64.b64decode(pictures.urls[3].split(",")[1])
        assert max(Image.open(io.BytesIO(data)).size) == side


def test_words():
    assert text("a\x00<b>&\"'\ud800") == "a\\x00&lt;b&gt;&amp;&quot;&#x27;\\xd800"
    assert [percent(v) for v in (0, 0.004, 0.5, 0.999, 1)] == [f"{v}\u00a0%" for v in ("0", "0.4", "50", "99.9", "100")]
    assert quantity(12345.6) == "12,346" and quantity(0.01234) == "0.0123" and quantity(3e9) == "3.00e+09"
    assert [power_of_ten(v) for v in (0, 1, 10, 1000, 0.01)] == ["0", "1", "10", "10³", "10⁻²"]


def test_the_sweep_of_sizes_is_shown_where_there_was_one():
    entry = {"min_cluster_size": 30, "n_clusters": 13, "noise_share": 0.1, "agreement": 0.8, "validity": None}
    shown = sweep_table([entry, {**entry, "min_cluster_size": 40, "agreement": 0.9}], 0.83)
    assert "here 0.90" in shown and "gives the same groups to 0.83" in shown and shown.count("<tr>") == 3
    assert "half of the hits" not in sweep_table([entry, entry], None) and sweep_table([entry], 0.5) == ""
