"""The stages train and embed on a work folder, as a notebook and the command line call them."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest

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
