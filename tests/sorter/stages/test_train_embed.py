"""The stages train and embed on a work folder, as a notebook and the command line call them."""

import json
import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr

from apps.cli.__main__ import main
from sorter.core.errors import InputError, MissingResultError
from sorter.core.hits import Hits
from sorter.stages.embed import EmbedConfig, bench_embedding, embed
from sorter.stages.train import TrainConfig, train
from tests.workfolders import make_work_folder

QUICK = {"steps": 3, "batch": 16, "n_radii": 16, "n_angles": 32}
CONTRASTIVE = EmbedConfig(model="contrastive")


def test_train_then_embed_then_again_is_up_to_date(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    work = make_work_folder(tmp_path, n=80, results=False)
    caplog.set_level(logging.INFO, logger="sorter")
    model = train(work, TrainConfig(**QUICK))
    embedding = embed(work, CONTRASTIVE)
    hits = work.read_hits()
    assert np.array_equal(embedding.frame_id, hits.hit_ids) and embedding.vectors.shape[1] == model.network.dim
    assert "up to date" not in caplog.text
    train(work, TrainConfig(**QUICK))
    again = embed(work, CONTRASTIVE)
    assert caplog.text.count("up to date") == 2
    np.testing.assert_array_equal(again.vectors, embedding.vectors)
    assert work.manifests("embed")[-1]["metrics"]["embed/frames"] == len(hits.hit_ids)
    assert len(work.manifests("train")) == 1
    figures = bench_embedding(work, CONTRASTIVE, repeats=1)
    assert figures["share_of_network_rate"] > 0 and len(work.manifests("embed")) == 1


def test_a_contrastive_training_takes_the_bright_hits(tmp_path: Path) -> None:
    work = make_work_folder(tmp_path, n=80, results=False)
    hits = work.read_hits()
    photons, dim = np.where(hits.is_hit, 1e5, 0.0), np.flatnonzero(hits.is_hit)[:5]
    photons[dim] = 1e3
    work.write_hits(replace(hits, photons=photons))

    def learned_from(**settings: object) -> int:
        train(work, TrainConfig(**QUICK, **settings))
        return work.manifests("train")[-1]["inputs"]["hits"]

    n = len(hits.hit_ids)
    assert learned_from() == n - len(dim)
    assert learned_from(balance="photons") == n - len(dim)
    assert learned_from(bright_span=0.0) == n
    assert len(embed(work, CONTRASTIVE).frame_id) == n, "dim ones are embedded all the same"
    with pytest.raises(InputError, match=r"--bright-span 0\.5"):
        TrainConfig(bright_span=0.5)


def test_a_device_that_is_not_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = make_work_folder(tmp_path, n=80, results=False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(InputError, match="no GPU that PyTorch can use"):
        train(work, TrainConfig(**QUICK, device="cuda"))
    for config in (TrainConfig, EmbedConfig):
        with pytest.raises(InputError, match="--device tpu: choose one of auto, cpu, cuda"):
            config(device="tpu")
    with pytest.raises(InputError, match="--learning-rate nan"):
        TrainConfig(learning_rate=float("nan"))
    work.model_path("contrastive").mkdir(parents=True)
    assert work.model_names() == [], "a folder of a training that was interrupted is no model"


def test_a_model_of_another_mask_is_refused_with_both_sides_named(tmp_path: Path) -> None:
    work = make_work_folder(tmp_path, n=80, results=False)
    train(work, TrainConfig(**QUICK))
    mask = zarr.open_group(work.frames_path, mode="r+")["mask"]
    mask[0, :] = True  # a gap is no other mask
    embed(work, CONTRASTIVE)
    mask[: mask.shape[0] // 2] = True
    with pytest.raises(
        InputError, match=r"another mask: 9\d% of the polar map were seen then, [3-7]\d% are in these frames"
    ):
        embed(work, CONTRASTIVE)


def test_new_weights_make_the_embedding_out_of_date(tmp_path: Path) -> None:
    work = make_work_folder(tmp_path, n=80, results=False)
    train(work, TrainConfig(**QUICK))
    first = embed(work, CONTRASTIVE)
    train(work, TrainConfig(**QUICK, seed=1))
    assert not np.array_equal(embed(work, CONTRASTIVE).vectors, first.vectors)


def test_embedding_before_training_says_what_to_run(tmp_path: Path) -> None:
    work = make_work_folder(tmp_path, n=60, results=False)
    with pytest.raises(MissingResultError, match="shotsort train"):
        embed(work, CONTRASTIVE)


def test_few_or_no_hits_are_said_and_nothing_breaks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    work = make_work_folder(tmp_path, n=60, results=False)
    hits = work.read_hits()
    for n in (3, 0):
        few = np.zeros(len(hits.frame_id), bool)
        few[:n] = True
        work.write_hits(Hits(hits.frame_id, hits.photons, hits.score, few, hits.threshold))
        assert train(work, TrainConfig(**QUICK)) is None
        assert len(embed(work, EmbedConfig(model="features")).vectors) == n
    assert "too few" in caplog.text


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    work = make_work_folder(tmp_path, n=80, results=False)
    assert main(["embed", str(work.path), "--model", "features", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["embedding"] == "features"
    assert main(["train", str(work.path), "--steps", "2", "--batch", "16", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trained"]["steps"] == 2
    assert main(["embed", str(work.path), "--model", "factorvae"]) == 2
    assert "run 'shotsort train' first" in capsys.readouterr().err
    assert main(["train", str(work.path), "--keep", "colour"]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def losses(work) -> np.ndarray:
    return np.loadtxt(work.model_path("contrastive") / "curves.csv", delimiter=",", skiprows=1, ndmin=2)[:, 1]


def test_two_processes_train_as_one_does(tmp_path: Path) -> None:
    """Each of two processes takes half of every batch, and compares it with the whole: the same loss, but for the views."""
    one, two = (make_work_folder(tmp_path / name, n=120, results=False) for name in ("one", "two"))
    config = TrainConfig(steps=50, batch=32, device="cpu")
    train(one, config)
    options = ["--steps", "50", "--batch", "32", "--device", "cpu", "--devices", "2", "--json"]
    argv = [sys.executable, "-m", "apps.cli", "train", str(two.path), *options]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=500, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["trained"]["steps"] == 50, "one object, from the first process"
    assert len(two.manifests("train")) == 1 and not list(two.model_path("contrastive").glob("training-*"))
    assert losses(two) == pytest.approx(losses(one), abs=0.15) and losses(two)[-1] < losses(two)[0] - 0.1
    assert len(embed(two, CONTRASTIVE).frame_id) == len(two.read_hits().hit_ids)


def test_what_several_processes_cannot_do_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    work = str(make_work_folder(tmp_path, n=40, results=False).path)
    assert main(["train", work, "--model", "factorvae", "--devices", "2"]) == 2
    assert "a factorvae is trained by one process" in capsys.readouterr().err
    assert main(["train", work, "--batch", "33", "--devices", "2"]) == 2
    assert "--batch 33: must be a multiple of 2" in capsys.readouterr().err
    assert main(["train", work, "--precision", "8"]) == 2
    assert "choose one of 32, bf16" in capsys.readouterr().err


def test_mixed_precision_changes_little(tmp_path: Path) -> None:
    works = {p: make_work_folder(tmp_path / p, n=120, results=False) for p in ("32", "bf16")}
    for precision, work in works.items():
        train(work, TrainConfig(steps=50, batch=32, device="cpu", precision=precision))
    assert losses(works["bf16"]) == pytest.approx(losses(works["32"]), abs=0.1)


def test_hits_are_drawn_evenly_over_brightness_or_clusters(tmp_path: Path) -> None:
    work = make_work_folder(tmp_path, n=80)
    model = train(work, TrainConfig(**QUICK, balance="photons"))
    again = train(work, TrainConfig(**QUICK, balance="density"))
    assert model.card.training["config"]["balance"] == "photons"
    assert not np.array_equal(*(next(m.network.parameters()).detach().numpy() for m in (model, again)))
    with pytest.raises(MissingResultError, match="no clusters 'nosuch'"):
        train(work, TrainConfig(**QUICK, balance="nosuch"))


@pytest.mark.slow
def test_a_compiled_network_learns_the_same(tmp_path: Path) -> None:
    works = [make_work_folder(tmp_path / name, n=120, results=False) for name in ("plain", "compiled")]
    for work, compiled in zip(works, (False, True)):
        train(work, TrainConfig(steps=25, batch=32, device="cpu", compile=compiled))
    assert losses(works[1]) == pytest.approx(losses(works[0]), abs=1e-3)
