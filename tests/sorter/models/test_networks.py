"""Encoders: invariances; FactorVAE: shapes; storage: whole, and refused where it does not fit."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from sorter.core.errors import InputError, MissingResultError
from sorter.core.frames import ArrayFrameStore
from sorter.core.geometry import Geometry
from sorter.models.contrastive import ContrastiveModel, ContrastiveModelConfig
from sorter.models.factor_vae import FactorVAE, FactorVAEConfig, sample_latents
from sorter.models.polar_model import ModelCard, PolarModel, build_network, load_model, save_model
from sorter.models.traversal import latent_traversals, traversal_pictures
from sorter.preprocess.canonical import roll_angles
from sorter.preprocess.polar import choose_grid

SMALL = {"n_radii": 16, "n_angles": 32, "channels": (4, 8, 8)}
GEOMETRY = Geometry((32, 32), beam_center_px=(15.5, 15.5))


def make_model(kind: str = "factorvae", **card: object) -> PolarModel:
    torch.manual_seed(0)
    grid = choose_grid(GEOMETRY, np.zeros((32, 32), bool), 16, 32)
    network = {**SMALL, "n_latents": 4} if kind == "factorvae" else dict(SMALL)
    values = {"shape_px": (32, 32), "unit": "photon", "softening": 0.1, **card}
    return PolarModel(ModelCard(kind, network, grid.to_dict(), **values), build_network(kind, network)).eval()


@pytest.mark.parametrize("shift", [8, 16, 24])
def test_contrastive_embedding_forgets_turns(shift: int) -> None:
    network = ContrastiveModel(ContrastiveModelConfig(**SMALL)).eval()
    picture, weight = torch.randn(3, 16, 32), (torch.rand(3, 16, 32) > 0.1).float()
    turn = torch.full((3,), shift)
    with torch.no_grad():
        still = network.encode(picture, weight)
        turned = network.encode(roll_angles(picture, turn), roll_angles(weight, turn))
    assert still.shape == (3, network.dim)
    torch.testing.assert_close(turned, still, atol=1e-4, rtol=1e-4)


def test_contrastive_embedding_keeps_orientation_when_asked() -> None:
    network = ContrastiveModel(ContrastiveModelConfig(**SMALL, invariant=False)).eval()
    picture = torch.randn(3, 16, 32)
    weight = torch.ones_like(picture)
    with torch.no_grad():
        still, turned = network.encode(picture, weight), network.encode(picture.roll(8, -1), weight)
    assert float((still - turned).abs().max()) > 0.01


def test_factor_vae_has_matching_ends() -> None:
    network = FactorVAE(FactorVAEConfig(**SMALL, n_latents=5))
    picture = torch.randn(6, 16, 32)
    mean, log_variance = network.posterior(picture, torch.ones_like(picture))
    latents = sample_latents(mean, log_variance, torch.Generator().manual_seed(0))
    assert network.decode(latents).shape == picture.shape
    assert network.discriminator(latents).shape == (6, 2)
    shared = {id(p) for p in network.autoencoder_parameters()} & {id(p) for p in network.discriminator.parameters()}
    assert not shared
    total = len(network.autoencoder_parameters()) + len(list(network.discriminator.parameters()))
    assert total == len(list(network.parameters()))


def test_published_discriminator_has_six_layers_of_a_thousand() -> None:
    network = FactorVAE(FactorVAEConfig(**SMALL, discriminator_layers=6, discriminator_width=1000))
    widths = [layer.out_features for layer in network.discriminator if isinstance(layer, torch.nn.Linear)]
    assert widths == [1000] * 6 + [2]


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(InputError, match="multiples of 8"):
        FactorVAEConfig(n_radii=20, n_angles=32)
    with pytest.raises(InputError, match="not known"):
        build_network("resnet", {})


@pytest.mark.parametrize("kind", ["contrastive", "factorvae"])
def test_saved_model_gives_the_same_vectors(tmp_path: Path, kind: str) -> None:
    model = make_model(kind)
    save_model(tmp_path / "m", model)
    loaded = load_model(tmp_path / "m")
    store = ArrayFrameStore(np.random.default_rng(0).poisson(2.0, (5, 32, 32)), geometry=GEOMETRY)
    polar = model.map_for(store)
    counts = polar(store.read(store.frame_ids))
    with torch.no_grad():
        assert torch.equal(loaded(counts, polar.area), model(counts, polar.area))
    assert loaded.card.grid == model.card.grid


@pytest.mark.parametrize("align", [False, True])
def test_masked_pixels_never_change_an_embedding(align: bool) -> None:
    model = make_model("factorvae", align=align)
    bad = np.zeros((32, 32), bool)
    bad[:, 20:23] = True
    frames = np.random.default_rng(0).poisson(2.0, (4, 32, 32)).astype(np.float32)
    vectors = []
    for junk in (0.0, np.nan, 1e6):
        store = ArrayFrameStore(np.where(bad, np.float32(junk), frames), bad_pixels=bad, geometry=GEOMETRY)
        polar = model.map_for(store)
        with torch.no_grad():
            vectors.append(model(polar(store.read(store.frame_ids)), polar.area))
    assert torch.equal(vectors[0], vectors[1]) and torch.equal(vectors[0], vectors[2])


def test_frames_that_do_not_fit_are_refused_naming_both_sides() -> None:
    model = make_model()
    with pytest.raises(InputError, match=r"\(32, 32\) pixels, these are \(16, 16\)"):
        model.map_for(ArrayFrameStore(np.zeros((1, 16, 16))))
    with pytest.raises(InputError, match="in photon, these are in adu"):
        model.map_for(ArrayFrameStore(np.zeros((1, 32, 32)), unit="adu", geometry=GEOMETRY))


def test_broken_and_missing_models_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingResultError, match="no trained model"):
        load_model(tmp_path)
    model = make_model()
    save_model(tmp_path, model)
    (tmp_path / "weights.safetensors").write_bytes(b"cut off")
    with pytest.raises(InputError, match="does not fit"):
        load_model(tmp_path)
    card = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**card, "schema_version": 99}))
    with pytest.raises(InputError, match="newer"):
        load_model(tmp_path)


def test_traversals_move_one_latent_and_can_be_shown_on_the_detector() -> None:
    model = make_model()
    vectors = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32) * [0.1, 1, 2, 0.5]
    traversal = latent_traversals(model, vectors.astype(np.float32), n_latents=3)
    assert traversal.latents.tolist() == [2, 1, 3] and traversal.polar.shape == (3, 5, 16, 32)
    middle = traversal.polar[:, 2]
    np.testing.assert_allclose(middle[0], middle[1], atol=1e-5)
    assert np.abs(traversal.polar[0, 0] - traversal.polar[0, 4]).max() > 1e-4
    shown = traversal_pictures(traversal, model, GEOMETRY)
    assert shown.shape == (3, 5, 32, 32) and np.isfinite(shown[0, 0, 16, 20])
    with pytest.raises(InputError, match="need a factorvae"):
        latent_traversals(make_model("contrastive"), vectors)
