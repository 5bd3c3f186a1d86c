"""Polygon test and sampling against naive references."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path

from apps.explorer.colors import Coloring
from apps.explorer.ground import Ground
from apps.explorer.points import PointIndex, spread_order


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
    assert PointIndex(xy).in_box(0, 2, 1, 2).tolist() == [False, True, True, False]


def test_every_beginning_of_the_order_shows_each_stratum_in_proportion():
    strata = np.repeat([-1, 0, 1, 2], [70_000, 29_000, 997, 3])
    order = spread_order(strata)
    assert np.array_equal(np.sort(order), np.arange(len(strata)))
    assert set(strata[order[:4]]) == {-1, 0, 1, 2}, "the first point of each comes first"
    for n in (500, 5000, 50_000):
        found = dict(zip(*np.unique(strata[order[:n]], return_counts=True)))
        assert found[-1] == pytest.approx(0.7 * n, abs=2) and found[0] == pytest.approx(0.29 * n, abs=2)
    rows = order[:5000]
    assert 0.45 < (rows[strata[rows] == -1] < 35_000).mean() < 0.55, "not the first ones"
    assert np.array_equal(order, spread_order(strata))


def test_the_ground_shows_every_point_in_its_place_and_the_mean_colour():
    rng = np.random.default_rng(0)
    xy = rng.random((2000, 2)).astype(np.float32)
    values = np.where(xy[:, 0] < 0.5, 0, 1).astype(np.float32)
    coloring = Coloring("side", values, ("#ff0000", "#0000ff"), -0.5, 1.5)
    image = Ground(xy, coloring).picture((0, 1, 0, 1), (8, 10)).view(np.uint8).reshape(8, 10, 4)
    counts, _, _ = np.histogram2d(xy[:, 1], xy[:, 0], bins=(8, 10), range=((0, 1), (0, 1)))
    assert ((image[..., 3] > 0) == (counts > 0)).all()
    most, least = np.unravel_index(counts.argmax(), counts.shape), np.unravel_index(counts.argmin(), counts.shape)
    assert image[most][3] == 255 > image[least][3]
    assert (image[:, :5, 0] == 255).all() and (image[:, 5:, 2] == 255).all()
    assert not Ground(xy + 5, coloring).picture((0, 1, 0, 1), (8, 10)).any(), "an empty view is empty"
