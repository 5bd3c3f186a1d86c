"""Pre-training: patterns from the recipes, a training of a few steps as a person types it, and what is shipped."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from apps.bench.pretraining import thirds
from apps.cli.__main__ import main
from apps.pretrain.config import FieldsConfig
from apps.pretrain.detectors import random_detectors
from apps.pretrain.fields import fine_grid, make_fields, pretraining_recipe, wide_geometry
from apps.pretrain.run import PretrainConfig, pretrain_encoder
from sim.recipes import make_recipe
from sim.recipes.clusters import MIXTURE
from sorter.core.errors import InputError
from sorter.models.pretrained import load_pretrained
from sorter.train.config import PairConfig

FIELDS = FieldsConfig(256, shares={"clusters": 1.0})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("pretrain")
    make_fields(made / "fields", FIELDS)
    return made


def config(to: Path, folder: Path, **more) -> PretrainConfig:
    pairs = PairConfig(steps=2, batch=16, channels=(4, 4, 4), hidden=16)
    return PretrainConfig(str(to), str(folder), FIELDS, pairs, detectors=2, **more)


def test_patterns_are_the_far_fields_of_the_recipe(folder: Path) -> None:
    """A sphere's rings: no angular structure beyond polarisation; the grid reaches further out than the recipe's detector."""
    bank = make_fields(folder / "fields", FIELDS)
    assert len(bank) == 256 and bank.log_rate.shape == (256, fine_grid().n_radii, 64)
    rate = np.exp(bank.log_rate.astype(np.float64))
    round_ones, plates = rate[bank.kind == "sphere"], rate[bank.kind == "plate"]
    spread = [float(np.median(np.std(x, -1) / x.mean(-1))) for x in (round_ones, plates)]
    assert spread[0] < 0.2 < 0.5 < spread[1]
    recipe = make_recipe("clusters", {}, 0)
    own, wide = recipe.geometry, wide_geometry(recipe)
    reach = [g.shape_px[0] * g.pixel_size_m / g.distance_m for g in (own, wide)]
    assert reach[1] == pytest.approx(1.375 * reach[0])


def test_patterns_are_computed_once_and_do_not_depend_on_the_rest(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {p.name: p.stat().st_mtime_ns for p in (folder / "fields").glob("*.npz")}
    monkeypatch.setattr("apps.pretrain.fields.compute_block", None)  # would fail if it were called
    make_fields(folder / "fields", FIELDS)
    assert {p.name: p.stat().st_mtime_ns for p in (folder / "fields").glob("*.npz")} == before
    with pytest.raises(InputError, match="another seed or version"):
        make_fields(folder / "fields", FieldsConfig(256, seed=1, shares=FIELDS.shares))


def test_no_seed_that_a_person_gives_is_in_the_patterns() -> None:
    seeds = {pretraining_recipe(name, seed).seed for name in ("clusters", "spi") for seed in range(20)}
    assert len(seeds) == 40 and min(seeds) > 2**40


def test_detectors_differ_and_are_repeatable() -> None:
    first, again = (random_detectors(12, 3, 16, 32) for _ in range(2))
    assert torch.equal(first.area, again.area) and len(set(first.outer_px.tolist())) > 2
    share = (first.area > 0).float().gather(1, first.sector.flatten(1)).mean(1)
    assert (share > 0.4).all() and (share < 1).any()


def test_same_config_same_weights_and_the_card_says_what_was_left_out(folder: Path, tmp_path: Path) -> None:
    _, meta = pretrain_encoder(config(tmp_path / "one.safetensors", folder, without=("cube",)))
    pretrain_encoder(config(tmp_path / "two.safetensors", folder, without=("cube",)))
    stored = [load_pretrained(tmp_path / f"{name}.safetensors").network.state_dict() for name in ("one", "two")]
    assert all(torch.equal(stored[0][key], stored[1][key]) for key in stored[0])
    assert "cube" not in meta["kinds"] and meta["patterns"] < 256
    card = (tmp_path / "one.md").read_text()
    assert "--without cube" in card and "Left out: cube" in card
    with pytest.raises(InputError, match="without cone: no such kind"):
        pretrain_encoder(config(tmp_path / "x.safetensors", folder, without=("cone",)))


def test_bad_calls_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for argv, says in (
        (["--to", "weights.bin"], "ends in .safetensors"),
        (["--to", "w.safetensors", "--fields", "10"], "fields = 10"),
        (["--to", "w.safetensors", "--batch", "3"], "--batch 3"),
    ):
        assert main(["pretrain", *argv, "--folder", str(tmp_path)]) == 2
        error = capsys.readouterr().err.strip()
        assert says in error and "\n" not in error


def test_thirds_hold_every_kind_of_the_yardstick_once() -> None:
    parts = thirds()
    assert len(parts) == 3 and sorted(kind for part in parts for kind in part) == sorted(MIXTURE)


def test_help_of_the_bench_names_its_parts(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "pretraining", "--help"])
    assert "--thirds" in capsys.readouterr().out
    assert main(["bench", "pretraining", "--thirds", "4", "--json"]) == 2
    assert json.dumps("--thirds 4")[1:-1] in capsys.readouterr().err
