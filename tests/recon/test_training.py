"""The shared loop, weights and scores."""

import numpy as np
import pytest
import torch
from torch import nn

from recon.training.loop import Average, LoopConfig, fit
from recon.training.scores import class_scores
from recon.training.weights import load_into, read_weights, save_weights, write_card
from sorter.core.errors import InputError


def regression(seed=0):
    torch.manual_seed(seed)
    model = nn.Linear(3, 1)

    def loss(model, step):
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(16, 3, generator=generator)
        return (model(x)[:, 0] - x @ torch.tensor([1.0, -2.0, 0.5])).square().mean()

    return model, loss


def config(**changes):
    return LoopConfig(
        **{"steps": 60, "learning_rate": 0.05, "warmup_steps": 5, "checkpoint_steps": 10, "average": 0.5, **changes}
    )


def test_loss_falls_and_history_is_kept(tmp_path):
    model, loss = regression()
    history = fit(model, loss, config(steps=200), tmp_path, {})
    assert history[-1]["loss"] < 0.05 * history[0]["loss"]
    assert [row["step"] for row in history] == list(range(10, 201, 10))
    assert not model.training


def test_a_run_that_was_stopped_ends_as_one_that_was_not(tmp_path):
    whole, loss = regression()
    fit(whole, loss, config(), tmp_path / "whole", {})
    stopped, loss = regression()

    def stops(model, step):
        if step == 25 and not (tmp_path / "once").exists():
            (tmp_path / "once").touch()
            raise KeyboardInterrupt
        return loss(model, step)

    with pytest.raises(KeyboardInterrupt):
        fit(stopped, stops, config(), tmp_path / "parts", {})
    again, _ = regression(seed=5)
    fit(again, stops, config(), tmp_path / "parts", {})
    torch.testing.assert_close(again.state_dict(), whole.state_dict(), rtol=0, atol=0)


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    model, loss = regression()
    fit(model, loss, config(), tmp_path, {"seed": 1})
    with pytest.raises(InputError, match="other settings"):
        fit(model, loss, config(), tmp_path, {"seed": 2})


def test_loss_that_is_not_finite_is_reported(tmp_path):
    model, _ = regression()
    with pytest.raises(InputError, match="learning rate"):
        fit(model, lambda m, step: m(torch.full((1, 3), torch.nan)).sum(), config(), tmp_path, {})


def test_rate_warms_up_and_falls():
    rates = [config().rate(step) for step in range(60)]
    assert rates[0] < rates[4] and rates[4] > rates[30] > rates[59] > 0
    twice = config(schedule="two cosines", warmup_steps=1)
    assert twice.turn == round(twice.steps * 2 / 3) and config().turn == 0
    rates = [twice.rate(step) for step in range(twice.steps)]
    assert max(rates[twice.turn :]) == rates[twice.turn] == rates[0] / 2 > 10 * rates[twice.turn - 1]
    held = config(schedule="constant")
    assert held.rate(50) == held.rate(20) == 0.05


def test_average_without_decay_is_the_model():
    model, _ = regression()
    average = Average(model, 0.0)
    with torch.no_grad():
        model.weight += 1
    average.update(model, 100)
    torch.testing.assert_close(average.values["weight"], model.weight)


def test_weights_come_back_with_their_meta(tmp_path):
    model, _ = regression()
    save_weights(model, tmp_path / "w.safetensors", "speckle", {"counts": [2, 3]})
    state, meta = read_weights(tmp_path / "w.safetensors", "speckle")
    torch.testing.assert_close(load_into(regression(1)[0], state, "w").state_dict(), model.state_dict())
    assert meta["counts"] == [2, 3]
    with pytest.raises(InputError, match="of 'speckle', not of 'shape'"):
        read_weights(tmp_path / "w.safetensors", "shape")
    with pytest.raises(InputError, match="do not fit"):
        load_into(nn.Linear(4, 1), state, "w")


def test_files_that_are_no_weights(tmp_path):
    (tmp_path / "x.safetensors").write_text("no weights at all")
    with pytest.raises(InputError, match="not weights"):
        read_weights(tmp_path / "x.safetensors", "speckle")
    with pytest.raises(InputError, match="no such weights"):
        read_weights(tmp_path / "y.safetensors", "speckle")


def test_card(tmp_path):
    write_card(tmp_path / "card.md", "Title", {"Data": "disks", "Command": "train"})
    assert (tmp_path / "card.md").read_text() == "# Title\n\n## Data\ndisks\n\n## Command\ntrain\n"


def test_scores_agree_with_scikit_learn():
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    rng = np.random.default_rng(0)
    truth = rng.integers(0, 6, 300)
    predicted = np.clip(truth + rng.integers(-2, 3, 300) * (rng.random(300) < 0.4), 0, 5)
    ours = class_scores(truth, predicted, 6)
    precision, recall, f1, _ = precision_recall_fscore_support(truth, predicted, zero_division=0)
    np.testing.assert_array_equal(ours.confusion, confusion_matrix(truth, predicted))
    for a, b in ((ours.precision, precision), (ours.recall, recall), (ours.f1, f1)):
        np.testing.assert_allclose(a, b)
    assert ours.macro_f1 == pytest.approx(f1.mean())
    assert ours.errors_beyond(0) == (truth != predicted).sum()
    assert ours.errors_beyond(1) == (np.abs(truth - predicted) > 1).sum()
