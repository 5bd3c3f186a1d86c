"""Pattern split, networks, losses, rival, training at tiny size, prediction and its refusals."""

import json

import numpy as np
import pytest
import torch

from apps.cli.__main__ import main
from recon.speckle import classical, pattern
from recon.speckle.card import model_card
from recon.speckle.config import preset
from recon.speckle.data import PatternConfig, SplitPool
from recon.speckle.evaluate import SpeckleEvaluateConfig, curves, evaluate, occlusion
from recon.speckle.figures import confusion_figure, write_evaluation
from recon.speckle.learning_curve import LearningCurveConfig
from recon.speckle.loss import ordered_cross_entropy
from recon.speckle.network import ResNet50, SpeckleNet
from recon.speckle.pattern import MAPS, STATISTICS, FormAndStructure, transposed_structure
from recon.speckle.predict import Predictor
from recon.speckle.train import load_network, train
from recon.training.weights import read_weights
from sim.particles.disks import BOX, Disks
from sim.scattering.disks import intensity, standardise
from sorter.core.errors import InputError

SIDE = 65
SMALL = {"side_px": SIDE, "most": 5}


def patterns(n=8, **options):
    return PatternConfig(**{**SMALL, **options}).patterns(0, "test", range(n))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A network of 2..5 disks on 65 pixels, trained for a moment."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    loop = {"steps": 60, "checkpoint_steps": 20, "average": 0.8, "warmup_steps": 5, "learning_rate": 3e-3}
    train(path, preset("small", width=2, batch=32, patterns=512, fresh=4, data=SMALL, loop=loop), seed=3)
    return path


# -- the split


def test_map_peaks_lie_at_the_distances_of_the_disks():
    disks = Disks(np.array([[400.0, 500.0], [1100.0, 900.0], [1500.0, 300.0]]), np.full(3, 40.0))
    _, _, structure = FormAndStructure(256)(standardise(intensity(disks, 256))[None])
    structure = structure[0, 0]
    pixel = 2 * BOX / 256
    for i, j in [(0, 1), (0, 2), (1, 2)]:
        dx, dy = (disks.centres[j] - disks.centres[i]) / pixel
        y, x = round(128 + dy), round(dx)
        peak = structure[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3].max()
        assert peak > 20 * structure.median()


def test_split_ignores_scale_and_offset_of_the_pattern():
    split = FormAndStructure(64)
    x, _ = patterns(3)
    form, _, structure = split(x)
    other_form, _, other_structure = split(2.5 * x + 3)
    # weak outer rings lose digits when a constant is added in float32
    torch.testing.assert_close(other_form, form, rtol=2e-2, atol=2e-2)
    torch.testing.assert_close(other_structure, structure, rtol=2e-2, atol=2e-2)


def test_exchange_of_axes_moves_only_the_map():
    split = FormAndStructure(64)
    x, _ = patterns(4, polydispersity=0.3)
    form, statistics, structure = split(x)
    form_t, _, structure_t = split(x.transpose(1, 2).contiguous())
    torch.testing.assert_close(form, form_t, rtol=1e-3, atol=1e-3)
    assert statistics.shape == (4, len(MAPS) * STATISTICS)
    torch.testing.assert_close(
        transposed_structure(structure)[..., 1:, :-1], structure_t[..., 1:, :-1], rtol=1e-3, atol=1e-3
    )


def test_split_does_not_depend_on_the_batch():
    split = FormAndStructure(64)
    x, _ = patterns(6)
    for whole, part in zip(split(x), split(x[2:3]), strict=True):
        torch.testing.assert_close(whole[2:3], part, rtol=1e-5, atol=1e-5)


def test_pool_grows_and_is_found_again(tmp_path):
    config, split = PatternConfig(**SMALL, polydispersity=None), FormAndStructure(64)
    pool = SplitPool(tmp_path, split, config, seed=1, capacity=40)
    pool.grow(20)
    again = SplitPool(tmp_path, split, config, seed=1, capacity=40)
    assert len(again) == 20
    again.grow(100)
    assert len(again) == 40
    form, statistics, structure, labels = again.batch(np.arange(40), transpose=False)
    x, expected = config.patterns(1, "train", range(40))
    assert labels.tolist() == expected.tolist()
    for held, fresh, tolerance in zip((form, statistics, structure), split(x), (1e-6, 1e-6, 2e-3), strict=True):
        torch.testing.assert_close(held, fresh, rtol=tolerance, atol=2e-3)
    assert SplitPool(tmp_path / "lean", split, config, 1, 8, with_structure=False).batch(np.arange(3))[2].numel() == 0


