"""The disks recipe: classes, options, the same frames however they are asked for."""

import json

import numpy as np
import pytest

from sim.recipes import make_recipe
from sim.run import simulate
from sorter.core.errors import InputError


def block(seed=1, number=0, **options):
    return make_recipe("disks", {"side_px": 33, **options}, seed).block(number)


def test_classes_take_turns():
    counts = block().truth["n_disks"]
    assert counts[:20].tolist() == [*range(2, 21), 2]
    assert block().truth["class"][5] == "disks_07"
    assert np.bincount(np.concatenate([block(number=i).truth["n_disks"] for i in range(19)]))[2:].tolist() == [64] * 19


def test_truth_gives_the_disks():
    made = block(polydispersity=1 / 3)
    parameters = [json.loads(p) for p in made.truth["parameters"]]
    assert [len(p["centres"]) for p in parameters] == made.truth["n_disks"].tolist()
    assert np.sum(np.square(parameters[11]["radii"])) == pytest.approx(16200)


def test_frames_are_standardised_with_a_blocked_corner():
    frames = block().frames
    np.testing.assert_allclose(frames.mean((1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(frames.std((1, 2)), 1, rtol=1e-4)
    assert (np.ptp(frames[:, :11, :11], axis=(1, 2)) == 0).all()
    raw = block(standardised=False, blocked_px=6).frames
    assert (raw[:, :6, :6] == 0).all() and (raw[:, 6, 6] > 0).all()


def test_seed_and_radii():
    np.testing.assert_array_equal(block(seed=2).frames, block(seed=2).frames)
    assert (block(seed=2).frames != block(seed=3).frames).any()
    shared = [json.loads(p)["radii"] for p in block(polydispersity=0.3, shared_radii=True).truth["parameters"]]
    fresh = [json.loads(p)["radii"] for p in block(polydispersity=0.3).truth["parameters"]]
    assert shared[0] == shared[19] and fresh[0] != fresh[19]


def test_noise_and_coherence_options_change_the_frames():
    plain = block().frames
    assert (block(photons=1e4).frames != plain).any() and (block(coherence_length=300.0).frames != plain).any()


@pytest.mark.parametrize(
    "option", [{"fewest": 0}, {"fewest": 9, "most": 4}, {"side_px": 4}, {"polydispersity": 2}, {"photons": 0}]
)
def test_impossible_options(option):
    with pytest.raises(InputError):
        make_recipe("disks", option, 0)


def test_written_run(tmp_path):
    simulate("disks", 40, 1, tmp_path / "speckle.zarr", {"side_px": 33}, workers=1)
    import zarr

    group = zarr.open_group(tmp_path / "speckle.zarr", mode="r")
    assert group["frames"].shape == (40, 33, 33) and group["frames"].dtype == np.float32
    assert group["truth/n_disks"][:3].tolist() == [2, 3, 4]


def test_command_line_option_for_the_papers_polydispersity(tmp_path):
    from apps.cli.__main__ import main

    arguments = ["--frames", "3", "--set", "side_px=33", "--workers", "1", "--quiet"]
    assert main(["sim", "disks", "--polydisperse", *arguments, "--to", str(tmp_path / "p.h5")]) == 0
    import h5py

    with h5py.File(tmp_path / "p.h5") as file:
        assert json.loads(file["truth"].attrs["description"])["options"]["polydispersity"] == pytest.approx(1 / 3)
