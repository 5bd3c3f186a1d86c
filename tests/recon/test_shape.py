"""Orientations without seams, polar maps, network, losses, errors, training at tiny size, refinement, rival and commands."""

import csv
import json

import numpy as np
import pytest
import torch

from apps.cli.__main__ import main
from recon.shape import curves as shape_curves
from recon.shape import rival as shape_rival
from recon.shape.bank import GEOMETRY, make_bank, signals
from recon.shape.calibrate import best_temperature
from recon.shape.data import Batches, ShapeDataConfig, mirrored_coefficients
from recon.shape.errors import PoseErrors, from_scaled, pose_errors, quaternion_spans, scaled_targets
from recon.shape.evaluate import ShapeEvaluateConfig, errors_of, evaluate, recipe_frames
from recon.shape.evaluate_solids import calibration_error, evaluate_solids
from recon.shape.figures import curves_figure, rival_figure, write_solids
from recon.shape.harmonics import harmonics_of, real_harmonics, rotation
from recon.shape.likelihood import chi_square, deviance, fit_scale
from recon.shape.loss import nearest_loss
from recon.shape.msft import msft_shares
from recon.shape.network import ShapeNet
from recon.shape.network_stielow import ResNet34Tanh
from recon.shape.polar import polar_map, turned
from recon.shape.predict import Predictor, check_geometry
from recon.shape.pulls import pulls, told_outliers
from recon.shape.refine import RefineConfig, Refiner
from recon.shape.rival import nelder_mead_step, simplex_fit
from recon.shape.solids import solid
from recon.shape.stage import reconstruct
from recon.shape.train import PRESETS, build_network, preset, train
from sim.detector import LayoutConfig
from sim.detector.stielow import FILTERS
from sim.orientation import multiply, random_quaternions
from sim.symmetry import CONTINUOUS, distance_rad, equivalents, in_fundamental
from sorter.core.errors import InputError

ICO = solid("icosahedron")
ALL_GOOD = np.ones(GEOMETRY.shape_px, bool)


def quaternions(n, seed=0):
    return random_quaternions(n, np.random.default_rng(seed))


# -- orientations without seams


def test_real_harmonics_are_orthonormal():
    z, weights = np.polynomial.legendre.leggauss(16)
    azimuth = 2 * np.pi * np.arange(32) / 32
    root = np.sqrt(1 - z**2)[:, None]
    points = np.stack([root * np.cos(azimuth), root * np.sin(azimuth), np.broadcast_to(z[:, None], (16, 32))], -1)
    for degree in (1, 4, 10):
        values = real_harmonics(torch.from_numpy(points), degree).numpy()
        gram = np.einsum("i,ijk,ijl->kl", weights, values, values) * 2 * np.pi / 32
        np.testing.assert_allclose(gram, np.eye(2 * degree + 1), atol=1e-12)


@pytest.mark.parametrize("symmetry", ["I", "O", "T", "D5", "D6", "Dinf"])
def test_equivalent_orientations_have_the_same_coefficients_and_others_do_not(symmetry):
    harmonics, q = harmonics_of(symmetry), quaternions(20)
    own = harmonics.of(q)
    if symmetry not in CONTINUOUS:
        torch.testing.assert_close(
            harmonics.of(equivalents(q, symmetry)), own[:, None].expand(-1, equivalents(q, symmetry).shape[1], -1)
        )
    found, cosine = harmonics.orientations(own, candidates=3)
    assert distance_rad(found[:, 0], q, symmetry).max() < 1e-6 and cosine[:, 0].min() > 1 - 1e-9
    assert (cosine[:, 1] < 0.999).all()


def test_coefficients_move_continuously_across_the_faces_of_the_fundamental_domain():
    axis = torch.tensor([[0.0, 1.0, (1 + 5**0.5) / 2]], dtype=torch.float64)
    angles = torch.deg2rad(torch.linspace(30, 42, 121, dtype=torch.float64))  # 36 degrees is the face
    q = rotation(axis / axis.norm() * angles[:, None])
    jumps = harmonics_of("I").of(q).diff(dim=0).norm(dim=1)
    assert jumps.max() < 1.01 * jumps.min()
    assert in_fundamental(q, "I").sum() < len(q)


