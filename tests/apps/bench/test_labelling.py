"""The labelling bench: clicks, calibration, classes without a label."""

import json

import numpy as np
import pytest

from apps.bench import labelling_figure
from apps.bench.click_curves import BASE, CLUSTERS, FAULTLESS, FEWEST, STRATEGIES, Pool, clicks_to, curves, mean_curves
from apps.bench.labelling import LabellingBenchConfig, bench_labelling, table_text
from apps.cli.__main__ import main
from sorter.core.errors import InputError
from sorter.curate.propose import Proposer
from tests.workfolders import make_work_folder


def test_curves_of_clear_classes():
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 4, 120)
    points = 4.0 * np.eye(4)[kind] + rng.normal(size=(120, 4))
    pool = Pool(
        points, np.array(list("abcd"))[kind], kind.astype(np.int32), Proposer(np.arange(120).astype(np.uint64), points)
    )
    found = curves(pool, 20, 2)
    assert set(found) == {*STRATEGIES, CLUSTERS, FAULTLESS, FEWEST}
    assert found[CLUSTERS]["clicks"] == [1, 2, 3, 4] and found[CLUSTERS]["macro_f1"][-1] == [1.0]
    assert found[BASE]["clicks"] == list(range(1, 21)) and len(found[BASE]["macro_f1"][0]) == 2
    assert found["suggested frames, propagation"]["macro_f1"][-1][0] > 0.8
    assert found["suggested frames, propagation"]["macro_f1"][9][0] >= np.mean(found[BASE]["macro_f1"][9])
    assert found[FEWEST]["macro_f1"][:5] == [[0.25], [0.5], [0.75], [1.0], [1.0]]
    faultless = np.array(found[FAULTLESS]["macro_f1"])
    assert (faultless <= np.array(found[FEWEST]["macro_f1"])).all() and faultless[0].tolist() == [0.25, 0.25]
    assert (np.array(found[BASE]["macro_f1"])[:3] <= faultless[:3] + 1e-9).all()


def test_clicks_to_a_level():
    long = {"clicks": [5, 10, 20], "macro_f1": [[0.5, 0.7], [0.7, 0.9], [1.0, 1.0]]}
    short = {"clicks": [5, 10], "macro_f1": [[0.6], [0.8]]}
    runs = [
        {BASE: long, CLUSTERS: {"clicks": [1, 2], "macro_f1": [[0.4], [0.8]]}},
        {BASE: short, CLUSTERS: {"clicks": [1], "macro_f1": [[0.9]]}},
    ]
    mean = mean_curves(runs)
    assert mean[BASE]["clicks"] == [5, 10] and mean[BASE]["macro_f1"] == pytest.approx([0.6, 0.8])
    assert mean[CLUSTERS]["macro_f1"] == pytest.approx([0.65, 0.85])  # the second run has no second cluster to name
    found = clicks_to({**mean, "quick": {"clicks": [2, 4], "macro_f1": [0.7, 0.9]}})
    assert found[BASE]["0.8"] == 10 and found[BASE]["0.9"] is None
    assert found["quick"]["0.8"] == 3 and found["quick"]["times_fewer"] == {"0.8": pytest.approx(10 / 3), "0.9": None}


def test_bench_on_work_folders(tmp_path, capsys):
    runs = (str(make_work_folder(tmp_path, n=200).path),)
    config = LabellingBenchConfig(runs=runs, embedding="features", clicks=10, draws=1, folder=str(tmp_path / "bench"))
    result = bench_labelling(config)
    json.dumps(result, allow_nan=False)
    assert result["curves"]["hits"]["suggested frames, propagation"]["macro_f1"][-1] > 0.9
    assert 0 <= result["calibration"]["propagation"]["ece"] < 0.3
    assert result["unnamed"]["auroc"] > 0.5
    assert bench_labelling(config) == result
    assert "clicks to 0.8" in table_text(result)
    labelling_figure.draw(result, tmp_path / "l.png")
    assert (tmp_path / "l.png").read_bytes().startswith(b"\x89PNG")
    assert main(["bench", "labelling", "--runs", str(tmp_path / "gone")]) == 2
    assert "no such file" in capsys.readouterr().err
    assert main(["bench", "labelling", "--folder", str(tmp_path / "bench"), "--set", "mixture=griffin=1"]) == 2
    assert "griffin" in capsys.readouterr().err
    with pytest.raises(InputError, match="clicks = 2"):
        LabellingBenchConfig(clicks=2)