def test_pool_of_other_settings_is_refused(tmp_path):
    split = FormAndStructure(64)
    SplitPool(tmp_path, split, PatternConfig(**SMALL), seed=1, capacity=8)
    with pytest.raises(InputError, match="other settings"):
        SplitPool(tmp_path, split, PatternConfig(**SMALL), seed=2, capacity=8)
    with pytest.raises(InputError, match="other settings"):
        SplitPool(tmp_path, FormAndStructure(64, maps=("log",)), PatternConfig(**SMALL), seed=1, capacity=8)


def test_each_map_has_its_part_of_the_statistics():
    x, _ = patterns(2, polydispersity=0.3)
    _, every, _ = FormAndStructure(64)(x)
    for i, name in enumerate(MAPS):
        _, one, _ = FormAndStructure(64, maps=(name,))(x)
        torch.testing.assert_close(every[:, i * STATISTICS : (i + 1) * STATISTICS], one)
        assert not torch.allclose(one, every[:, -STATISTICS:]) or name == MAPS[-1]


def test_means_and_maxima_around_a_pixel_are_those_of_pools():
    image = torch.rand(2, 9, 7)
    pooled = torch.nn.functional.max_pool2d(image[:, None], 3, 1, 1)[:, 0]
    torch.testing.assert_close(pattern._highest(image), pooled)
    for side in (3, 5):
        pooled = torch.nn.functional.avg_pool2d(image[:, None], side, 1, side // 2)[:, 0]
        torch.testing.assert_close(pattern._mean_around(image, side), pooled)


# -- networks and loss


def test_networks_give_logits_for_any_size():
    small = SpeckleNet(4, side=64, width=2).eval()
    assert small(torch.randn(2, 65, 65)).shape == (2, 4)
    assert small(torch.randn(2, 129, 129)).shape == (2, 4)
    tiny = ResNet50(4, width=4, blocks=(1, 1, 1, 1)).eval()
    assert tiny(torch.randn(2, 65, 65)).shape == tiny(torch.randn(2, 97, 97)).shape == (2, 4)


def test_larger_pattern_is_read_as_far_in_k_as_the_smaller_one():
    """The 513 patterns of the paper through a network for 257: the same disks give the same answer."""
    small = SpeckleNet(4, side=64, width=2).eval()
    disks, _ = PatternConfig(**SMALL).disks(0, "x", 3)
    a, b = standardise(intensity(disks, 64))[None], standardise(intensity(disks, 128))[None]
    torch.testing.assert_close(small(a), small(b), rtol=1e-2, atol=1e-2)


def test_resnet50_is_the_one_of_the_table():
    """He et al., table 1: 25.6 million weights with 3 channels and 1,000 classes; one channel and 19 classes here."""
    n = sum(p.numel() for p in ResNet50(1000).parameters())
    assert n == 25_557_032 - 2 * 64 * 49


def test_ordered_cross_entropy():
    logits = torch.tensor([[0.0, 1.0, 2.0, -1.0], [3.0, 0.0, 0.0, 1.0]])
    target = torch.tensor([1, 3])
    expected = torch.nn.functional.cross_entropy(logits, target)
    torch.testing.assert_close(ordered_cross_entropy(logits, target, 0.0), expected)
    probability = logits.softmax(1)
    distance = 0.0
    for row, label in zip(probability, target):
        for c in range(4):
            distance += float((row[: c + 1].sum() - (1.0 if c >= label else 0.0)) ** 2)
    torch.testing.assert_close(ordered_cross_entropy(logits, target, 0.5), expected + 0.5 * distance / 2)
    near, far = torch.tensor([[0.0, 9.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 0.0, 9.0]])
    assert ordered_cross_entropy(near, torch.tensor([0]), 1.0) < ordered_cross_entropy(far, torch.tensor([0]), 1.0)


def test_learning_curve_of_the_command_line(tmp_path, monkeypatch, capsys):
    small = PatternConfig(**SMALL, polydispersity=0.3)
    monkeypatch.setattr(LearningCurveConfig, "data", small)
    call = ["recon", "speckle", "curve", "--to", str(tmp_path), "--patterns", "128", "160", "--hidden", "8", "16"]
    call += ["--steps", "5", "--test-patterns", "19", "--json"]
    plain, call = call, [*call, "--maps", "intensity,log"]
    assert main(call) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [(r["patterns"], r["hidden"]) for r in rows] == [(128, 8), (128, 16), (160, 8), (160, 16)]
    assert all(0 <= r["macro_f1"] <= 1 for r in rows) and rows[1]["parameters"] > rows[0]["parameters"]
    assert (tmp_path / "learning_curve.png").stat().st_size > 1000
    assert main(call) == 0  # everything is there
    assert json.loads(capsys.readouterr().out)["rows"] == rows
    assert main([*call, "--maps", "colour"]) == 2
    assert "colour" in capsys.readouterr().err
    drawn = [*plain, "--to", str(tmp_path / "again"), "--pool", str(tmp_path / "pool"), "--seed", "9"]
    assert main(drawn) == 0  # the two maps and seed 0 are the pool's
    again = json.loads(capsys.readouterr().out)["rows"]
    assert [r["parameters"] for r in again] == [r["parameters"] for r in rows]
    assert main([*drawn, "--patterns", "1000"]) == 2 and "holds 160 patterns" in capsys.readouterr().err
    assert main([*plain, "--pool", str(tmp_path / "nowhere")]) == 2 and "no patterns" in capsys.readouterr().err
    assert main([*drawn, "--maps", "log"]) == 2 and "leave one of the two out" in capsys.readouterr().err


def test_larger_trainings_take_more_steps():
    config = LearningCurveConfig(patterns=(800, 60000))
    steps = [config.training(n, 64, config.data).loop.steps for n in config.patterns]
    assert steps == [800, 6000]


# -- data


def test_streams_are_apart_and_repeat():
    config = PatternConfig(**SMALL)
    torch.testing.assert_close(config.pattern(1, "train", 5)[0], config.pattern(1, "train", 5)[0])
    assert not torch.equal(config.pattern(1, "train", 5)[0], config.pattern(1, "test 257", 5)[0])
    assert [config.pattern(1, "x", i)[1] for i in range(5)] == [0, 1, 2, 3, 0]


def test_training_mixture():
    config = PatternConfig(polydispersity=None)
    spread = [np.ptp(config.disks(0, "x", 18 + 19 * turn)[0].radii) for turn in range(4)]
    assert spread[0] == 0 and min(spread[1:]) > 0


# -- rival


def test_first_moments_against_their_definition():
    config = PatternConfig(**SMALL)
    raw = config.raw_pattern(0, "x", 1)[0][None]
    x = standardise(raw)
    values = classical.first_moments(raw, x)[0]
    n = np.arange(SIDE)
    q = np.hypot(n[:, None], n[None, :])
    image, pattern = raw[0].numpy().astype(float), x[0].numpy().astype(float)
    z = (pattern - pattern.min()) / np.ptp(pattern)
    expected = [(image * q).mean() / image.mean(), (pattern * q).mean() / (pattern.mean() + 1), (np.abs(pattern) * q).mean(),
                (z * q).mean() / z.mean()]  # fmt: skip
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-5)


