"""Shots of noise-free patterns: sums that are exact, and pictures like those of real frames."""

import numpy as np
import pytest
import torch

from sorter.core.errors import InputError
from sorter.core.geometry import Geometry
from sorter.preprocess.polar import PolarGrid, PolarMap
from sorter.preprocess.scaling import log_scaled, polar_picture
from sorter.views.shots import USUAL_OUTER_PX, Detectors, ShotConfig, Shots, ring_means, sector_means

SIDE = 130


def detector(side=SIDE, bad=None, inner=0.0):
    geometry = Geometry((side, side), 1e-4, 0.1, 1e-9, ((side - 1) / 2, (side - 1) / 2))
    weights = np.ones((side, side), np.float32) if bad is None else (~bad).astype(np.float32)
    return PolarMap(geometry, weights, PolarGrid(16, 32, inner, side / 2))


def test_ring_means_of_a_smooth_pattern():
    """The mean of r^2 over an annulus a..b is (a^2 + b^2) / 2, and cells of constant rate are summed exactly."""
    fine = torch.arange(81.0)
    per_ring = (fine[:-1] ** 2 + fine[1:] ** 2) / 2
    rate = per_ring[None, :, None].expand(3, 80, 8).contiguous()
    reach = torch.tensor([1.0, 0.6, 0.55])
    found = ring_means(rate, reach, torch.zeros(3, 2), 10)
    for i, share in enumerate([1.0, 0.6, 0.55]):
        edge = torch.arange(11.0) * 8 * share
        expected = (edge[:-1] ** 2 + edge[1:] ** 2) / 2
        assert torch.allclose(found[i, :, 0], expected, rtol=0.06)  # the innermost ring is a few steps
    assert torch.allclose(found[0, :, 3], (torch.arange(10.0) ** 2 + torch.arange(1.0, 11) ** 2) * 32, rtol=1e-4)


def test_a_moved_centre_looks_further_out_on_one_side():
    rate = torch.arange(80.0)[None, :, None].expand(1, 80, 8).contiguous()
    found = ring_means(rate, torch.tensor([0.5]), torch.tensor([[0.1, 0.0]]), 10)[0, 5]
    assert found[1] > found[6] + 5  # +y against -y


def test_sector_means_is_the_loop():
    sector = torch.tensor([[[0, 0, 1, 1], [2, 3, 4, 5]]])
    cells = torch.randn(1, 2, 4)
    c = cells[0]
    expected = torch.stack([c[0, :2].mean(), c[0, 2:].mean(), *c[1], torch.tensor(0.0)])
    assert torch.allclose(sector_means(cells, sector, 7)[0], expected)


@pytest.fixture
def one_shot():
    """Exact shots: no noise but Poisson's, full reach, bright."""
    return ShotConfig(
        reach=(1.0, 1.0), photons=(1e7, 1e7), dim_share=0.0, background=(1e-6, 1e-6), shift=0.0, excess=0.0,
        softening_spread=1.0,
    )  # fmt: skip


@pytest.mark.parametrize("side", [130, 260])
def test_a_shot_is_the_picture_of_the_frame(one_shot, side):
    """The pattern exp(-r / 20) (1 + cos 2 phi / 2) as a frame of any size, through the polar map, gives the same picture."""
    polar = detector(side)
    half = side / 2
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    r, phi = np.hypot(y, x) / half, np.arctan2(y, x)
    frame = np.exp(-3 * r) * (1 + 0.5 * np.cos(2 * phi)) * (r < 1)
    frame *= 1e7 / frame.sum()
    index = torch.from_numpy(polar.grid.expand)
    rate, weight = polar_picture(polar(frame[None]), polar.area, index)
    expected = log_scaled(rate, weight, 0.1 * (USUAL_OUTER_PX / half) ** 2)[0]
    fine_r = (torch.arange(80) + 0.5) / 80
    fine_phi = (torch.arange(32) + 0.5) * (2 * np.pi / 32)
    log_rate = (-3 * fine_r)[:, None] + torch.log(1 + 0.5 * torch.cos(2 * fine_phi))
    shots = Shots(Detectors([polar]), one_shot)
    pictures, weights = shots(log_rate[None].expand(40, 80, 32), torch.Generator().manual_seed(1))
    assert (weights == 1).all()
    turned = torch.stack([expected.roll(t, -1) for t in range(32)])  # the pattern is its own mirror image
    error = (pictures[:, None] - turned[None])[:, :, 4:].abs().mean((2, 3)).amin(1)
    assert error.max() < 0.05


def test_masked_pixels_have_no_weight_and_change_nothing(one_shot):
    bad = np.zeros((SIDE, SIDE), bool)
    bad[:, 60:70] = True
    polar = detector(bad=bad)
    pictures, weights = Shots(Detectors([polar]), one_shot)(torch.randn(5, 80, 32), torch.Generator().manual_seed(0))
    covered = polar.area[torch.from_numpy(polar.grid.expand)] > 0
    assert (weights == covered.float()).all() and not covered.all()
    assert (pictures[weights == 0] == 0).all() and torch.isfinite(pictures).all()


def test_same_generator_same_shots():
    maps = [detector(), detector(64), detector(200)]
    shots = Shots(Detectors(maps), ShotConfig())
    pattern = torch.randn(6, 80, 32)
    first, again = (shots(pattern, torch.Generator().manual_seed(5))[0] for _ in range(2))
    other = shots(pattern, torch.Generator().manual_seed(6))[0]
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_grids_begin_at_the_beam():
    with pytest.raises(InputError, match="begin at the beam"):
        Detectors([detector(inner=3.0)])
    with pytest.raises(InputError, match="background"):
        ShotConfig(background=(0.0, 1.0))
