"""Far field of disks against its integral, its symmetries, and the drawing of disks."""

import numpy as np
import pytest
import torch
from scipy.special import j1

from sim.particles.disks import BOX, GAP, MARGIN, TOTAL_AREA, Disks, draw_disks, draw_radii, equal_radius, place_disks
from sim.scattering.disks import PIXEL, detect, far_field, intensity, standardise
from sorter.core.errors import InputError


def rng(seed=0):
    return np.random.default_rng(seed)


def naive_far_field(disks, last):
    """The sum over disks and pixels, one by one, in double precision."""
    out = np.zeros((last + 1, last + 1), complex)
    for ny in range(last + 1):
        for nx in range(last + 1):
            kx, ky = nx * PIXEL, ny * PIXEL
            k = np.hypot(kx, ky)
            for (x, y), r in zip(disks.centres, disks.radii):
                form = np.pi * r**2 if k == 0 else 2 * np.pi * r * j1(k * r) / k
                out[ny, nx] += form * np.exp(-1j * (kx * x + ky * y))
    return out


@pytest.mark.parametrize("polydispersity", [0.0, 1 / 3])
def test_far_field_is_the_sum_over_disks(polydispersity):
    disks = draw_disks(5, polydispersity, rng(1))
    expected = naive_far_field(disks, 24)
    # complex64 sums of terms of the order of the forward value: 1e-6 of that
    np.testing.assert_allclose(far_field(disks, 24).numpy(), expected, atol=2e-6 * TOTAL_AREA)


def test_far_field_is_the_integral_over_the_disk():
    """Against a raster of one disk: the raster is the approximation, its error shrinks with the pixel."""
    disks = Disks(np.array([[700.0, 1100.0]]), np.array([80.0]))
    fine = 0.5
    y, x = np.mgrid[1000:1200:fine, 600:800:fine] + fine / 2
    inside = np.hypot(x - 700, y - 1100) <= 80
    for nx, ny in [(0, 0), (10, 3), (0, 40), (60, 60)]:
        raster = (inside * np.exp(-1j * PIXEL * (nx * x + ny * y))).sum() * fine**2
        assert abs(far_field(disks, 60)[ny, nx].item() - raster) < 2e-3 * TOTAL_AREA / 2


def test_forward_value_is_the_total_area_and_intensity_ignores_a_shift():
    disks = draw_disks(7, 1 / 3, rng(2))
    moved = Disks(disks.centres + np.array([31.0, -17.0]), disks.radii)
    pattern = intensity(disks, 64)
    assert pattern[0, 0].item() == pytest.approx(TOTAL_AREA**2, rel=1e-5)
    torch.testing.assert_close(intensity(moved, 64), pattern, rtol=0, atol=1e-5 * TOTAL_AREA**2)


def test_exchange_of_axes_and_friedel():
    disks = draw_disks(6, 1 / 3, rng(3))
    swapped = Disks(disks.centres[:, ::-1].copy(), disks.radii)
    torch.testing.assert_close(far_field(swapped, 40), far_field(disks, 40).T, rtol=0, atol=1e-5 * TOTAL_AREA)
    both = far_field(disks, 20, first=-20)
    torch.testing.assert_close(both.flip(0, 1), both.conj(), rtol=0, atol=1e-5 * TOTAL_AREA)


def test_larger_quadrant_continues_the_smaller_one():
    disks = draw_disks(9, 1 / 3, rng(4))
    # two tables of form factors, each exact to the rounding of float32
    torch.testing.assert_close(
        intensity(disks, 128)[:65, :65], intensity(disks, 64), rtol=1e-4, atol=1e-7 * TOTAL_AREA**2
    )


def test_coherence_blurs_and_full_coherence_is_the_limit():
    disks = draw_disks(8, 0.0, rng(5))
    sharp, blurred = intensity(disks, 96), intensity(disks, 96, coherence_length=400.0)
    middle = (slice(30, 90), slice(30, 90))
    assert blurred[middle].std() < 0.8 * sharp[middle].std()
    torch.testing.assert_close(intensity(disks, 96, coherence_length=1e6), sharp, rtol=1e-3, atol=1e-6 * TOTAL_AREA**2)
    with pytest.raises(InputError, match="coherence_length"):
        intensity(disks, 16, coherence_length=0)


@pytest.mark.parametrize("count", [1, 2, 20, 60])
@pytest.mark.parametrize("polydispersity", [0.0, 1 / 3, 0.6])
def test_disks_keep_area_and_distance(count, polydispersity):
    disks = draw_disks(count, polydispersity, rng(count))
    assert disks.count == count and (disks.radii > 0).all()
    assert np.pi * (disks.radii**2).sum() == pytest.approx(TOTAL_AREA)
    assert disks.centres.min() >= MARGIN and disks.centres.max() <= BOX - MARGIN
    distance = np.hypot(*(disks.centres[:, None] - disks.centres).transpose(2, 0, 1))
    apart = distance - disks.radii[:, None] - disks.radii
    assert (apart[~np.eye(count, dtype=bool)] >= GAP - 1e-9).all()


def test_radii():
    assert equal_radius(2) == pytest.approx(90)
    np.testing.assert_allclose(draw_radii(20, 0.0, rng()), equal_radius(20))
    many = np.concatenate([draw_radii(50, 1 / 3, rng(seed)) for seed in range(200)])
    assert many.std() / many.mean() == pytest.approx(0.323, abs=0.005)  # the cut at zero takes a little off 1 / 3
    with pytest.raises(InputError, match="polydispersity"):
        draw_radii(3, 2.0, rng())


@pytest.mark.parametrize(
    "radii, says",
    [([], "at least one"), ([20, -1], "positive"), ([1200], "does not fit"), ([200] * 30, "without overlap")],
)
def test_disks_that_cannot_be_placed(radii, says):
    with pytest.raises(InputError, match=says):
        place_disks(np.array(radii, float), rng())


def test_standardise_blocks_then_scales():
    pattern = intensity(draw_disks(4, 0.0, rng(6)), 64)
    out = standardise(pattern, blocked=11)
    assert out.mean().item() == pytest.approx(0, abs=1e-6)
    assert out.var(correction=0).item() == pytest.approx(1, rel=1e-5)
    assert (out[:11, :11] == out.min()).all()
    torch.testing.assert_close(standardise(3 * pattern + 0, 11), out)
    with pytest.raises(InputError, match="constant"):
        standardise(torch.ones(1, 20, 20), blocked=0)


def test_photons_are_poisson():
    pattern = intensity(draw_disks(4, 0.0, rng(7)), 64)
    total = [detect(pattern, 1e4, rng(seed)).sum().item() for seed in range(200)]
    assert np.mean(total) == pytest.approx(1e4, abs=5 * 100 / np.sqrt(200))
    assert np.var(total) == pytest.approx(1e4, rel=0.4)
    assert (detect(pattern, 1e4, rng())[:11, :11] == 0).all()
