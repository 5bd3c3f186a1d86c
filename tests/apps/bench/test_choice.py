"""The bench of rules that choose a clustering without truth."""

import json

import numpy as np
import pytest

from apps.bench import choice
from apps.bench.choice import RULES, ChoiceBenchConfig, bench_choice, table_text
from sorter.core.errors import InputError
from tests.workfolders import make_work_folder


def candidates(**values):
    base = {"agreement": [0.5, 0.5, 0.5], "validity": [0, 0, 0], "halves": [0, 0, 0], "truth": [0.1, 0.2, 0.3]}
    return [choice._Candidate(**dict(zip(base, each))) for each in zip(*(base | values).values())]


def test_each_rule_goes_by_its_own_figure_and_of_equals_takes_the_middle():
    found = candidates(validity=[0.9, 0.1, 0.1], halves=[0, 0, 1])
    picked = {rule: choose(found).truth for rule, (_, choose) in RULES.items()}
    assert picked["sizes agree (default)"] == 0.2 and picked["DBCV"] == 0.1
    assert picked["halves agree"] == picked["the best of them, by truth"] == 0.3


def test_all_rules_on_a_run_of_clear_classes(tmp_path):
    work = make_work_folder(tmp_path, n=300)
    work.path.rename(tmp_path / "clusters-300-10.work")
    (tmp_path / "clusters-300-10.h5").touch()  # what the folder stands for is not simulated again
    config = ChoiceBenchConfig(("clusters",), 300, (10,), ("features",), (0,), str(tmp_path))
    found = bench_choice(config)
    json.dumps(found, allow_nan=False)
    assert len(found["rows"]) == 1 and 0.5 < found["table"][0]["sizes agree (default)"] <= 1
    best = found["table"][0]["the best of them, by truth"]
    assert all(found["table"][0][rule] <= best for rule, (way, _) in RULES.items() if way == "kept")
    text = table_text(found).splitlines()
    assert len(text) == 1 + len(RULES) and f"{np.round(best, 3):.3f}" in text[-1]


def test_an_embedding_that_needs_a_training_is_refused(tmp_path):
    with pytest.raises(InputError, match="contrastive"):
        bench_choice(ChoiceBenchConfig(embeddings=("contrastive",), folder=str(tmp_path / "none")))
