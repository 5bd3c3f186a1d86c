"""Views: each keeps what it must keep."""

import math

import numpy as np
import pytest
import torch

from sorter.core.errors import InputError
from sorter.core.geometry import Geometry
from sorter.preprocess.canonical import roll_angles
from sorter.preprocess.polar import PolarGrid, PolarMap
from sorter.preprocess.scaling import log_scaled, polar_picture
from sorter.views.gaps import drop_rings, drop_wedge
from sorter.views.geometric import mirror_angles, radial_positions, resample_radially
from sorter.views.pipeline import PolarViews, ViewConfig
from sorter.views.thinning import thin_photons

GEOMETRY = Geometry((32, 32), beam_center_px=(15.5, 15.5))
GRID = PolarGrid(8, 32, 0.0, 16.0)
STILL = ViewConfig(rotate=False, log_zoom=0, log_thinning=0, shift_px=0, wedge=0, rings=0)


def make_map() -> PolarMap:
    weights = np.ones((32, 32), np.float32)
    weights[:, 20:22] = 0
    return PolarMap(GEOMETRY, weights, GRID)


def make_views(config: ViewConfig, photons: bool = True) -> PolarViews:
    return PolarViews(GRID, make_map().area, 0.1, photons, config)


def counts(n: int = 16, seed: int = 0) -> torch.Tensor:
    frames = np.random.default_rng(seed).poisson(3.0, (n, 32, 32)).astype(np.uint16)
    return make_map()(frames)


def test_thinned_counts_are_whole_never_more_and_have_binomial_moments() -> None:
    photons = torch.full((2000, 50), 20.0)
    keep = torch.full((2000,), 0.3)
    thinned = thin_photons(photons, keep, torch.Generator().manual_seed(0))
    assert torch.equal(thinned, thinned.round()) and (thinned <= 20).all() and (thinned >= 0).all()
    # 100,000 draws: standard error of the mean 0.0065, of the variance 0.019.
    assert float(thinned.mean()) == pytest.approx(6.0, abs=0.04)
    assert float(thinned.var()) == pytest.approx(20 * 0.3 * 0.7, abs=0.1)


def test_thinning_a_poisson_count_gives_a_poisson_count() -> None:
    photons = torch.poisson(torch.full((400, 250), 8.0), generator=torch.Generator().manual_seed(1))
    thinned = thin_photons(photons, torch.full((400,), 0.25), torch.Generator().manual_seed(2))
    assert float(thinned.mean()) == pytest.approx(2.0, abs=0.03)
    assert float(thinned.var() / thinned.mean()) == pytest.approx(1.0, abs=0.03)


def test_a_view_without_any_change_is_the_scaled_frame() -> None:
    data = counts()
    picture, weight = make_views(STILL)(data, torch.Generator().manual_seed(0))
    rate, expected_weight = polar_picture(data, make_map().area, torch.from_numpy(GRID.expand))
    torch.testing.assert_close(weight, expected_weight)
    torch.testing.assert_close(picture, log_scaled(rate, expected_weight, 0.1), atol=1e-5, rtol=1e-5)


def test_rotating_the_frame_is_rolling_the_picture_with_its_mask() -> None:
    data = counts()
    rate, weight = polar_picture(data, make_map().area, torch.from_numpy(GRID.expand))
    quarter = torch.full((len(data),), 8)
    frames = np.random.default_rng(0).poisson(3.0, (16, 32, 32)).astype(np.uint16)
    good = np.ones((32, 32), np.float32)
    good[:, 20:22] = 0
    # np.rot90 turns from y to x, against the azimuth; three quarters of it turn along with it.
    turned_map = PolarMap(GEOMETRY, np.rot90(good, 3).copy(), GRID)
    turned = polar_picture(
        turned_map(np.rot90(frames, 3, (1, 2)).copy()), turned_map.area, torch.from_numpy(GRID.expand)
    )
    torch.testing.assert_close(roll_angles(weight, quarter), turned[1])
    torch.testing.assert_close(roll_angles(rate, quarter), turned[0])


def test_mirroring_twice_is_nothing() -> None:
    picture = torch.rand(4, 8, 32)
    chosen = torch.tensor([True, False, True, False])
    torch.testing.assert_close(mirror_angles(mirror_angles(picture, chosen), chosen), picture)
    assert torch.equal(mirror_angles(picture, chosen)[1], picture[1])


def test_zoom_moves_a_ring_outwards_and_its_mask_along() -> None:
    rate = torch.zeros(1, 16, 8)
    rate[:, 4] = 1.0
    weight = torch.ones_like(rate)
    weight[:, 6] = 0.0
    angles = torch.zeros(8)
    position = radial_positions(16, 0.0, torch.tensor([0.5]), torch.zeros(1, 2), angles)
    zoomed, zoomed_weight = resample_radially(rate, weight, position)
    assert int(zoomed[0, :, 0].argmax()) in (8, 9)
    assert int(zoomed_weight[0, :, 0].argmin()) in (12, 13)


def test_zooming_out_leaves_no_weight_beyond_the_recorded_radius() -> None:
    position = radial_positions(16, 0.0, torch.tensor([2.0]), torch.zeros(1, 2), torch.zeros(8))
    _, weight = resample_radially(torch.ones(1, 16, 8), torch.ones(1, 16, 8), position)
    assert (weight[0, 9:] == 0).all() and (weight[0, :7] > 0).all()


def test_centre_shift_moves_towards_its_own_azimuth() -> None:
    angles = torch.tensor([0.0, math.pi / 2, math.pi])
    position = radial_positions(4, 3.0, torch.ones(1), torch.tensor([[0.0, 0.5]]), angles)
    torch.testing.assert_close(position[0, 0], torch.tensor([0.5, 0.0, -0.5]), atol=1e-6, rtol=0)


def test_gaps_take_weight_where_they_are_and_nowhere_else() -> None:
    weight = drop_wedge(torch.ones(1, 4, 8), torch.tensor([6]), torch.tensor([4]))
    assert weight[0, 0].tolist() == [0, 0, 1, 1, 1, 1, 0, 0]
    weight = drop_rings(torch.ones(1, 4, 8), torch.tensor([1]), torch.tensor([2]))
    assert weight[0, :, 0].tolist() == [1, 0, 0, 1]


def test_views_repeat_with_the_seed_and_keep_orientation_when_asked() -> None:
    data = counts()
    views = make_views(ViewConfig())
    first, again, other = (views(data, torch.Generator().manual_seed(s))[0] for s in (5, 5, 6))
    assert torch.equal(first, again) and not torch.equal(first, other)
    still = ViewConfig(rotate=False, log_zoom=0, log_thinning=0, shift_px=0, wedge=0.3, rings=0)
    _, weight = make_views(still)(data, torch.Generator().manual_seed(0))
    _, whole = polar_picture(data, make_map().area, torch.from_numpy(GRID.expand))
    assert (weight <= whole).all() and (weight < whole).any()


def test_raw_adu_are_never_thinned() -> None:
    data = counts() - 5.5
    config = ViewConfig(rotate=False, log_zoom=0, log_thinning=2, shift_px=0, wedge=0, rings=0)
    first, second = (make_views(config, photons=False)(data, torch.Generator().manual_seed(s))[0] for s in (0, 1))
    assert torch.isfinite(first).all() and torch.equal(first, second)


def test_impossible_views_are_refused() -> None:
    with pytest.raises(InputError, match="wedge"):
        ViewConfig(wedge=0.9)
