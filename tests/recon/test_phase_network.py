"""Networks that phase, their training, refinement, evaluation and the command line."""

import json
from itertools import pairwise

import numpy as np
import pytest
import torch

from apps.cli.__main__ import main
from recon.phase.data import CrystalData, CrystalPool, centred, magnitudes, measured, noisy, padded
from recon.phase.evaluate import PhaseEvaluateConfig, evaluate
from recon.phase.evaluation_figures import write_evaluation
from recon.phase.iterate import IterateConfig
from recon.phase.loss import aligned_error, magnitude_error, shape_and_phase_errors, shape_cross_entropy, twin
from recon.phase.network import NETWORKS, ChanNet, patterson
from recon.phase.predict import Predictor, filled
from recon.phase.problem import Problem, resized
from recon.phase.quality import object_errors
from recon.phase.refine import LOSSES, RefineConfig, _padded_fft, refine, scaled
from recon.phase.train import PRESETS, load_network, preset, train
from recon.training.weights import n_parameters
from sorter.core.errors import InputError
from tests.recon.test_phase_iterate import crystal, pattern

SMALL = {"patterson": (4, 4, 4), "complex": (2, 2, 2), "chan": (2, 2, 4), "autophase": (2, 2, 4, 4)}


# -- data


def test_patterns_have_their_peak_in_the_middle_and_belong_to_their_objects():
    data = CrystalData()
    objects = torch.from_numpy(np.stack([data.object(0, "test", i) for i in range(2)]))
    intensity, turned = measured(objects, 2)
    assert [int(i) for i in intensity.flatten(1).argmax(1)] == [32 * 64 * 64 + 32 * 64 + 32] * 2
    again = torch.fft.fftshift(torch.fft.fftn(padded(turned, 64), dim=(1, 2, 3)).abs().square(), (1, 2, 3))
    assert (again - intensity).abs().max() < 1e-5 * intensity.max()
    assert torch.allclose(turned.abs(), objects.abs(), atol=1e-6)
    assert np.array_equal(data.object(0, "test", 1), objects[1].numpy())
    assert not np.array_equal(data.object(0, "train", 1), objects[1].numpy())
    assert np.isreal(data.object(0, "test", 0, strained=False)).all()


def test_centre_of_mass_is_in_the_middle():
    obj = centred(np.roll(crystal(32), (5, -7, 3), (0, 1, 2)))
    weight = np.abs(obj)
    mass = [float((np.indices(obj.shape)[a] * weight).sum() / weight.sum()) for a in range(3)]
    assert mass == pytest.approx([16, 16, 16], abs=0.51)


def test_photons_are_what_was_asked():
    intensity = torch.rand(32, 32, 32)
    counts = noisy(intensity, 1e4, torch.Generator().manual_seed(0))
    assert float(counts.sum()) == pytest.approx(1e4, rel=0.05)
    assert float(magnitudes(counts[None]).square().sum()) == pytest.approx(1)


def test_pool_is_found_again_and_makes_new_views(tmp_path):
    pool = CrystalPool(tmp_path, CrystalData(), 1, 8)
    pool.grow(3)
    first = pool.batch(np.random.default_rng(0), 6, 0.5, 3)
    again = CrystalPool(tmp_path, CrystalData(), 1, 8)
    again.grow(5)  # as a run does that was stopped after its last checkpoint
    assert len(again) == 5 and torch.equal(again.batch(np.random.default_rng(0), 6, 0.5, 3), first)
    unstrained = (first.imag.abs().amax((1, 2, 3)) < 1e-6).sum()
    assert 0 < unstrained < 6


# -- networks and losses


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_networks_give_objects_and_learn(name):
    torch.manual_seed(0)
    network = NETWORKS[name](SMALL[name])
    magnitude = torch.rand(2, *[network.input_side] * 3)
    found = network(magnitude)
    assert found.shape == (2, 32, 32, 32) and found.is_complex() and found.abs().max() <= 1 + 1e-5
    found.abs().square().sum().backward()
    for parameter in network.parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all()


def test_sizes_of_the_published_networks():
    assert n_parameters(NETWORKS["autophase"]()) == pytest.approx(6_975_362, rel=0.02)  # its public code
    widths = [m.out_channels for m in ChanNet().encoder if isinstance(m, torch.nn.Conv3d)]
    assert widths == [64, 64, 128, 128, 256, 256]


