import json

import numpy as np
import pytest

from apps.bench import mie, pymsft, straight_paths
from apps.bench.farfield import bench_farfield, table_text
from apps.bench.farfield_config import FarFieldBenchConfig
from apps.cli.__main__ import main
from apps.cli.output import strict
from sorter.core.errors import InputError


def test_tables_of_a_small_bench(tmp_path, monkeypatch):
    monkeypatch.setattr(straight_paths, "SLICES", 48)
    monkeypatch.setattr(straight_paths, "PADDED", 256)
    monkeypatch.setattr(straight_paths, "VOXELS", 64)
    config = FarFieldBenchConfig(
        threads=1, batch=2, repeats=1, radius_nm=40, materials=(0.95 + 0.02j,), plot=str(tmp_path / "c.png")
    )
    result = bench_farfield(config)
    rungs = {row["scheme"]: row for row in result["rungs"]}
    assert rungs["multislice"]["error_45_dex"] < 0.03 < rungs["sliced"]["error_45_dex"]
    assert (tmp_path / "c.png").stat().st_size > 5000
    errors = [row["outer_dex"] for row in result["convergence"]]
    assert errors == sorted(errors, reverse=True)
    padded, absorption = result["straight"][:2]
    assert padded["exact_outer_dex"] < 0.1 and absorption["exact_outer_dex"] < 0.2
    assert absorption["closed_form_outer_dex"] < padded["closed_form_outer_dex"]
    text = table_text(result)
    assert "multislice" in text and "fine grid" in text
    json.dumps(strict(result), allow_nan=False)


def test_radial_error_of_a_known_difference():
    angle = np.radians(np.linspace(0, 40, 4000).reshape(1, -1))
    truth = np.exp(-angle)
    assert mie.radial_error_dex(3 * truth, truth, angle, 30) == pytest.approx(0, abs=1e-12)
    step = truth * np.where(np.degrees(angle) < 15, 1, 10)
    assert mie.radial_error_dex(step, truth, angle, 30) == pytest.approx(0.5**0.5)


def test_mie_of_a_small_sphere_is_rayleigh():
    angle = np.linspace(0, 1.5, 50)
    radius, wavelength, index = 1e-9, 500e-9, 1.3 + 0j
    k = 2 * np.pi / wavelength
    contrast = (index**2 - 1) / (index**2 + 2)
    exact = k**4 * radius**6 * abs(contrast) ** 2 * (1 + np.cos(angle) ** 2) / 2
    np.testing.assert_allclose(mie.cross_section(angle, wavelength, index, radius), exact, rtol=1e-3)


def test_interpreters_without_pymsft_are_named():
    for python in ("/nowhere/python", "/bin/false"):
        with pytest.raises(InputError, match=python):
            pymsft.rows(python, 13.5e-9, 1e-7, 0.9 + 0.1j, 1, 1)


@pytest.mark.parametrize(
    "arguments, message", [(["--batch", "0"], "at least 1"), (["--reference", "gone.npz"], "no such file")]
)
def test_bad_options(arguments, message, capsys):
    assert main(["bench", "farfield", *arguments]) == 2
    assert message in capsys.readouterr().err