def test_generators_are_the_derivatives_of_rotations():
    harmonics, q = harmonics_of("I"), quaternions(3)
    turn = torch.tensor([[1e-6, -2e-6, 3e-6]], dtype=torch.float64)
    moved = harmonics.of(multiply(rotation(turn), q)) - harmonics.of(q)
    linear = torch.einsum("gij,bj,g->bi", harmonics.generators, harmonics.of(q), turn[0])
    torch.testing.assert_close(moved, linear, atol=1e-9, rtol=0)


# -- error measures


def test_spans_of_the_fundamental_domain_match_a_sample_of_it():
    from sim.symmetry import random_in_fundamental

    q = random_in_fundamental(20000, "I", np.random.default_rng(0))
    spans = quaternion_spans("I")
    sampled = q.amax(0) - q.amin(0)
    assert (sampled <= spans + 1e-9).all() and (sampled > 0.95 * spans).all()


def test_errors_do_not_depend_on_the_equivalent_or_sign_that_was_predicted():
    truth = quaternions(30)
    predicted = multiply(rotation(torch.full((1, 3), 0.01, dtype=torch.float64)), truth)
    radius = torch.full((30,), 80.0)
    same = pose_errors(predicted, radius, truth, radius)
    other = pose_errors(-2 * equivalents(predicted, "I")[:, 17], radius, truth, radius)
    np.testing.assert_allclose(same.relative, other.relative, atol=1e-9)
    assert same.maximum.max() < 0.05 < other.raw.max()
    q, nm = from_scaled(scaled_targets(truth, radius))
    assert distance_rad(q, truth, "I").max() < 1e-3 and torch.allclose(nm, radius.double(), atol=1e-4)


# -- what the network sees


def test_polar_map_of_a_turned_particle_is_the_turned_map():
    q, radius = quaternions(2), torch.tensor([60.0, 120.0])
    see = polar_map(GEOMETRY)
    steps = torch.full((2,), 10)
    about_beam = rotation(torch.tensor([[0, 0, 2 * np.pi * 10 / 128]], dtype=torch.float64))
    before, after = (see(1e6 * signals(ICO.shape(), radius, turn), torch.from_numpy(ALL_GOOD))
                     for turn in (q, multiply(about_beam, q)))  # fmt: skip
    no = torch.zeros(2, dtype=torch.bool)
    apart = (turned(before, steps, no) - after)[:, 0].abs().mean()
    assert apart < 0.05 * (before - after)[:, 0].abs().mean()


def test_polar_map_is_the_same_for_another_detector_in_the_same_place():
    fine = LayoutConfig(n_px=256).geometry()
    q, radius = quaternions(2), torch.tensor([50.0, 90.0])
    first = polar_map(GEOMETRY)(signals(ICO.shape(), radius, q), torch.from_numpy(ALL_GOOD))
    second = polar_map(fine)(signals(ICO.shape(), radius, q, fine), torch.ones(256, 256, dtype=torch.bool))
    assert (first - second)[:, 0, 4:-2].abs().mean() < 0.05


def test_masked_pixels_do_not_change_a_map():
    good = torch.from_numpy(ALL_GOOD.copy())
    good[40:60, 70:90] = False
    frames = 1e5 * signals(ICO.shape(), torch.tensor([80.0]), quaternions(1))
    spoiled = torch.where(good, frames, torch.tensor(float("nan")))
    see = polar_map(GEOMETRY)
    assert torch.equal(see(frames, good), see(spoiled, good))


