"""Patterns seen again: what counts as alike, what a batch holds, and a training that goes on where it stopped."""

from pathlib import Path

import numpy as np
import pytest
import torch

import sorter.train.pretrain as pretrain_module
from sorter.core.errors import InputError
from sorter.core.geometry import Geometry
from sorter.preprocess.polar import PolarGrid, PolarMap
from sorter.train.config import PairConfig
from sorter.train.pairs import PairBatches, PatternBank
from sorter.train.pretrain import pretrain
from sorter.views.shots import Detectors, ShotConfig

SHARES = {"a": 0.7, "b": 0.3}


def make_bank() -> PatternBank:
    """Source a: cubes and wide-ranging stones, four patterns of each stone; source b: cubes, and cubes under another name."""
    kinds = ["cube"] * 8 + ["stone"] * 12 + ["cube"] * 4 + ["box"] * 4
    sources = ["a"] * 20 + ["b"] * 8
    body = np.r_[np.arange(8), np.repeat([8, 9, 10], 4), np.arange(8)]
    rng = np.random.default_rng(0)
    fold = {"cube": 4, "stone": 3, "box": 4}
    phi = (np.arange(32) + 0.5) * 2 * np.pi / 32
    log_rate = np.stack([-np.linspace(0, 3, 20)[:, None] + np.cos(fold[k] * (phi + rng.uniform(0, 7))) for k in kinds])
    parts = [k if k != "box" else "box;cube" for k in kinds]
    broad = np.array([k == "stone" for k in kinds])
    return PatternBank(log_rate.astype(np.float16), np.array(sources), np.array(kinds), np.array(parts), body, broad)


def batches(bank: PatternBank, first: int, n: int) -> list[torch.Tensor]:
    return list(PairBatches(bank, SHARES, 32, 4, seed=1, first_step=first, n_steps=n))


def test_broad_kinds_are_alike_by_body_and_the_others_by_name() -> None:
    things = make_bank().things()
    assert len(set(things[8:20])) == 3 and set(things[:8]) == set(things[20:24]) == {"cube"}
    assert things[24] == "box"


def test_every_draw_shows_one_thing_and_sources_have_their_share() -> None:
    bank = make_bank()
    things, rows = bank.things(), torch.cat(batches(bank, 0, 200)).numpy()
    groups = rows.reshape(-1, 4)
    for group in groups:
        assert len(set(things[group])) == 1 and len(set(bank.source[group])) == 1
        assert len(set(group)) == 4, "there are four patterns of everything, so none comes twice"
    share = (bank.source[groups[:, 0]] == "a").mean()
    assert abs(share - 0.7) < 5 * np.sqrt(0.7 * 0.3 / len(groups))


def test_any_step_comes_out_the_same_however_it_is_reached() -> None:
    bank = make_bank()
    whole = batches(bank, 0, 6)
    assert all(torch.equal(a, b) for a, b in zip(whole[4:], batches(bank, 4, 2), strict=True))


def test_leaving_a_kind_out_takes_every_pattern_in_which_it_takes_part() -> None:
    bank = make_bank().without(["cube"])
    assert set(bank.kind) == {"stone"}
    assert (
        set(make_bank().without(["stone"], ["box"]).kind)
        == {"cube"}
        == set(make_bank().without(["stone"], ["box", "cone"]).kind)
    )
    with pytest.raises(InputError, match="without cone: no such kind"):
        make_bank().without(["cone"])


def test_banks_are_what_was_saved(tmp_path: Path) -> None:
    bank = make_bank()
    bank.save(tmp_path / "one.npz")
    both = PatternBank.load([tmp_path / "one.npz", tmp_path / "one.npz"])
    assert len(both) == 2 * len(bank) and np.array_equal(both.log_rate[len(bank) :], bank.log_rate)
    assert list(both.kind[: len(bank)]) == list(bank.kind)


def train(folder: Path, seed: int = 0) -> torch.Tensor:
    config = PairConfig(
        steps=9, batch=16, shares=SHARES, channels=(4, 4, 4), hidden=16, n_radii=8, n_angles=32, seed=seed
    )
    polar = PolarMap(Geometry((48, 48), beam_center_px=(23.5, 23.5)), np.ones((48, 48)), PolarGrid(8, 32, 0.0, 24.0))
    bank = make_bank()
    network, record = pretrain(bank, Detectors([polar]), ShotConfig(), config, folder, {})
    assert record["steps"] == 9 and record["patterns"] == len(bank)
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def test_a_stopped_training_ends_where_an_uninterrupted_one_does(tmp_path: Path, stopped_in_its_third_epoch) -> None:
    stopped = stopped_in_its_third_epoch(pretrain_module)
    straight = train(tmp_path / "a")
    with stopped:
        train(tmp_path / "b")
    assert list((tmp_path / "b").glob("training-*.ckpt"))
    assert torch.equal(straight, train(tmp_path / "b"))
    assert not torch.equal(straight, train(tmp_path / "c", seed=1))