def test_averages_of_ten():
    labels = np.repeat([0, 1], 25)
    means, classes = classical.averages(np.arange(50.0)[:, None], labels, 10)
    assert classes.tolist() == [0, 0, 1, 1] and means[0, 0] == 4.5


# -- training, prediction, evaluation


def test_training_learns_and_says_what_it_did(weights):
    model, meta = load_network(weights)
    assert meta["counts"] == [2, 3, 4, 5] and meta["seed"] == 3
    history = meta["training"]["history"]
    assert history[-1]["loss"] < 0.8 * history[0]["loss"]
    x, labels = patterns(40)
    assert (model(x).argmax(1) == labels).float().mean() > 0.4


def test_same_seed_same_weights(tmp_path):
    config = preset(
        "small", width=1, batch=8, patterns=64, fresh=2, data=SMALL, loop={"steps": 4, "checkpoint_steps": 2}
    )
    for name in ("a", "b"):
        train(tmp_path / f"{name}.safetensors", config, seed=9)
    a, b = (load_network(tmp_path / f"{name}.safetensors")[0].state_dict() for name in ("a", "b"))
    torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_the_papers_preset_runs(tmp_path):
    config = preset("shen", width=4, batch=4, patterns=8, data=SMALL, loop={"steps": 4, "checkpoint_steps": 2})
    train(tmp_path / "shen.safetensors", config, seed=0, blocks=(1, 1, 1, 1))
    x, _ = patterns(2)
    assert Predictor(tmp_path / "shen.safetensors").predict(x.numpy()).best.shape == (2,)
    assert preset("shen").loop.steps * 40 == 200 * 15200 and preset("shen").ordinal == 0