def test_answers_turn_with_the_frame():
    torch.manual_seed(0)
    network = ShapeNet([ICO, solid("plate"), solid("tetrahedron")], 4).eval()
    maps = torch.rand(3, 2, 56, 128)
    turn, none = torch.full((3,), 8), torch.zeros(3, dtype=torch.bool)
    with torch.no_grad():
        plain, moved = network(maps), network(turned(maps, turn, none))
    angle = torch.full((3,), 8 * 2 * np.pi / 128, dtype=torch.float64)
    for name, a, b in zip(("icosahedron", "plate", "tetrahedron"), plain.coefficients, moved.coefficients, strict=True):
        expected = mirrored_coefficients(a.double(), solid(name).harmonics.degrees, none, angle)
        torch.testing.assert_close(expected, b.double(), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(plain.radius_nm, moved.radius_nm)


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    return make_bank(tmp_path_factory.mktemp("bank"), [ICO], 32, 5)


def test_batches_show_what_they_say(bank):
    batches = Batches(
        bank,
        ShapeDataConfig(frames=32, min_photons=1e7, masked=0, offset_px=0, min_background=1e-6, max_background=1e-6),
        0,
    )
    batch = batches.batch(0, 8)
    assert torch.equal(batch.maps, batches.batch(0, 8).maps)
    q = batch.centrosymmetric_quaternion()
    again = polar_map(GEOMETRY)(1e7 * signals(ICO.shape(), batch.radius_nm, q), torch.from_numpy(ALL_GOOD))
    assert (again - batch.maps)[:, 0].abs().mean() < 0.06
    seen = mirrored_coefficients(ICO.harmonics.of(batch.quaternion), (6, 10), batch.mirrored, batch.turn_rad)
    torch.testing.assert_close(ICO.harmonics.of(q), seen)


def test_augmented_frames_begin_with_their_batch_and_leave_the_others_alone(bank):
    plain = Batches(bank, ShapeDataConfig(frames=32), 0)
    some = Batches(bank, ShapeDataConfig(frames=32, augmented=0.5), 0, augmented_from=1)
    assert torch.equal(plain.batch(0, 16).maps, some.batch(0, 16).maps)
    same = [torch.equal(a, b) for a, b in zip(plain.batch(1, 16).maps, some.batch(1, 16).maps, strict=True)]
    assert 4 <= sum(same) < 16
    assert torch.equal(some.batch(1, 16).maps, some.batch(1, 16).maps)
    clean, more = preset("small").loop, preset("augmented").loop
    assert more.turn == clean.steps and [more.rate(k) for k in (0, 99, 4499)] == [clean.rate(k) for k in (0, 99, 4499)]


def test_bank_is_kept_and_refuses_another(bank, tmp_path):
    first = make_bank(tmp_path, [ICO], 16, 5)
    assert np.array_equal(first.amplitude, bank.amplitude[:16])
    with pytest.raises(InputError, match="other solids"):
        make_bank(tmp_path, [solid("cube")], 16, 5)


def test_nearest_loss_knows_no_seam(bank):
    batch = Batches(bank, ShapeDataConfig(frames=32), 0).batch(0, 8)
    q = batch.centrosymmetric_quaternion()
    radius = scaled_targets(q, batch.radius_nm)[:, 4:]
    for number in (0, 7, 59):
        outputs = torch.cat([-3 * equivalents(q, "I")[:, number].float(), radius], 1)
        assert nearest_loss(outputs, batch) < 1e-5


# -- training


TINY = {"data": {"frames": 32}, "loop": {"steps": 3, "checkpoint_steps": 1, "warmup_steps": 1}, "batch": 8}


def test_small_training_resumes_and_tells_its_calibration(tmp_path):
    early = train(tmp_path / "a.safetensors", preset("small", width=4, **TINY), 1, stop_at=2)
    assert early["training"]["steps"] == 2 and "--stop-at 2" in (tmp_path / "a.md").read_text()
    full = train(tmp_path / "a.safetensors", preset("small", width=4, **TINY), 1)
    assert set(full["calibration"]) == {"temperature", "radius_error", "orientation_error"}
    again = train(tmp_path / "a.safetensors", preset("small", width=4, **TINY), 1)
    assert again["training"]["history"] == full["training"]["history"]
    assert (tmp_path / "a.md").read_text().startswith("# a.safetensors")
    with pytest.raises(InputError, match="other settings"):
        train(tmp_path / "a.safetensors", preset("small", width=5, **TINY), 1)


@pytest.mark.parametrize("representation", ["fundamental", "nearest"])
def test_other_representations_train_and_predict(representation, tmp_path):
    config = preset("small", width=4, representation=representation, **TINY)
    train(tmp_path / "b.safetensors", config, 1)
    poses = Predictor(tmp_path / "b.safetensors").predict([recipe_frames(3, 1).frames], ALL_GOOD, GEOMETRY)
    assert poses.quaternion.shape == (3, 4) and not np.allclose(np.linalg.norm(poses.raw, axis=1), 1)


def test_the_papers_network_and_data(tmp_path):
    assert sum(p.numel() for p in ResNet34Tanh().parameters()) > 2e7
    network = build_network({"network": "resnet34", "filters": (64, 128, 256, 512), "blocks": (3, 4, 6, 4)})
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d) and m.kernel_size != (1, 1)]
    assert len(convolutions) + 1 == 36  # 1 + 2 (3 + 4 + 6 + 4) and the fully connected layer
    assert PRESETS["stielow2020"].data.frames == 25058 and len(FILTERS) == 11
    config = preset("stielow2020", filters=(4, 4, 8, 8), blocks=(1, 1, 1, 1), **TINY)
    meta = train(tmp_path / "c.safetensors", config, 2, preset_name="stielow2020")
    assert {"loss", "validation"} <= set(meta["training"]["history"][-1])
    poses = Predictor(tmp_path / "c.safetensors").predict([recipe_frames(2, 1).frames], ALL_GOOD, GEOMETRY)
    assert np.isfinite(poses.radius_nm).all()


