"""shotsort sim from the command line."""

import json

import h5py
import pytest

from apps.cli.__main__ import main

SETTINGS = [
    "--set", "layout.n_px=24", "--set", "min_radius_nm=20", "--set", "max_radius_nm=25", "--set", "multi_distance_nm=60",
    "--set", "detector.beam_stop_radius_px=1.5", "--vary", "2", "--workers", "1",
]  # fmt: skip


def test_a_run_is_written_once(tmp_path, capsys):
    path = tmp_path / "run.h5"
    call = ["sim", "clusters", "--frames", "9", "--seed", "3", "--to", str(path), "--json", *SETTINGS]
    assert main(call) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["state"] == "written" and result["frames"] == 9
    with h5py.File(path) as file:
        assert file["entry_1/data_1/data"].shape == (9, 24, 24)
    assert main(call) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "complete"
    assert main([*call, "--seed", "4"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*call, "--seed", "4", "--overwrite"]) == 0


def test_contact_sheet(tmp_path, capsys):
    path = tmp_path / "sheet.png"
    assert main(["sim", "clusters", "--show", str(path), "--frames", "4", "--json", *SETTINGS]) == 0
    assert json.loads(capsys.readouterr().out) == {"picture": str(path)}
    assert path.read_bytes().startswith(b"\x89PNG")


def test_recipes_and_options_are_listed(capsys):
    assert main(["sim", "--list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in ("clusters", "icosahedra", "droplets", "spi", "disks", "crystals"))
    assert main(["sim", "clusters", "--options"]) == 0
    assert "fluence.max_photons = 1000000.0" in capsys.readouterr().out
    assert main(["sim", "--list", "--json"]) == 0
    assert "clusters" in json.loads(capsys.readouterr().out)["recipes"]
    assert main(["sim", "clusters", "--options", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["options"]["fluence.max_photons"] == 1e6


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (["sim", "nebulae", "--frames", "1", "--to", "x.h5"], "recipes are"),
        (["sim", "clusters", "--frames", "1", "--to", "x.h5", "--set", "colour=red"], "unknown"),
        (["sim", "clusters", "--frames", "1", "--to", "x.h5", "--set", "colour"], "NAME=VALUE"),
        (["sim", "clusters", "--frames", "1", "--to", "x.txt"], ".h5"),
        (["sim", "clusters", "--frames", "0", "--to", "x.h5"], "at least 1"),
        (["sim", "clusters", "--frames", "1", "--to", "x.h5", "--seed", "-1"], "0 or more"),
        (["sim", "clusters", "--frames", "1"], "--to"),
        (["sim", "clusters", "--frames", "1", "--to", "x.h5", "--set", "far_field.columns=0"], "columns"),
        (["sim", "clusters", "--frames", "1", "--to", "x.h5", "--set", "far_field.pixel_wavelengths=0.8"], "alias"),
        (["sim", "clusters", "--frames", "1", "--to", "x.h5", "--set", "max_radius_nm=9000"], "largest particle"),
        (["sim", "clusters", "--frames", "1", "--to", "x.h5", "--set", "rung=guess"], "rung"),
        (["sim", "clusters", "--frames", "1", "--to", "x.h5", "--device", "abacus"], "abacus"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(call, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(call) == 2
    error = capsys.readouterr().err
    assert says in error and "Traceback" not in error
    assert len([line for line in error.splitlines() if line.startswith("shotsort sim:")]) == 1
