"""Which latent follows what, and which frames a FactorVAE cannot make."""

import json

import numpy as np
import pytest
import torch

from apps.cli.__main__ import main
from sorter.core.embedding import Embedding
from sorter.core.errors import MissingResultError
from sorter.models.disentanglement import disentanglement
from sorter.models.factor_vae import FactorVAE, FactorVAEConfig
from sorter.models.polar_model import ModelCard, PolarModel, save_model
from sorter.preprocess.angular import make_rings, twofold_angle
from sorter.preprocess.polar import choose_grid
from sorter.stages.latents import against_neighbours, strangeness
from tests.workfolders import GEOMETRY, SIDE_PX, make_work_folder


def test_a_latent_that_follows_and_ones_that_share():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(2000, 4))
    factors = {
        "size": z[:, 2] ** 3,
        "shared": z[:, 0] + z[:, 1],
        "free": rng.normal(size=2000),
        "few": np.full(2000, np.nan),
    }
    found = disentanglement(z, factors, np.arange(4))
    assert found.factors == ("size", "shared", "free")
    assert found.best("size")[0] == 2 and found.best("size")[1] > 0.95 and found.gap["size"] > 0.9
    assert found.best("shared")[0] in (0, 1) and found.gap["shared"] < 0.1
    assert found.best("free")[1] < 0.02
    json.dumps(found.to_dict(), allow_nan=False)


def test_strangeness_is_against_frames_of_like_brightness():
    rng = np.random.default_rng(1)
    photons = 10 ** rng.uniform(2, 6, 1000)
    error = -np.log10(photons) + rng.normal(0, 0.1, 1000)
    error[7] += 2
    score = against_neighbours(error, photons)
    assert score.argmax() == 7 and score[7] > 10
    assert abs(np.corrcoef(score, np.log(photons))[0, 1]) < 0.1 and np.percentile(np.abs(score), 68) == pytest.approx(
        1, abs=0.15
    )
    assert (
        len(against_neighbours(np.empty(0), np.empty(0))) == 0
        and np.isfinite(against_neighbours(np.ones(3), np.ones(3))).all()
    )


@pytest.mark.parametrize("angle", [0.3, 1.2, 2.8])
def test_twofold_angle(angle):
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX] - 15.5
    frame = 100 * np.exp(-((np.hypot(y, x) / 10) ** 2)) * (1 + 0.5 * np.cos(2 * (np.arctan2(y, x) - angle)))
    found = twofold_angle(make_rings(GEOMETRY, np.zeros((SIDE_PX, SIDE_PX), bool)), frame)
    assert min(abs(found - angle), np.pi - abs(found - angle)) < 0.05


def test_the_command(tmp_path, capsys):
    work = make_work_folder(tmp_path, n=120)
    with pytest.raises(MissingResultError):
        strangeness(work)
    store = work.frames()
    config = FactorVAEConfig(16, 32, (4, 8), 6, 2, 16)
    torch.manual_seed(0)
    grid = choose_grid(store.geometry, store.bad_pixels, 16, 32)
    card = ModelCard("factorvae", vars(config), grid.to_dict(), store.shape_px, store.unit, 0.1)
    save_model(work.model_path("factorvae"), PolarModel(card, FactorVAE(config)))
    ids = work.read_hits().hit_ids
    photons = work.read_hits().photons[work.read_hits().is_hit]
    vectors = np.random.default_rng(0).normal(size=(len(ids), 6))
    vectors[:, 3] = np.log(photons)
    work.write_embedding(Embedding("factorvae", ids, vectors.astype(np.float32)))
    assert main(["latents", str(work.path), "--strangest", "3", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["best"]["signal"]["latent"] == 3 and facts["best"]["signal"]["information"] > 0.5
    assert len(facts["strangest"]) == 3
    stored, score = work.read_score("strangeness")
    assert np.array_equal(stored, ids) and score.max() == pytest.approx(facts["strangest"][0]["strangeness"])
    assert main(["latents", str(work.path)]) == 0
    assert "strangest frames" in capsys.readouterr().out
    assert main(["latents", str(work.path), "--strangest", "-1"]) == 2
