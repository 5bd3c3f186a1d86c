"""The scale bench on a small run: every stage is measured once, and what was measured is kept."""

import json

import pytest

from apps.bench import scale, scale_measures
from apps.bench.scale import ScaleBenchConfig, bench_scale, plot, table_text
from apps.bench.scale_measures import measure_assignment, measure_fits, measure_sampling
from apps.cli.__main__ import main
from sorter.core.errors import InputError


@pytest.mark.slow
def test_all_stages_of_a_small_run(tmp_path, monkeypatch):
    config = ScaleBenchConfig((1000,), folder=str(tmp_path), assignment=False)
    result = bench_scale(config)
    assert [row["stage"] for row in result["rows"]] == list(scale.STAGES)
    assert all(row["seconds"] > 0 and row["cpu_seconds"] > 0 and row["peak_mb"] > 20 for row in result["rows"])
    assert all(row["share_of_limit"] > 0 for row in result["rows"])
    in_all = result["sorted_in_all"][1000]
    assert in_all["seconds"] == pytest.approx(sum(row["seconds"] for row in result["rows"][1:3]), abs=0.01)
    monkeypatch.setattr(scale, "_run", None)
    assert bench_scale(config) == result
    json.dumps(result, allow_nan=False)
    assert "sorted in all" in table_text(result)
    plot(result, tmp_path / "scale.png")
    assert (tmp_path / "scale.png").stat().st_size > 5000


def test_assignment_is_measured_beside_hdbscan(monkeypatch):
    monkeypatch.setattr(scale_measures, "_PREDICTED", 100)
    monkeypatch.setattr(scale_measures, "_ASSIGNED", 300)
    found = measure_assignment(n_base=1500, d=9)
    assert found["equal_share"] == 1 and found["points_per_s"] > 0 and found["clusters"] > 1


def test_two_implementations_are_fitted_to_the_same_points(monkeypatch):
    monkeypatch.setattr(scale_measures, "_FITTED", (1000,))
    (found,) = measure_fits()
    assert found["hdbscan_cpu_seconds"] > 0 and found["ari"] > 0.9


def test_a_sample_says_much_the_same_as_all_points():
    found = measure_sampling(n=6000, n_fitted=2500, d=3)
    assert found["ari_without_noise"] > 0.9 and found["clusters"] > 4


def test_bad_arguments_are_one_line(capsys):
    with pytest.raises(InputError, match="at least 1000"):
        ScaleBenchConfig((10,))
    with pytest.raises(InputError, match="contrastive: choose one of pretrained"):
        ScaleBenchConfig(model="contrastive")
    assert main(["bench", "scale", "--frames", "10"]) == 2
    assert "at least 1000" in capsys.readouterr().err
