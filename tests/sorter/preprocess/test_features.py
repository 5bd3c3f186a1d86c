"""Scaling, canonical orientation and features: invariances."""

import numpy as np
import pytest
import torch

from sorter.preprocess.canonical import canonical, canonical_turn, roll_angles
from sorter.preprocess.features import (
    BISPECTRUM_PAIRS,
    bispectra,
    coherences,
    ring_harmonics,
    rotation_invariant_features,
)
from sorter.preprocess.scaling import choose_softening, log_scaled, polar_picture


def pictures(n: int = 4, radii: int = 16, angles: int = 64, seed: int = 0) -> torch.Tensor:
    """Smooth pictures with several angular harmonics."""
    rng = torch.Generator().manual_seed(seed)
    angle = torch.arange(angles) * 2 * torch.pi / angles
    amplitude, phase = torch.rand(n, radii, 9, generator=rng), 6 * torch.rand(n, 1, 9, generator=rng)
    shifted = torch.cos(torch.arange(9)[None, None, :, None] * angle + phase[..., None])
    return (amplitude[..., None] * shifted).sum(2)


def test_log_scale_forgets_the_fluence_of_a_bright_shot() -> None:
    rate = torch.rand(3, 8, 16) * 100 + 50
    weight = torch.ones_like(rate)
    torch.testing.assert_close(log_scaled(rate, weight, 0.1), log_scaled(7 * rate, weight, 0.1), atol=1e-5, rtol=0)


def test_log_scale_is_zero_without_weight_and_finite_for_negative_values() -> None:
    rate = torch.randn(2, 4, 8)
    weight = (torch.rand(2, 4, 8) > 0.3).float()
    scaled = log_scaled(rate, weight, 0.5)
    assert torch.isfinite(scaled).all() and (scaled[weight == 0] == 0).all()
    assert torch.equal(log_scaled(torch.zeros(1, 4, 8), torch.zeros(1, 4, 8), 0.5), torch.zeros(1, 4, 8))


def test_polar_picture_shows_rates_and_where_there_are_none() -> None:
    counts, area = torch.tensor([[4.0, 0.0, 9.0]]), torch.tensor([2.0, 0.0, 3.0])
    rate, weight = polar_picture(counts, area, torch.tensor([[0, 0], [1, 2]]))
    assert rate.tolist() == [[[2.0, 2.0], [0.0, 3.0]]] and weight.tolist() == [[[1.0, 1.0], [0.0, 1.0]]]


def test_softening_follows_the_unit_of_raw_data() -> None:
    counts, area = torch.rand(50, 20) - 0.5, torch.ones(20)
    assert choose_softening(counts, area, "photon") == 0.1
    small, large = (choose_softening(k * counts, area, "adu") for k in (1, 1000))
    assert large == pytest.approx(1000 * small)
    assert choose_softening(0 * counts, area, "adu") > 0


@pytest.mark.parametrize("turn", [1, 5, 32, 63])
def test_turned_pictures_have_one_canonical_orientation(turn: int) -> None:
    picture = pictures()
    turned = roll_angles(picture, torch.full((len(picture),), turn))
    weight = torch.ones_like(picture)
    first, second = canonical(picture, weight)[0], canonical(turned, weight)[0]
    # Rounding the angle to a cell can differ by one cell.
    best = torch.stack([(first - torch.roll(second, k, -1)).abs().amax((1, 2)) for k in (-1, 0, 1)]).amin(0)
    torch.testing.assert_close(best, torch.zeros(len(picture)), atol=1e-5, rtol=0)


def test_canonical_turn_of_the_canonical_picture_is_none() -> None:
    picture, _ = canonical(pictures(), torch.ones(4, 16, 64))
    turn = canonical_turn(picture)
    assert (torch.minimum(turn, 64 - turn) <= 1).all()


def test_features_forget_turn_and_mirroring() -> None:
    picture, weight = pictures(), torch.ones(4, 16, 64)
    weight[:, :, 10:14] = 0
    features = rotation_invariant_features(picture, weight)
    shift = torch.tensor([3, 17, 40, 63])
    turned = rotation_invariant_features(roll_angles(picture, shift), roll_angles(weight, shift))
    mirrored = rotation_invariant_features(picture.flip(-1), weight.flip(-1))
    torch.testing.assert_close(turned, features, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(mirrored, features, atol=1e-4, rtol=1e-3)


def test_bispectra_equal_their_definition() -> None:
    harmonics = ring_harmonics(pictures(2, 8, 32), torch.ones(2, 8, 32))
    found = bispectra(harmonics, 2)
    a = harmonics.numpy()
    for k, (i, j) in enumerate(BISPECTRUM_PAIRS):
        for band in range(2):
            rings = slice(4 * band, 4 * band + 4)
            product = a[:, rings, i] * a[:, rings, j] * np.conj(a[:, rings, i + j])
            expected = product.real.mean(1) / (np.abs(product).mean(1) + 1e-3)
            np.testing.assert_allclose(found[:, band, k].numpy(), expected, atol=1e-4)


def test_bispectra_tell_a_cross_from_its_four_fold_twin() -> None:
    angle = torch.arange(64) * 2 * torch.pi / 64
    narrow = (torch.cos(2 * angle) + torch.cos(4 * angle)).expand(1, 8, 64)
    split = (torch.cos(2 * angle) - torch.cos(4 * angle)).expand(1, 8, 64)
    place = BISPECTRUM_PAIRS.index((2, 2))
    values = [float(bispectra(ring_harmonics(p, torch.ones(1, 8, 64)), 1)[0, 0, place]) for p in (narrow, split)]
    assert values[0] > 0.9 and values[1] < -0.9


def test_coherence_tells_straight_streaks_from_scattered_ones() -> None:
    angle = torch.arange(64) * 2 * torch.pi / 64
    straight = torch.cos(2 * angle).expand(1, 16, 64)
    phase = 2 * torch.pi * torch.rand(1, 16, 1, generator=torch.Generator().manual_seed(0))
    scattered = torch.cos(2 * angle + phase)
    values = [float(coherences(ring_harmonics(p, torch.ones(1, 16, 64)), 1)[0, 0, 1]) for p in (straight, scattered)]
    assert values[0] > 0.95 and values[1] < 0.6