def test_patterson_is_the_autocorrelation():
    obj = torch.from_numpy(crystal())
    magnitude = torch.fft.fftshift(torch.fft.fftn(obj).abs())
    found = patterson(magnitude[None])[0, 0]
    for shift in ((0, 0, 0), (3, -2, 1)):
        wanted = (torch.roll(obj, shift, (0, 1, 2)).conj() * obj).sum().conj() / obj.abs().square().sum()
        assert complex(found[tuple(16 - s for s in shift)]) == pytest.approx(complex(wanted), abs=1e-4)


def test_losses_do_not_feel_the_twin():
    obj = torch.from_numpy(crystal())[None]
    other = twin(obj) * np.exp(0.7j)
    assert float(aligned_error(other, obj)) < 1e-5
    assert float(aligned_error(torch.roll(obj, 1, 2), obj)) < 1e-5
    assert float(aligned_error(torch.roll(obj, 4, 2), obj)) > 0.1
    magnitude = torch.fft.fftshift(torch.fft.fftn(obj).abs(), (1, 2, 3))
    assert float(magnitude_error(other, magnitude, 32)) < 1e-4
    shape, phase = twin(obj).abs(), torch.angle(twin(obj) * torch.sgn(twin(obj).sum()).conj())
    assert float(sum(shape_and_phase_errors(shape, phase * (shape > 0.1), obj))) < 0.02
    assert torch.allclose(shape_cross_entropy(shape.clamp(0, 1), obj), shape_cross_entropy(obj.abs().clamp(0, 1), obj))


def test_an_empty_answer_is_left_again():
    """By the mean absolute error no gradient leads away from it."""
    obj = torch.from_numpy(crystal())[None]
    slopes = []
    for error in (shape_cross_entropy, lambda shape, target: shape_and_phase_errors(shape, 0 * shape, target)[0]):
        logits = torch.full((1, 32, 32, 32), -12.0, requires_grad=True)
        error(torch.sigmoid(logits), obj).sum().backward()
        slopes.append(float(logits.grad[obj.abs() > 0.5].abs().mean()))
    assert slopes[0] > 1000 * slopes[1]


def test_chan_net_begins_with_a_signal():
    torch.manual_seed(0)
    network = ChanNet((4, 8, 16)).eval()
    radius = torch.linspace(-16, 15, 32).square()
    radius = radius + radius[:, None] + radius[:, None, None]
    shape, _ = network.shape_and_phase(torch.stack([torch.exp(-radius / width**2) for width in (2, 6)]))
    assert float((shape[0] - shape[1]).abs().mean()) > 0.001


