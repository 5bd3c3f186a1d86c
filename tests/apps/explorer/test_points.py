"""Polygon test and sampling against naive references."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path

from apps.explorer.points import PointIndex, density_image, stratified_rows


def crossings(polygon, x, y):
    """Crossing number of one point, edge by edge."""
    inside = False
    for (xa, ya), (xb, yb) in zip(polygon, np.roll(polygon, -1, axis=0)):
        if (ya <= y < yb or yb <= y < ya) and x < xa + (y - ya) * ((xb - xa) / (yb - ya)):
            inside = not inside
    return inside


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(3, 12), st.integers(0, 60))
def test_polygon_equals_crossing_number_of_each_point(seed, n_vertices, n):
    rng = np.random.default_rng(seed)
    polygon = rng.integers(-4, 5, (n_vertices, 2)).astype(
        float
    )  # whole numbers: shared y, repeated and touching vertices
    xy = np.where(rng.random((n, 1)) < 0.5, rng.integers(-4, 5, (n, 2)), rng.normal(0, 3, (n, 2)))
    assert PointIndex(xy).in_polygon(polygon).tolist() == [crossings(polygon, *point) for point in xy]


def test_polygon_agrees_with_matplotlib_on_a_star():
    rng = np.random.default_rng(1)
    angle = np.linspace(0, 2 * np.pi, 201)[:-1]
    star = np.column_stack([np.cos(angle), np.sin(angle)]) * (1 + 0.5 * np.cos(5 * angle))[:, None]
    xy = rng.normal(0, 1, (20_000, 2))
    assert np.array_equal(PointIndex(xy).in_polygon(star), Path(star).contains_points(xy))


def test_nearest_is_the_nearest_within_reach():
    xy = np.random.default_rng(2).normal(size=(500, 2))
    index = PointIndex(xy)
    for x, y in np.random.default_rng(3).normal(size=(50, 2)):
        distance = np.hypot(*(xy - (x, y)).T)
        assert index.nearest(x, y, 0.1) == (int(distance.argmin()) if distance.min() <= 0.1 else None)
    assert PointIndex(np.empty((0, 2))).nearest(0, 0, 1) is None


def test_box_is_inclusive():
    xy = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0], [1.0, 3.0]])
    assert PointIndex(xy).in_box(0, 2, 1, 2).tolist() == [1, 2]


def test_sample_leaves_no_stratum_out_and_keeps_proportions():
    strata = np.repeat([-1, 0, 1, 2], [70_000, 29_000, 997, 3])
    rows = stratified_rows(strata, 5000)
    found = dict(zip(*np.unique(strata[rows], return_counts=True)))
    assert len(rows) <= 5000 and len(np.unique(rows)) == len(rows)
    assert found[2] >= 1 and found[-1] == pytest.approx(3500, rel=0.01) and found[0] == pytest.approx(1450, rel=0.01)
    first_half = (rows[strata[rows] == -1] < 35_000).mean()
    assert 0.45 < first_half < 0.55, "not the first ones"
    assert np.array_equal(rows, stratified_rows(strata, 5000))


def test_small_sets_are_drawn_whole():
    assert stratified_rows(np.zeros(7, int), 10).tolist() == list(range(7))
    assert len(stratified_rows(np.arange(100), 10)) == 10


def test_density_counts_every_point_once():
    xy = np.random.default_rng(0).random((1000, 2))
    image = density_image(xy, (0, 1, 0, 1), (4, 6))
    assert image.shape == (4, 6) and image.sum() == 1000
    assert image[0].sum() == (xy[:, 1] < 0.25).sum()
