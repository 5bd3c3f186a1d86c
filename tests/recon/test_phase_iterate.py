"""Iterative phasing: recipes, constraints against a plain reference, fixed points, quality figures."""

import itertools

import numpy as np
import pytest
import torch
from scipy.fft import dctn, idctn

from recon.phase.alignment import align
from recon.phase.coherence import GaussianCoherence
from recon.phase.constraints import STEPS, Modulus
from recon.phase.downsample import block_dct
from recon.phase.iterate import IterateConfig, iterate, run_steps
from recon.phase.loss import aligned_error, twin
from recon.phase.problem import Problem, crop_spectrum, free_pixels
from recon.phase.quality import fourier_shell_correlation, object_errors, phase_retrieval_transfer, resolution_share
from recon.phase.recipe import CLASSICAL, Step, n_iterations, parse_recipe
from recon.phase.support import GaussianBlur, autocorrelation_support, box_support, limit_volume, shrink_wrap
from sorter.core.errors import InputError

SIDE = 32


def crystal(side=SIDE, strain=1.0):
    """A strained wedge without symmetry, inside half of each axis."""
    z, y, x = (np.indices((side,) * 3) - side // 2) / (side / 4)
    inside = (abs(z) < 0.7) & (abs(y) < 0.8) & (x > -0.8) & (x + 0.5 * y + 0.3 * z < 0.6)
    return (inside * np.exp(1j * strain * (z**2 + 0.5 * np.sin(2 * x)))).astype(np.complex64)


def pattern(obj, counts=None, seed=0):
    intensity = np.abs(np.fft.fftshift(np.fft.fftn(obj))) ** 2
    if counts is None:
        return intensity.astype(np.float32)
    return np.random.default_rng(seed).poisson(intensity * counts / intensity.sum()).astype(np.float32)


@pytest.fixture(scope="module")
def noisy():
    obj = crystal()
    return obj, Problem.of(pattern(obj, 1e6))


# -- recipes


def test_recipes_in_both_spellings():
    assert parse_recipe("20ER 180HIO 20ER") == (Step("ER", 20), Step("HIO", 180), Step("ER", 20))
    assert parse_recipe("2*(1*ER+3*HIO)+raar, 5 er") == (
        Step("ER", 1), Step("HIO", 3), Step("ER", 1), Step("HIO", 3), Step("RAAR", 1), Step("ER", 5),
    )  # fmt: skip
    assert n_iterations(parse_recipe(CLASSICAL)) == 620


@pytest.mark.parametrize("text", ["", "20", "20XX", "0ER", "2*(ER", "ER)", "ER;HIO", "3*"])
def test_other_recipes_are_refused(text):
    with pytest.raises(InputError, match="write it like"):
        parse_recipe(text)


# -- constraints


def naive(obj, amplitude, known, support, beta, algorithm):
    """ER, HIO and RAAR in numpy, written as in the papers."""
    field = np.fft.fftn(obj)
    forced = np.where(known, amplitude * np.exp(1j * np.angle(field)), field)
    projected = np.fft.ifftn(forced)
    if algorithm == "ER":
        return np.where(support, projected, 0)
    if algorithm == "HIO":
        return np.where(support, projected, obj - beta * projected)
    reflected = 2 * projected - obj  # Luke 2005: beta/2 (R_S R_M + 1) u + (1 - beta) P_M u
    twice = 2 * np.where(support, reflected, 0) - reflected
    return beta / 2 * (twice + obj) + (1 - beta) * projected


@pytest.mark.parametrize("algorithm", ["ER", "HIO", "RAAR"])
def test_steps_are_those_of_the_plain_reference(algorithm):
    rng = np.random.default_rng(1)
    shape = (8, 10, 12)
    obj = rng.standard_normal((2, *shape)) + 1j * rng.standard_normal((2, *shape))
    amplitude = rng.uniform(0, 5, shape).astype(np.float32)
    known, support = rng.random(shape) > 0.1, rng.random((2, *shape)) > 0.6
    modulus = Modulus(torch.from_numpy(amplitude), torch.from_numpy(known))
    start = torch.from_numpy(obj.astype(np.complex64))
    found = STEPS[algorithm](start.clone(), modulus(start), torch.from_numpy(support), 0.8)
    for b in range(2):
        wanted = naive(obj[b], amplitude, known, support[b], 0.8, algorithm)
        assert abs(found[b].numpy() - wanted).max() < 2e-5  # single precision of values up to 5


@pytest.mark.parametrize("algorithm", ["ER", "HIO", "RAAR"])
def test_the_truth_is_a_fixed_point(algorithm):
    obj = torch.from_numpy(crystal())
    problem = Problem.of(pattern(crystal()), free_share=0)
    support = obj.abs() > 0
    config = IterateConfig(shrink_every=0, average_last=0)
    found, _ = run_steps(obj[None].clone(), support[None], problem.modulus(), (Step(algorithm, 20),), config)
    assert (found[0] - obj).abs().max() < 1e-4


def test_error_reduction_reduces_the_error(noisy):
    _, problem = noisy
    modulus = problem.modulus()
    objects = torch.fft.ifftn(problem.amplitude + 0j)[None]
    support = box_support(problem.shape, 0.5)[None]
    errors = []
    for _ in range(10):
        objects = STEPS["ER"](objects, modulus(objects), support, 0.9)
        errors.append(float(modulus.chi2(objects)[0]))
    assert all(b <= a + 1e-6 for a, b in itertools.pairwise(errors))  # Fienup 1982


# -- support


def test_blur_keeps_the_sum_and_shrink_wrap_finds_the_object():
    amplitude = torch.from_numpy(np.abs(crystal()))[None]
    blur = GaussianBlur(amplitude.shape, 1.0)
    assert float(blur(amplitude).sum()) == pytest.approx(float(amplitude.sum()), rel=1e-5)
    support = shrink_wrap(amplitude, blur, 0.5)
    share = (support & (amplitude > 0)).sum() / (support | (amplitude > 0)).sum()
    assert share > 0.8


def test_support_is_limited_to_the_brightest_voxels():
    amplitude = torch.rand(2, 8, 8, 8)
    support = limit_volume(amplitude > -1, amplitude, 1 / 8)
    assert support.sum((1, 2, 3)).tolist() == [64, 64]
    assert amplitude[0][support[0]].min() >= amplitude[0][~support[0]].max()


def test_autocorrelation_support_covers_the_object():
    obj = crystal()
    support = autocorrelation_support(torch.from_numpy(np.fft.ifftshift(pattern(obj))))
    where = np.argwhere(support.numpy())
    size = np.ptp(np.argwhere(np.abs(obj) > 0), axis=0)
    assert (np.ptp(where, axis=0) >= 0.7 * size).all() and (np.ptp(where, axis=0) <= 1.6 * size).all()


# -- phasing


def test_phasing_finds_the_object(noisy):
    truth, problem = noisy
    found = iterate(problem, IterateConfig("20ER 100HIO 20ER", starts=3), seed=1)
    assert found.objects.shape == (3, SIDE, SIDE, SIDE) and found.iterations == 140
    errors = object_errors(found.objects[0], torch.from_numpy(truth))
    assert errors.phase_error_rad < 0.3 and errors.shape_error < 0.6
    assert found.chi2[0] < 0.05 and found.free_llk[0] <= found.free_llk[1] <= found.free_llk[2]
    again = iterate(problem, IterateConfig("20ER 100HIO 20ER", starts=3), seed=1)
    assert torch.equal(again.objects, found.objects)
    assert fourier_shell_correlation(found.objects[0], found.objects[1])[1:4].min() > 0.9
    transfer = phase_retrieval_transfer(list(found.objects), problem.amplitude, problem.known)
    assert len(transfer) == SIDE // 2 + 1 and 0.7 < transfer[1] < 1.1


def test_guided_generations_and_unknown_pixels():
    truth = crystal()
    counts = pattern(truth, 1e6)
    bad = np.zeros(counts.shape, bool)
    bad[:, 20] = True
    counts[bad] = 1e5  # what a hot row would do
    problem = Problem.of(counts, bad, free_share=0.02)
    found = iterate(problem, IterateConfig("10ER 60HIO 20ER", starts=2, generations=2), seed=3)
    assert found.iterations == 180
    assert object_errors(found.objects[0], torch.from_numpy(truth)).phase_error_rad < 0.35


def test_coherence_length_is_found():
    truth = torch.from_numpy(crystal())
    coherent = torch.fft.fftn(truth).abs().square()
    wanted = GaussianCoherence((SIDE,) * 3)
    wanted._inverse = torch.tensor([1 / 8.0, 1 / 12.0, 1 / 10.0])
    blurred = wanted.blur(coherent[None])[0]
    found = GaussianCoherence((SIDE,) * 3)
    for _ in range(4):
        found.update(coherent, blurred.sqrt(), None)
    assert found.lengths_voxels == pytest.approx((8, 12, 10), rel=0.05)
    assert float(Modulus(blurred.sqrt(), coherence=found).chi2(truth[None])[0]) < 1e-4


# -- what a pattern cannot tell


def test_alignment_takes_off_twin_shift_and_phase():
    truth = torch.from_numpy(crystal())
    moved = 0.3 * torch.roll(twin(truth), (3, -2, 5), (0, 1, 2)) * np.exp(1.1j)
    assert (align(moved, truth) - truth).abs().max() < 1e-3
    assert object_errors(moved, truth).phase_error_rad < 1e-3
    empty = object_errors(torch.zeros_like(truth), truth)
    assert empty.shape_error == pytest.approx(1) and empty.phase_error_rad == pytest.approx(np.pi / 3**0.5)
    half = torch.fft.ifftn(torch.fft.fftn(truth) * torch.exp(-2j * np.pi * 0.5 * torch.fft.fftfreq(SIDE)))
    assert (align(half, truth) - truth).abs().max() < 0.05


def test_twins_scatter_alike():
    obj = torch.from_numpy(crystal())
    assert torch.allclose(torch.fft.fftn(twin(obj)).abs(), torch.fft.fftn(obj).abs(), atol=1e-3)
    assert torch.equal(twin(twin(obj)), obj)


def test_aligned_error_is_the_best_of_all_twins_and_near_shifts():
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(1, 8, 8, 8, dtype=torch.complex64, generator=generator) for _ in range(2))
    best = np.inf
    for candidate in (b, twin(b)):
        for shift in np.ndindex(3, 3, 3):
            moved = torch.roll(candidate[0], tuple(s - 1 for s in shift), (0, 1, 2))
            phase = torch.sgn((a[0] * moved.conj()).sum())
            best = min(best, float((a[0] - moved * phase).abs().square().sum() / b.abs().square().sum()))
    assert float(aligned_error(a, b)[0]) == pytest.approx(best, rel=1e-4)