def test_best_temperature_of_overconfident_logits():
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(size=(4000, 3)))
    numbers = torch.multinomial(logits.softmax(1), 1, generator=torch.Generator().manual_seed(0))[:, 0]
    assert best_temperature(3 * logits, numbers) == pytest.approx(3, rel=0.15)


# -- likelihood and refinement


def test_scale_and_background_are_found_and_chi_square_is_one():
    rng = np.random.default_rng(0)
    pattern = signals(ICO.shape(), torch.tensor([70.0]), quaternions(1)).flatten(1)
    counts = torch.from_numpy(rng.poisson(3e4 * pattern.numpy() + 0.05).astype(np.float32))
    good = torch.ones(pattern.shape[1])
    level = fit_scale(counts, pattern, good, 0.0)
    assert level[0, 0] == pytest.approx(3e4, rel=0.03) and level[0, 1] == pytest.approx(0.05, rel=0.2)
    mean = level[:, :1] * pattern + level[:, 1:]
    chi2, excess = chi_square(counts, mean, good, 0.0, 2)
    assert abs(float(excess[0])) < 4 and float(chi2[0]) == pytest.approx(1, abs=0.2)
    for error in (0.0, 0.05):
        best = deviance(counts, mean, good, error)
        assert best < deviance(counts, 1.1 * mean, good, error) and best < deviance(counts, 0.9 * mean, good, error)