def test_start_from_weights_of_other_classes_is_refused(weights, tmp_path):
    with pytest.raises(InputError, match="other classes"):
        train(tmp_path / "x.safetensors", preset("small", width=2, data={"side_px": SIDE, "most": 7}), start=weights)
    with pytest.raises(InputError, match="unknown"):
        preset("large")


def test_counts_have_mean_and_deviation(weights):
    found = Predictor(weights).predict(patterns(5)[0].numpy())
    assert found.probability.sum(1) == pytest.approx(np.ones(5), abs=1e-5)
    assert set(found.best) <= {2, 3, 4, 5}
    assert ((found.mean >= 2) & (found.mean <= 5)).all() and (found.deviation >= 0).all()


def test_prediction_does_not_depend_on_the_batch(weights):
    x = patterns(7)[0].numpy()
    a, b = Predictor(weights).predict(x, batch=7), Predictor(weights).predict(x, batch=2)
    np.testing.assert_allclose(a.probability, b.probability, atol=1e-5)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x: x[:, :40, :40], "at least 65"),
        (lambda x: x[:, :, :60], "not square"),
        (lambda x: x * 3 + 1, "standardise"),
        (lambda x: np.ones_like(x), "constant"),
        (lambda x: np.where(x > 3, np.nan, x), "NaN"),
        (lambda x: x[0], "need"),
    ],
)
def test_bad_patterns_get_one_line(weights, spoil, message):
    x = patterns(3)[0].numpy()
    with pytest.raises(InputError, match=message) as error:
        Predictor(weights).predict(spoil(x), "run/")
    assert "\n" not in str(error.value)


def test_refusal_counts_from_the_first_pattern(weights):
    x = patterns(5)[0].numpy()
    raw = x.copy()
    raw[3, 20, 20] = np.nan
    with pytest.raises(InputError, match="pattern 3 holds NaN"):
        Predictor(weights).predict(raw, batch=2)
    with pytest.raises(InputError, match="run: pattern 3 holds NaN"):
        Predictor(weights).predict(raw, "run", batch=2, standardise_first=True)
    raw[3] = 0
    raw[3, :5, :5] = 1
    with pytest.raises(InputError, match="run: pattern 3 is constant outside the blocked corner"):
        Predictor(weights).predict(raw, "run", batch=2, standardise_first=True)


def test_standardise_first(weights):
    raw = PatternConfig(**SMALL).raw_pattern(0, "test", 2)[0][None].numpy()
    predictor = Predictor(weights)
    a = predictor.predict(raw, standardise_first=True)
    b = predictor.predict(standardise(torch.from_numpy(raw)).numpy())
    np.testing.assert_allclose(a.probability, b.probability, atol=1e-6)
    with pytest.raises(InputError, match="constant"):
        predictor.predict(np.ones_like(raw), standardise_first=True)


def test_missing_part_is_dark_and_standardised_again():
    x = patterns(4, missing=0.25)[0]
    dark = (x == x.amin((1, 2), keepdim=True)).all(1)
    assert (dark.sum(1) == round(0.25 * x.shape[1])).all()
    assert (dark[:, 1:] != dark[:, :-1]).sum(1).max() <= 2  # one module
    assert x.var((1, 2), correction=0) == pytest.approx(np.ones(4), abs=1e-4)
    shares = [(p == p.min()).all(0).float().mean() for p in patterns(8, missing=0.0, most_missing=0.5)[0]]
    assert len({float(s) for s in shares}) > 4 and max(shares) <= 0.51


def test_rings_do_not_see_a_missing_module():
    split = FormAndStructure(64)
    whole, gappy = (split(patterns(4, **(SMALL | extra))[0])[0] for extra in ({}, {"missing": 0.2}))
    assert (whole - gappy)[:, 1].abs().median() < 0.2


def test_card_gives_the_command_that_makes_the_weights_again(weights):
    meta = read_weights(weights, "speckle")[1]
    command = model_card(meta, "x")[1]["Training"].split("`")[1].split()
    assert command[:6] == ["shotsort", "recon", "speckle", "train", "--preset", "wide"]
    assert command[command.index("--side") + 1] == str(meta["side_px"])
    assert command[command.index("--seed") + 1] == str(meta["seed"])
    assert "--fewest" not in command


def test_occlusion_covers_tiles_without_touching_the_rest(weights):
    lost = occlusion(Predictor(weights), PatternConfig(**SMALL), 4, tiles=2)
    assert lost.shape == (2, 2) and np.isfinite(lost).all() and lost.any()