# -- the pattern


def test_block_dct_is_that_of_scipy():
    volume = np.random.default_rng(0).random((6, 6, 6))
    found = block_dct(torch.from_numpy(volume), 4).numpy()  # blocks of 3 become blocks of 2
    for corner in np.ndindex(2, 2, 2):
        block = volume[tuple(slice(3 * c, 3 * c + 3) for c in corner)]
        wanted = idctn(dctn(block, norm="ortho")[:2, :2, :2], norm="ortho") * 1.5**1.5
        part = found[tuple(slice(2 * c, 2 * c + 2) for c in corner)]
        assert part == pytest.approx(wanted, abs=1e-12)
    assert found.sum() == pytest.approx(volume.sum())
    halves = block_dct(torch.from_numpy(volume), 3).numpy()
    assert halves[0, 0, 0] == pytest.approx(volume[:2, :2, :2].sum())
    with pytest.raises(InputError, match="smaller"):
        block_dct(torch.zeros(16, 16, 16), 32)


def test_cropping_the_pattern_makes_the_object_coarser():
    z, y, x = (np.indices((SIDE,) * 3) - SIDE // 2) / SIDE
    smooth = torch.from_numpy(np.exp(-(z**2 + y**2 + x**2) / 0.02 + 2j * x).astype(np.complex64))
    field = crop_spectrum(torch.fft.fftn(torch.fft.ifftshift(smooth)), SIDE // 2) / 8
    coarse = torch.fft.fftshift(torch.fft.ifftn(field))
    assert (coarse - smooth[::2, ::2, ::2]).abs().max() < 1e-3


def test_free_pixels_are_balls_away_from_the_middle():
    free = free_pixels((64, 64, 64), 0.03, 0)
    assert 0.02 < free.mean() < 0.031 and not free[28:37, 28:37, 28:37].any()
    assert np.array_equal(free, free_pixels((64, 64, 64), 0.03, 0))
    assert not np.array_equal(free, free_pixels((64, 64, 64), 0.03, 1))


def test_free_log_likelihood_prefers_the_truth():
    truth = crystal()
    intensity = np.abs(np.fft.fftn(truth)) ** 2
    scaled = torch.from_numpy(truth * np.sqrt(1e7 / intensity.sum()).astype(np.float32))
    problem = Problem.of(pattern(truth, 1e7))
    right = float(problem.free_llk(scaled[None])[0])
    assert 0.2 < right < 0.6  # Poisson: about 0.5 per pixel that is not empty
    wrong = torch.where(scaled.abs() > 0, scaled.abs(), 0).to(torch.complex64)
    assert float(problem.free_llk(wrong[None])[0]) > 2 * right


def test_resolution_is_where_a_curve_falls():
    assert resolution_share(np.array([1, 0.9, 0.6, 0.2, 0.5]), 0.5) == 0.75
    assert resolution_share(np.ones(5), 0.5) == 1
