"""The bench of iterative phasing: its tables, and what a wrong interpreter gets."""

import json
import sys

import numpy as np
import pytest

from apps.bench import cohere
from apps.bench.phasing import PhasingBenchConfig, bench_phasing, table_text
from apps.cli.__main__ import main
from sorter.core.errors import InputError
from tests.recon.test_phase_iterate import crystal, pattern


def test_tables_of_a_small_bench(tmp_path, monkeypatch):
    monkeypatch.setattr("apps.bench.phasing_tables.CLASSICAL", "5ER")
    np.save(tmp_path / "scan.npy", pattern(crystal(40), 1e6))
    config = PhasingBenchConfig((32,), 2, 1, crystals=1, scan=str(tmp_path / "scan.npy"), scan_side=32)
    result = bench_phasing(config)
    assert [row["what"] for row in result["rates"]] == ["bare transforms", "ER", "HIO"]
    assert all(row["shotsort_per_s"] > 0 for row in result["rates"])
    assert result["crystals"][0]["method"] == "shotsort" and result["crystals"][0]["chi2"] < 0.5
    assert result["scan"][0]["phase_apart_rad"] < 1e-3
    text = table_text(result)
    assert "| shotsort |" in text and "bare transforms" in text
    json.dumps(result)


@pytest.mark.parametrize(
    ("python", "message"), [("none/python", "cannot be run"), (sys.executable, "does not run there")]
)
def test_an_interpreter_without_cohere_is_named(python, message):
    if python == sys.executable:
        try:
            import cohere_core  # noqa: F401
        except ImportError:
            pass
        else:
            pytest.skip("cohere-core is installed here")
    with pytest.raises(InputError, match=message):
        cohere.run(python, [cohere.Transforms(8, 1)])


def test_command_line_refuses_in_one_line(capsys):
    assert main(["bench", "phasing", "--sides", "33", "--crystals", "0"]) == 2
    assert "even, at least 32" in capsys.readouterr().err
