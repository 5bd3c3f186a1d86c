"""Training: repeatable, resumable, gradients where they belong, and the loss goes down."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

import sorter.train.fit as fit_module
from sorter.core.errors import InputError
from sorter.core.frames import ArrayFrameStore
from sorter.core.geometry import Geometry
from sorter.models.factor_vae import FactorVAE, FactorVAEConfig
from sorter.models.polar_model import PolarModel, load_model
from sorter.train.config import TrainConfig
from sorter.train.fit import fit
from sorter.train.modules import FactorVAETraining
from tests.workfolders import bad_pixels, make_frames

SMALL = {"batch": 16, "n_radii": 16, "n_angles": 32, "seed": 3, "n_latents": 4, "discriminator_width": 16}


def make_store(n: int = 60, unit: str = "photon") -> ArrayFrameStore:
    rng = np.random.default_rng(0)
    frames = make_frames(np.arange(n) % 3, np.full(n, 3000.0), rng)
    if unit == "adu":
        frames = frames * 3.0 - 1.0
    return ArrayFrameStore(
        frames, bad_pixels=bad_pixels(), geometry=Geometry((32, 32), beam_center_px=(15.5, 15.5)), unit=unit
    )


def weights(model: PolarModel) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.network.parameters()])


@pytest.mark.parametrize("model", ["contrastive", "factorvae"])
def test_a_stopped_training_ends_where_an_uninterrupted_one_does(
    tmp_path: Path, stopped_in_its_third_epoch, model: str
) -> None:
    stopped = stopped_in_its_third_epoch(fit_module)
    config, store = TrainConfig(model=model, steps=9, **SMALL), make_store()
    straight, _ = fit(store, config, tmp_path / "a", {})
    with stopped:
        fit(store, config, tmp_path / "b", {})
    assert list((tmp_path / "b").glob("training-*.ckpt")) and not (tmp_path / "b" / "config.json").exists()
    resumed, _ = fit(store, config, tmp_path / "b", {})
    assert torch.equal(weights(straight), weights(resumed))
    assert not list((tmp_path / "b").glob("training-*"))
    table = list(csv.DictReader((tmp_path / "b" / "curves.csv").open()))
    assert [int(row["step"]) for row in table] == [3, 6, 9]
    assert torch.equal(weights(load_model(tmp_path / "b")), weights(resumed))


def test_another_seed_gives_another_model(tmp_path: Path) -> None:
    store = make_store(40)
    first, second = (fit(store, TrainConfig(steps=2, **{**SMALL, "seed": s}), tmp_path / str(s), {})[0] for s in (0, 1))
    assert not torch.equal(weights(first), weights(second))


def test_contrastive_loss_goes_down_on_raw_adu_too(tmp_path: Path) -> None:
    fit(make_store(60, "adu"), TrainConfig(steps=75, learning_rate=3e-3, **SMALL), tmp_path, {})
    losses = [float(row["loss"]) for row in csv.DictReader((tmp_path / "curves.csv").open())]
    assert losses[-1] < losses[0] - 0.1


def test_keeping_orientation_and_size_reaches_network_and_views(tmp_path: Path) -> None:
    model, _ = fit(make_store(40), TrainConfig(steps=1, keep="orientation+size", **SMALL), tmp_path / "c", {})
    assert model.card.network["invariant"] is False
    aligned, _ = fit(make_store(40), TrainConfig(model="factorvae", steps=1, **SMALL), tmp_path / "f", {})
    still, _ = fit(
        make_store(40), TrainConfig(model="factorvae", steps=1, keep="orientation", **SMALL), tmp_path / "g", {}
    )
    assert aligned.card.align and not still.card.align


def test_time_limit_stops_early_and_too_few_frames_are_refused(tmp_path: Path) -> None:
    model, figures = fit(make_store(40), TrainConfig(steps=500, minutes=1e-4, **SMALL), tmp_path, {})
    assert figures["steps"] == fit_module._STEPS_PER_EPOCH == model.card.training["steps"]
    with pytest.raises(InputError, match="too few"):
        fit(make_store(10), TrainConfig(**SMALL), tmp_path / "few", {})


@pytest.mark.parametrize(
    ("values", "match"),
    [({"model": "gan"}, "choose one of"), ({"keep": "colour"}, "choose from"), ({"batch": 2}, "at least 8")],
)
def test_wrong_settings_are_refused(values: dict, match: str) -> None:
    with pytest.raises(InputError, match=match):
        TrainConfig(**values)


def make_training() -> FactorVAETraining:
    torch.manual_seed(0)
    network = FactorVAE(FactorVAEConfig(n_radii=16, n_angles=32, channels=(4, 8, 8), n_latents=4))

    class NoPictures:
        pictures = None

    return FactorVAETraining(network, TrainConfig(model="factorvae", gamma=10.0), NoPictures(), torch.ones(3))


def test_discriminator_loss_sends_no_gradient_into_the_encoder() -> None:
    training = make_training()
    picture = torch.randn(8, 16, 32)
    _, latents = training.autoencoder_loss(picture, torch.ones_like(picture), torch.Generator().manual_seed(0))
    training.discriminator_loss(latents, latents).backward()
    assert all(p.grad is None for p in training.network.autoencoder_parameters())
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in training.network.discriminator.parameters())


def test_total_correlation_reaches_the_encoder_and_leaves_the_discriminator_untouched() -> None:
    training = make_training()
    picture = torch.randn(8, 16, 32)
    training.autoencoder_loss(picture, torch.ones_like(picture), torch.Generator().manual_seed(0))
    training.metrics["total_correlation"].backward()
    encoder = [p for p in training.network.encoder.parameters() if p.grad is not None]
    assert encoder and any(p.grad.abs().sum() > 0 for p in encoder)
    assert all(p.grad is None and p.requires_grad for p in training.network.discriminator.parameters())
    assert all(p.grad is None for p in training.network.decoder.parameters())