# -- training


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights that know next to nothing."""
    path = tmp_path_factory.mktemp("phase") / "tiny.safetensors"
    tiny = {"batch": 2, "crystals": 4, "before": 2, "fresh": 1, "loop": {"steps": 2, "checkpoint_steps": 1}}
    train(path, preset("small", widths=SMALL["patterson"], **tiny), seed=1)
    return path


def test_weights_come_with_what_is_needed(weights):
    model, meta = load_network(weights)
    assert meta["training"]["steps"] == 2 and not model.training
    card = weights.with_suffix(".md").read_text()
    assert "--preset small --widths 4 4 4" in card and "--stop-at" not in card


@pytest.mark.parametrize("name", ["chan2020", "autophase", "complex"])
def test_every_preset_trains_in_its_own_way(name, tmp_path):
    network = PRESETS[name].network
    tiny = {
        "batch": 1,
        "crystals": 2,
        "before": 1,
        "fresh": 1,
        "loop": {"steps": 4, "checkpoint_steps": 4, "average": 0.0},
    }
    meta = train(tmp_path / "a.safetensors", preset(name, widths=SMALL[network], **tiny), stop_at=None)
    assert np.isfinite(meta["training"]["history"][-1]["loss"])


def test_stages_leave_what_is_fixed_alone(tmp_path):
    tiny = {"batch": 1, "crystals": 1, "before": 1, "loop": {"steps": 8, "checkpoint_steps": 2, "weight_decay": 0.0}}
    config = preset("chan2020", widths=SMALL["chan"], **tiny)
    states = []
    for stop in (2, 4, 6):
        train(tmp_path / "a.safetensors", config, stop_at=stop)
        states.append(load_network(tmp_path / "a.safetensors")[0].state_dict())
    assert "--stop-at 6" in (tmp_path / "a.md").read_text()
    moved = [
        {part for part in ("encoder", "shape_decoder", "phase_decoder")
         if any(not torch.equal(a[k], b[k]) for k in a if k.startswith(part))}
        for a, b in pairwise(states)
    ]  # fmt: skip
    assert moved == [{"phase_decoder"}, {"encoder", "phase_decoder"}]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": "unet"}, "must be one of"),
        ({"loss": "staged"}, "is for the network 'chan'"),
        ({"widths": (1, 2)}, "has 3"),
        ({"data": {"oversampling": 9}}, "1..4"),
        ({"data": {"fewest_photons": 10}}, "or neither"),
        ({"data": {"colour": 1}}, "unknown option colour"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    if "data" in changes and "fewest_photons" in changes["data"]:
        changes = {"data": {"fewest_photons": 10, "most_photons": None}}
    with pytest.raises(InputError, match=message):
        preset("small", **changes)


# -- refinement


def test_gradient_of_the_misfit_is_that_of_plain_differentiation():
    field = torch.randn(1, 4, 5, 6, dtype=torch.complex64, requires_grad=True)
    amplitude, known = torch.rand(4, 5, 6), (torch.rand(4, 5, 6) > 0.3).float()
    LOSSES["amplitude"](field, amplitude, known, 1.0).backward()
    found = field.grad.clone()
    field.grad = None
    ((field.abs() - amplitude).square() * known).sum().backward()
    assert torch.allclose(found, field.grad, atol=1e-5)


def test_padded_transform_and_resizing():
    obj = torch.randn(2, 3, 4, 5, dtype=torch.complex64)
    assert torch.allclose(_padded_fft(obj, (8, 8, 8)), torch.fft.fftn(obj, (8, 8, 8), dim=(1, 2, 3)), atol=1e-4)
    coarse = torch.randn(8, 8, 8, dtype=torch.complex64)
    assert torch.allclose(resized(resized(coarse, 16), 8), coarse, atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"loss": "poisson"},
        {"parameters": "polar"},
        {"penalty": 0.5},
        {"adam_steps": 15, "lbfgs_steps": 4},
        {"coarse": "30ER"},
    ],
    ids=str,
)
def test_refinement_improves_a_blurred_start(changes):
    truth = crystal(64)
    problem = Problem.of(pattern(truth, 1e6))
    rough = torch.from_numpy((np.abs(truth) * np.exp(0.1j * np.angle(truth))).astype(np.complex64))
    start = resized(resized(rough, 16), 64)
    found = refine(problem, start[None], RefineConfig(**changes))
    before, after = (
        object_errors(start, torch.from_numpy(truth)),
        object_errors(found.objects[0], torch.from_numpy(truth)),
    )
    # a start that differs by a millionth ends elsewhere: phase 0.33 to 0.63, shape 0.60 to 0.87 of that of the start
    assert after.phase_error_rad < 0.8 * before.phase_error_rad
    assert after.shape_error < before.shape_error
    assert found.chi2[0] < 0.2 * problem.modulus().chi2(scaled(problem, start[None]))[0]
    assert found.supports[0].float().mean() <= 1 / 8


def test_refined_settings_are_checked():
    for changes, message in (
        ({"loss": "l1"}, "amplitude, poisson"),
        ({"penalty": -1}, "positive"),
        ({"coarse": "3X"}, "write it"),
    ):
        with pytest.raises(InputError, match=message):
            RefineConfig(**changes)


# -- prediction and evaluation


def test_bad_pixels_are_filled_from_their_neighbours():
    counts, bad = np.full((8, 8, 8), 4.0), np.zeros((8, 8, 8), bool)
    counts[3, 3, 3], bad[3, 3, 3] = 1e6, True
    assert filled(counts, bad)[3, 3, 3] == pytest.approx(4)


def test_small_patterns_and_other_weights_are_refused(weights, tmp_path):
    with pytest.raises(InputError, match="smaller"):
        Predictor(weights).objects(torch.ones(1, 16, 16, 16))
    with pytest.raises(InputError, match="no such weights"):
        Predictor(tmp_path / "none.safetensors")


def test_shipped_weights_see_the_shape_and_refinement_the_rest():
    predictor, data = Predictor(), CrystalData()
    errors = []
    for i in range(3):
        intensity, objects = measured(torch.from_numpy(data.object(5, "test", i))[None], 2)
        counts = noisy(intensity[0], 1e6, torch.Generator().manual_seed(i))
        truth, start = padded(objects[0], 64), predictor.objects(counts[None])
        found = refine(Problem.of(counts), start)
        errors.append([object_errors(start[0], truth), object_errors(found.objects[0], truth)])
    assert np.median([e[0].shape_error for e in errors]) < 0.9
    assert np.median([e[1].phase_error_rad for e in errors]) < 0.3


@pytest.fixture(scope="module")
def evaluation(weights):
    config = PhaseEvaluateConfig(
        2, 4, doses=(1e5,), dose_crystals=2, workers=1, iterative=IterateConfig("5ER 10HIO 5ER", average_last=2)
    )
    return config, evaluate(Predictor(weights), config, seed=3)


def test_evaluation_has_its_keys(evaluation, weights, tmp_path):
    config, found = evaluation
    for key in (
        "network_shape_error",
        "success_refined", "success_iterative", "network_phase_error_rad", "refined_chi2", "iterative_chi2",
        "network_speedup", "refined_speedup", "crystals", "seed", "network_strained_shape_error", "network_by_photons",
        "crystal_phase_rms_rad", "flat_phase_error_rad", "phased_flat",
    ):  # fmt: skip
        assert key in found.summary
    assert found.distribution.shape == (4, 2) and found.figures["refined"].shape == (2, 5)
    json.dumps(found.summary)
    write_evaluation(tmp_path / "out", found, Predictor(weights), config, 3)
    assert len((tmp_path / "out/crystals.csv").read_text().splitlines()) == 1 + 2 * 4
    for name in ("errors.png", "examples.png", "card.md", "evaluation.json"):
        assert (tmp_path / "out" / name).stat().st_size > 500


# -- command line


def test_command_line_predicts_and_refines(weights, tmp_path, capsys):
    np.save(tmp_path / "a.npy", pattern(crystal(64), 1e6))
    common = ["recon", "phase", "predict", str(tmp_path / "a.npy"), "--weights", str(weights), "--json"]
    assert main([*common, "--to", str(tmp_path / "alone")]) == 0
    alone = json.loads(capsys.readouterr().out)
    assert main([*common, "--to", str(tmp_path / "refined"), "--refine", "--coarse", ""]) == 0
    refined = json.loads(capsys.readouterr().out)
    assert alone["method"] == "network" and refined["method"] == "network, refined"
    assert refined["chi2"] < alone["chi2"]
    assert main([*common, "--to", str(tmp_path / "random"), "--refine", "--start", "random"]) == 0
    assert json.loads(capsys.readouterr().out)["method"] == "random start, refined"
    assert main([*common, "--start", "random"]) == 2
    assert "only with --refine" in capsys.readouterr().err


def test_command_line_compares(weights, tmp_path, capsys):
    np.save(tmp_path / "a.npy", pattern(crystal(40), 1e6))
    common = [
        "recon",
        "phase",
        "predict",
        str(tmp_path / "a.npy"),
        "--weights",
        str(weights),
        "--to",
        str(tmp_path / "out"),
    ]
    assert main([*common, "--refine", "--compare", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["compared"]
    assert [row["method"] for row in rows] == ["network", "refined", "iterated"]
    assert rows[2]["phase_difference_rad"] < 1e-2 and rows[1]["chi2"] < rows[0]["chi2"]
    assert (tmp_path / "out" / "compare.png").stat().st_size > 5000
    assert main([*common, "--compare"]) == 2
    assert "--compare: only with --refine" in capsys.readouterr().err


def test_command_line_trains(tmp_path, capsys):
    words = [
        "--widths",
        "2",
        "2",
        "2",
        "--batch",
        "1",
        "--crystals",
        "1",
        "--before",
        "1",
        "--steps",
        "1",
        "--photons",
        "1e5",
        "1e6",
        "--json",
    ]
    assert main(["recon", "phase", "train", "--to", str(tmp_path / "a.safetensors"), *words]) == 0
    assert json.loads(capsys.readouterr().out)["patterns_seen"] == 1
    assert main(["recon", "phase", "train", "--preset", "vast", "--to", str(tmp_path / "b.safetensors")]) == 2
    assert "presets are chan2020" in capsys.readouterr().err