def test_curves_have_their_axes(evaluation):
    found = curves(Predictor(evaluation[0]), 4)
    assert set(found) == {"polydispersity", "photons", "coherence_length", "missing"}
    for name, points in found.items():
        assert all(0 <= point["accuracy"] <= 1 and name in point for point in points)


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory):
    """Evaluation of weights for full-size patterns that know next to nothing, on a few patterns."""
    path = tmp_path_factory.mktemp("full") / "full.safetensors"
    train(
        path,
        preset(
            "small", width=0, batch=8, patterns=16, fresh=1, data={"most": 5}, loop={"steps": 1, "checkpoint_steps": 1}
        ),
        seed=1,
    )
    return path, evaluate(Predictor(path), SpeckleEvaluateConfig(20, 40, with_513=False), seed=2)


def test_evaluation_is_written(evaluation, tmp_path):
    write_evaluation(tmp_path, evaluation[1], None)
    written = {path.name for path in tmp_path.iterdir()}
    assert {"evaluation.json", "card.md", "split.png", "by_count.png", "confusion_257.png"} <= written
    assert "first_moments.png" in written and "classes_polydisperse.csv" in written and "beyond.png" not in written
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        write_evaluation(tmp_path / "file", evaluation[1], None)


def test_evaluation_has_its_keys(evaluation):
    _, found = evaluation
    for key in (
        "accuracy_257",
        "accuracy_513",
        "macro_f1_polydisperse",
        "first_moment_accuracy",
        "patterns",
        "weights",
        "seed",
    ):
        assert key in found.summary
    assert found.summary["accuracy_513"] is None
    assert found.summary["first_moment_accuracy"] == max(found.summary["conventional_257"]["first_moment"].values())
    assert found.scores["257"].confusion.sum() == 20
    assert sum(part["patterns"] for part in found.summary["polydisperse_by_smallest_disk"]) == 20
    assert confusion_figure(found.scores["257"], found.counts, "x").axes


def test_classes_that_the_weights_do_not_know(evaluation):
    with pytest.raises(InputError, match="60 disks: unknown to these weights, which know 2 to 5"):
        evaluate(Predictor(evaluation[0]), SpeckleEvaluateConfig(20, 40, most=60))


# -- command line


def test_command_line_predicts_a_file(weights, tmp_path, capsys):
    np.save(tmp_path / "patterns.npy", patterns(4)[0].numpy())
    table = tmp_path / "out.csv"
    arguments = [str(tmp_path / "patterns.npy"), "--weights", str(weights), "--to", str(table), "--json"]
    assert main(["recon", "speckle", "predict", *arguments]) == 0
    out = json.loads(capsys.readouterr().out)
    assert out["n_frames"] == 4 and len(table.read_text().splitlines()) == 5
    np.save(tmp_path / "bad.npy", np.ones((2, SIDE, SIDE), np.float32))
    assert main(["recon", "speckle", "predict", str(tmp_path / "bad.npy"), "--weights", str(weights)]) == 2
    error = capsys.readouterr().err.strip()
    assert "constant" in error and "\n" not in error


def test_from_simulation_to_a_result_in_the_work_folder(weights, tmp_path, capsys):
    from sim.run import simulate
    from sorter.curate.label_book import LabelBook
    from sorter.io.workfolder import WorkFolder
    from sorter.stages.ingest import ingest

    run = tmp_path / "speckle.h5"
    simulate("disks", 12, 1, run, {"side_px": SIDE, "most": 5}, workers=1)
    store = ingest(run, tmp_path / "work")
    work = WorkFolder.open(tmp_path / "work")
    chosen = store.frame_ids[[1, 4, 7]]
    LabelBook(work.labels_path).add(chosen, "speckle", reason="test")
    assert (
        main(["recon", "speckle", "predict", str(work.path), "--label", "speckle", "--weights", str(weights), "--json"])
        == 0
    )
    out = json.loads(capsys.readouterr().out)
    ids, columns, meta = work.read_reconstruction("speckle")
    assert ids.tolist() == chosen.tolist() == [row["frame_id"] for row in out["frames"]]
    assert columns["n_disks"].tolist() == [row["n_disks"] for row in out["frames"]]
    assert meta["subset"]["rule"] == "label speckle"
    assert work.manifests("recon_speckle")[0]["outputs"] == {"reconstruction": "speckle"}
    config = PatternConfig(**SMALL)
    assert config.counts[columns["probability"].argmax(1)[0]] == columns["n_disks"][0]
    assert main(["recon", "speckle", "predict", str(work.path), "--label", "droplet", "--weights", str(weights)]) == 2
    assert "droplet" in capsys.readouterr().err