def test_slopes_by_differences_agree_with_the_gradient_through_the_model():
    q, radius = quaternions(1), torch.tensor([70.0], dtype=torch.float64)
    weight = torch.rand(GEOMETRY.shape_px, generator=torch.Generator().manual_seed(0))
    turn, growth = torch.zeros(1, 3, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    turn.requires_grad_(), growth.requires_grad_()
    small = torch.cat([torch.ones(1, 1, dtype=torch.float64), turn / 2], 1)
    pattern = signals(ICO.shape(), radius * torch.exp(growth), multiply(small, q))
    (pattern.sqrt() * weight).sum().backward()
    refiner = Refiner(GEOMETRY, ALL_GOOD)
    fits = refiner._evaluated(
        torch.ones(1, 128 * 128), [ICO], torch.zeros(1, dtype=torch.int64), radius, q, torch.zeros(1, 2), torch.ones(1)
    )
    with torch.no_grad():
        slopes = torch.stack(refiner._pose_slopes([ICO], fits), 1) / fits.level[:, :1, None]
    by_differences = (slopes[0] @ (weight / (2 * pattern[0].detach().sqrt())).flatten()).double()
    exact = torch.cat([growth.grad, turn.grad[0]])
    torch.testing.assert_close(by_differences, exact, rtol=0.08, atol=0.05 * float(exact.abs().max()))


@pytest.fixture(scope="module")
def test_frames():
    return recipe_frames(
        6, 3, {"fluence.min_photons": 3e5, "fluence.max_photons": 1e6, "min_radius_nm": 50, "max_radius_nm": 110}
    )


def test_refinement_finds_the_truth_within_its_errors_and_flags_other_shapes(test_frames):
    rng = np.random.default_rng(0)
    q = multiply(rotation(torch.from_numpy(rng.normal(0, 0.02, (6, 3)))), test_frames.quaternion)
    radius = test_frames.radius_nm * torch.from_numpy(1 + rng.normal(0, 0.01, 6))
    refiner = Refiner(GEOMETRY, ALL_GOOD, RefineConfig(candidates=1, starts=1))
    found = refiner.refine(test_frames.frames, [ICO] * 6, radius[:, None], q[:, None])
    errors = pose_errors(
        torch.from_numpy(found.quaternion),
        torch.from_numpy(found.radius_nm),
        test_frames.quaternion,
        test_frames.radius_nm,
    )
    assert np.median(errors.mean) < 0.002
    assert np.median(errors.angle_deg / found.orientation_error_deg) < 3
    assert not found.unexplained.any()
    other = refiner.refine(test_frames.frames[:2], [solid("cube")] * 2, radius[:2, None], q[:2, None])
    assert other.unexplained.all()


def test_refinement_with_mask_and_beam_offset(test_frames):
    good = ALL_GOOD.copy()
    good[60:66], good[:, 30:34] = False, False
    frames = np.roll(test_frames.frames[:2], 1, axis=1).astype(float)
    frames[:, ~good] = np.nan
    config = RefineConfig(candidates=1, starts=1, fit_center=True)
    found = Refiner(GEOMETRY, good, config).refine(
        frames, [ICO] * 2, test_frames.radius_nm[:2, None], test_frames.quaternion[:2, None]
    )
    np.testing.assert_allclose(found.offset_px, [[1, 0]] * 2, atol=0.05)
    errors = pose_errors(
        torch.from_numpy(found.quaternion),
        torch.from_numpy(found.radius_nm),
        test_frames.quaternion[:2],
        test_frames.radius_nm[:2],
    )
    assert errors.mean.max() < 0.005


def test_slice_by_slice_transform_agrees_with_the_fast_absorption_rung():
    q = quaternions(1, 4)
    slow = torch.from_numpy(msft_shares(ICO.shape(), 60.0, q[0], GEOMETRY)).float()
    fast = signals(ICO.shape(), torch.tensor([60.0]), q, rung="absorption")[0]
    other = signals(ICO.shape(), torch.tensor([60.0]), q, rung="multislice")[0]
    near, far = ((slow - v).abs().sum() for v in (fast, other))
    assert near < 0.03 < far


def test_simplex_steps_go_down_to_the_minimum():
    target = np.array([[1.0, -2.0], [0.3, 0.8]])

    def cost(points, which):
        return ((points - target[which]) ** 2).sum(1)

    simplex = np.zeros((2, 3, 2))
    simplex[:, 1, 0] = simplex[:, 2, 1] = 1.0
    costs = cost(simplex.reshape(-1, 2), np.repeat([0, 1], 3)).reshape(2, 3)
    for _ in range(60):
        simplex, costs = nelder_mead_step(simplex, costs, cost)
    np.testing.assert_allclose(simplex.mean(1), target, atol=1e-4)


# -- shipped weights and commands


def test_shipped_weights_are_right_on_unseen_frames(test_frames):
    poses = Predictor().predict([test_frames.frames], ALL_GOOD, GEOMETRY, known="icosahedron")
    errors = pose_errors(
        torch.from_numpy(poses.quaternion),
        torch.from_numpy(poses.radius_nm),
        test_frames.quaternion,
        test_frames.radius_nm,
    )
    assert np.median(errors.mean) < 0.02 and (errors.mean < 0.05).all()


def test_shipped_weights_for_augmented_frames_are_better_on_shifted_ones():
    test = recipe_frames(16, 3, {"augment": "shift"})
    both = [errors_of(Predictor(name), test)["median"] for name in ("augmented", "small")]
    assert both[0] < 0.03 and both[0] < both[1]


def test_shipped_weights_tell_icosahedra_from_other_solids(test_frames):
    predictor = Predictor("solids")
    poses = predictor.predict([test_frames.frames], ALL_GOOD, GEOMETRY)
    assert len(predictor.solids) >= 6 and (poses.solid == predictor.number_of("icosahedron")).mean() > 0.6
    np.testing.assert_allclose(poses.probability.sum(1), 1)


def test_geometries(tmp_path):
    from dataclasses import replace

    assert check_geometry(GEOMETRY) == (1.0, [])
    factor, remarks = check_geometry(replace(GEOMETRY, wavelength_m=13.6e-9))
    assert factor == pytest.approx(13.6 / 13.5) and "radii are scaled" in remarks[0]
    assert "resampled" in check_geometry(LayoutConfig(n_px=200).geometry())[1][0]
    for change, message in [
        ({"wavelength_m": 1e-9}, "wavelength 1 nm"),
        ({"distance_m": None}, "distance_m not known"),
        ({"distance_m": 10.0}, "covers"),
    ]:
        with pytest.raises(InputError, match=message):
            check_geometry(replace(GEOMETRY, **change))


def test_bad_frames_are_named(test_frames):
    predictor = Predictor()
    frames = test_frames.frames[:3].copy()
    frames[1, 5, 5] = np.nan
    with pytest.raises(InputError, match="frame 1 of the choice holds NaN"):
        predictor.predict([frames], ALL_GOOD, GEOMETRY)
    frames[1] = 0
    with pytest.raises(InputError, match="frame 1 of the choice is empty"):
        predictor.predict([frames], ALL_GOOD, GEOMETRY)
    with pytest.raises(InputError, match="not for cube"):
        predictor.predict([frames[:1]], ALL_GOOD, GEOMETRY, known="cube")


def test_evaluate_prints_the_keys(capsys, tmp_path):
    assert main(["recon", "shape", "evaluate", "--frames", "4", "--refined", "2", "--json", "--to", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    keys = ("median_mean_relative_error", "refined_median_mean_relative_error", "outlier_share", "frames", "refined_frames",
            "seconds_per_frame", "preset", "weights", "seed", "orientation_error_pull", "refined_radius_coverage_95")  # fmt: skip
    assert all(key in found for key in keys)
    assert found["seed"] == 1 and found["refined_frames"] == 2 and found["median_mean_relative_error"] < 0.05
    assert all((tmp_path / f"{name}.png").stat().st_size > 5000 for name in ("errors", "pulls"))
    assert main(["recon", "shape", "evaluate", "--seed", str(2**40)]) == 2


def test_evaluate_on_frames_of_another_model_and_with_the_rival(test_frames, tmp_path):
    predictor = Predictor()
    config = ShapeEvaluateConfig(2, 2, model="msft", refine=RefineConfig(rung="absorption", candidates=2, starts=1))
    found = evaluate(predictor, config, 4)
    assert found.summary["refined_median_mean_relative_error"] < 0.01 and found.summary["model"] == "msft"
    fit = simplex_fit(test_frames.frames[0], ICO, 0, 0, starts=3, steps=2)
    assert fit.radius_nm.shape == (3,) and (np.diff(fit.patterns) > 0).all()
    errors = np.array([[0.5, 0.3, 0.1], [0.4, 0.2, 0.05]])
    trace = {"errors": errors, "patterns": fit.patterns, "seconds": 1.0}
    rival_figure(trace, found.summary, [errors_of(predictor, test_frames)]).savefig(tmp_path / "rival.png")
    assert (tmp_path / "rival.png").stat().st_size > 5000


def test_simplex_goes_on_where_it_was_stopped(test_frames, tmp_path, monkeypatch):
    fitted = []

    def quick(frame, solid, seed, number):
        fitted.append(number)
        return simplex_fit(frame, solid, seed, number, starts=2, steps=1)

    monkeypatch.setattr(shape_rival, "simplex_fit", quick)

    def errors(count, about, keep=tmp_path / "simplex.json"):
        return shape_rival.simplex_errors(
            test_frames.frames[:count],
            ICO,
            test_frames.quaternion[:count],
            test_frames.radius_nm[:count],
            0,
            about,
            keep,
        )

    first = errors(1, {"seed": 0})
    both = errors(2, {"seed": 0})
    assert fitted == [0, 1] and np.array_equal(both["errors"][0], first["errors"][0]) and both["errors"].shape == (2, 2)
    with pytest.raises(InputError, match="other frames"):
        errors(2, {"seed": 1})
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        errors(1, {}, tmp_path / "file" / "simplex.json")


def test_curves_tell_the_wrong_wavelength_from_the_right_one(monkeypatch, tmp_path):
    points = {name: shape_curves.POINTS[name][:2] for name in ("wavelength_error", "missing_panels")}
    monkeypatch.setattr(shape_curves, "POINTS", points)
    found = shape_curves.curves(Predictor(), 4, 2, 1)
    right, wrong = (p["refined_median_mean_relative_error"] for p in found["wavelength_error"])
    assert right < wrong
    assert found["missing_panels"][1]["missing_panels"] == 1
    curves_figure(found).savefig(tmp_path / "curves.png")


def test_which_solid(tmp_path):
    solids = ("icosahedron", "sphere", "plate")
    train(tmp_path / "s.safetensors", preset("small", solids=solids, width=4, **TINY), 1)
    predictor = Predictor(tmp_path / "s.safetensors")
    found = evaluate_solids(predictor, 24, 1)
    assert found.scores.confusion.sum() == 24 and set(found.summary["per_solid"]) == set(solids)
    assert 0 <= found.summary["calibration_error"] <= 1
    write_solids(tmp_path / "figures", found, predictor)
    assert (tmp_path / "figures" / "confusion.png").stat().st_size > 5000
    assert "share of frames whose solid is right" in (tmp_path / "figures" / "card.md").read_text()
    with pytest.raises(InputError, match="knows icosahedron only"):
        evaluate_solids(Predictor(), 4, 1)


def test_solids_with_a_free_aspect_keep_the_networks_answer(test_frames, tmp_path):
    solids = ("icosahedron", "plate")
    train(tmp_path / "s.safetensors", preset("small", solids=solids, width=4, **TINY), 1)
    predictor, quick = Predictor(tmp_path / "s.safetensors"), RefineConfig(candidates=1, starts=1, steps=1)
    for logits in ([-9.0, 9.0], [9.0, -9.0]):
        predictor.model.same[-1].bias.data[:2] = torch.tensor(logits)
        found = reconstruct(predictor, [test_frames.frames[:2]], 2, ALL_GOOD, GEOMETRY, refine=quick)
        refined = logits[0] > 0
        assert np.isfinite(found.columns["chi2"]).all() == refined and np.isfinite(found.columns["radius_nm"]).all()
        assert found.columns["unexplained"].dtype == bool and len(found.sheet) == (2 if refined else 0)
    with pytest.raises(InputError, match="free aspect"):
        reconstruct(predictor, [test_frames.frames[:2]], 2, ALL_GOOD, GEOMETRY, known="plate", refine=quick)


def test_pulls_of_honest_and_boastful_errors():
    rng = np.random.default_rng(0)
    told_nm, told_deg = rng.uniform(0.1, 2, 20000), rng.uniform(0.1, 3, 20000)
    angle = np.linalg.norm(rng.normal(size=(20000, 3)), axis=1) / 3**0.5 * told_deg
    errors = PoseErrors(np.zeros((20000, 5)), np.zeros((20000, 5)), angle, rng.normal(size=20000) * told_nm)
    honest = pulls(errors, told_nm, told_deg).figures()
    for name, expected in (("error_pull", 1), ("coverage_95", 0.95)):
        assert [honest[f"{what}_{name}"] for what in ("radius", "orientation")] == pytest.approx(
            [expected] * 2, rel=0.02
        )
    boastful = pulls(errors, told_nm / 2, told_deg / 2).figures("refined_")
    assert boastful["refined_radius_error_pull"] == pytest.approx(2, rel=0.02)
    assert boastful["refined_orientation_coverage_95"] < 0.8
    assert pulls(errors, np.full(20000, np.nan), told_deg) is None
    assert told_outliers(told_deg > 2.9, told_deg) == 1 and told_outliers(told_deg > 9, told_deg) is None


def test_calibration_error_of_honest_and_boastful_confidence():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.3, 1, 20000)
    assert calibration_error(confidence, rng.random(20000) < confidence) < 0.02
    assert calibration_error(np.full(1000, 0.95), np.arange(1000) % 2 == 0) == pytest.approx(0.45)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A sorted run of clusters, its icosahedra labelled."""
    from sim.run import simulate
    from sorter.io.workfolder import WorkFolder

    folder = tmp_path_factory.mktemp("shape")
    run, work = folder / "run.h5", folder / "work"
    options = {"mixture": "icosahedron=0.5,cube=0.5", "blank_fraction": 0.2, "fluence.min_photons": 1e5, "layout.n_px": 64,
               "min_radius_nm": 50, "max_radius_nm": 100}  # fmt: skip
    simulate("clusters", 120, 7, run, options, workers=1)
    assert main(["sort", str(run), "-w", str(work), "--steps", "4", "--min-cluster-size", "8", "-q"]) == 0
    store = WorkFolder.open(work).frames()
    chosen = store.frame_ids[np.asarray(store.truth["class"]) == "icosahedron"]
    assert main(["label", str(work), "--frames", *(str(i) for i in chosen[:8]), "icosahedron"]) == 0
    return work


def test_from_a_sorted_run_to_sizes_and_orientations(work, tmp_path, capsys):
    from sorter.io.workfolder import WorkFolder

    capsys.readouterr()
    arguments = ["--label", "icosahedron", "--json", "--to", str(tmp_path / "t.csv")]
    assert main(["recon", "shape", "predict", str(work), *arguments]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert main(["recon", "shape", "refine", str(work), "--name", "refined", *arguments]) == 0
    refined = json.loads(capsys.readouterr().out)
    folder = WorkFolder.open(work)
    store = folder.frames()
    ids, columns, meta = folder.read_reconstruction("refined")
    rows = [int(np.flatnonzero(store.frame_ids == i)[0]) for i in ids]
    truth, radius = (torch.from_numpy(np.asarray(store.truth[k])[rows]) for k in ("quaternion_wxyz", "radius_m"))
    errors = pose_errors(
        torch.from_numpy(columns["quaternion"]), torch.from_numpy(columns["radius_nm"]), truth, radius * 1e9
    )
    assert np.median(errors.mean) < 0.005 and meta["stage"] == "shape" and meta["subset"]["rule"] == "label icosahedron"
    assert [f["frame_id"] for f in printed["frames"]] == [f["frame_id"] for f in refined["frames"]] == ids.tolist()
    assert {"chi2", "radius_error_nm", "qw"} <= set(printed["frames"][0]) and "unexplained" in refined["frames"][0]
    assert (work / "shape.png").stat().st_size > 20000 and (work / "refined.png").exists()
    with open(tmp_path / "t.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(ids)
    assert any(m["stage"] == "recon_shape" for m in folder.manifests())


def test_bad_choices_are_one_line(work, capsys, tmp_path):
    for arguments in (["--label", "nothing"], ["--label", "icosahedron", "--solid", "pear"],
                      ["--label", "icosahedron", "--weights", str(tmp_path / "no.safetensors")]):  # fmt: skip
        assert main(["recon", "shape", "predict", str(work), *arguments]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "Traceback" not in error
