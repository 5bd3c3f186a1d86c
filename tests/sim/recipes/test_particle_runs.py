import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from sim.orientation import conjugate, from_axis_angle, multiply, rotate
from sim.recipes import RECIPES, make_recipe, recipe_class
from sim.recipes.clusters import MIXTURE, Clusters
from sim.recipes.draws import place_apart, random_rotation, tilted_axis
from sim.recipes.scene import Particle
from sim.symmetry import in_fundamental
from sorter.core.errors import InputError
from tests.sim.small_runs import SMALL


@pytest.fixture(scope="module")
def clusters():
    return make_recipe("clusters", SMALL, seed=1)


@pytest.fixture(scope="module")
def block(clusters):
    return clusters.block(0)


def test_defaults_are_the_yardstick():
    options = recipe_class("clusters").OPTIONS()
    assert (options.layout.n_px, options.layout.wavelength_nm, options.layout.two_theta_edge_deg) == (128, 13.5, 30)
    assert (options.fluence.min_photons, options.fluence.max_photons) == (1e2, 1e6)
    assert options.detector.background_photons == 0.02 and options.blank_fraction == 0.4
    assert (options.min_radius_nm, options.max_radius_nm) == (30, 160)
    assert sum(MIXTURE.values()) == pytest.approx(1)
    assert options.index() == pytest.approx(0.89 + 0.0859j, abs=1e-3)


def test_a_block_does_not_depend_on_what_was_computed_before(clusters, block):
    fresh = make_recipe("clusters", SMALL, seed=1)
    fresh.block(1)
    again = fresh.block(0)
    assert np.array_equal(again.frames, block.frames)
    for name, values in block.truth.items():
        assert np.array_equal(again.truth[name], values, equal_nan=values.dtype.kind == "f"), name
    assert not np.array_equal(make_recipe("clusters", SMALL, seed=2).block(0).frames, block.frames)


def test_threads_do_not_change_a_count(clusters, block):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert np.array_equal(clusters.block(0).frames, block.frames)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_truth_fits_the_frames(clusters, block):
    truth, good = block.truth, clusters.recording.cxi_mask == 0
    assert block.frames.shape == (256, 32, 32) and block.frames.dtype == np.uint16
    assert np.array_equal(truth["hit"], truth["class"] != "blank")
    assert 0.3 < 1 - truth["hit"].mean() < 0.5
    assert set(truth["class"]) <= {"blank", *MIXTURE}
    on_good = block.frames[:, good].sum(1)
    assert (on_good >= truth["photons"]).all() and (on_good - truth["photons"]).mean() < 30
    hits = truth["hit"]
    assert (truth["photons"][~hits] == 0).all() and np.isnan(truth["radius_m"][~hits]).all()
    expected = truth["expected_photons"][hits]
    assert expected.min() >= 100 * 0.999 and expected.max() <= 1e6 * 1.001
    assert (abs(truth["photons"][hits] - expected) < 6 * np.sqrt(expected)).all()
    assert ((truth["radius_m"][hits] >= 20e-9) & (truth["radius_m"][hits] <= 30e-9)).all()
    assert np.linalg.norm(truth["quaternion_wxyz"][hits], axis=1) == pytest.approx(np.ones(hits.sum()))


def test_a_pair_is_the_same_particle_seen_twice(block):
    truth = block.truth
    assert (truth["pair_id"][~truth["hit"]] == -1).all()
    pairs = Counter(truth["pair_id"][truth["hit"]].tolist())
    assert set(pairs.values()) == {2}
    neighbours = 0
    for pair in pairs:
        first, second = np.flatnonzero(truth["pair_id"] == pair)
        neighbours += second - first == 1
        assert truth["class"][first] == truth["class"][second]
        one, two = (json.loads(truth["parameters"][i]) for i in (first, second))
        assert [p["radius_m"] for p in one] == [p["radius_m"] for p in two]
        assert [p["quaternion_wxyz"] for p in one] != [p["quaternion_wxyz"] for p in two]
    assert neighbours < len(pairs) / 5


def test_several_particles_give_several_labels(block):
    rows = np.flatnonzero(block.truth["class"] == "multi")
    assert len(rows)
    for row in rows:
        kinds = {p["kind"] for p in json.loads(block.truth["parameters"][row])}
        assert set(block.truth["labels"][row].split(";")) == {"multi", *kinds}
        assert block.truth["n_particles"][row] in (2, 3)


def test_coherent_groups_add_intensities(clusters):
    scene = next(s for s in clusters.scenes(0) if s.name == "multi" and len(s.particles) == 2)
    a, b = scene.particles
    alone = clusters.intensities([replace(scene, particles=(p,)) for p in (a, b)])
    apart = clusters.intensities([replace(scene, particles=(a, replace(b, coherent_group=1)))])
    together = clusters.intensities([scene])
    assert apart[0].numpy() == pytest.approx((alone[0] + alone[1]).numpy(), rel=1e-4, abs=1e-4 * float(alone.max()))
    assert not torch.allclose(together, apart, rtol=0.05, atol=0)


def test_varied_frames_are_the_same_fields_turned():
    recipe = make_recipe("clusters", {**SMALL, "vary": 6, "blank_fraction": 0, "mixture": {"cube": 1.0}}, seed=4)
    block = recipe.block(0)
    assert set(block.truth["pair_id"]) == set(range(6))
    sources = recipe.bank.scenes
    for row in range(20):
        particle = json.loads(block.truth["parameters"][row])[0]
        source = sources[block.truth["pair_id"][row]].particles[0]
        turn = multiply(torch.tensor(particle["quaternion_wxyz"]), conjugate(torch.tensor(source.quaternion_wxyz)))
        assert turn[1:3].abs().max() < 1e-6  # about the beam alone
    scenes, images = recipe.bank.draw([np.random.default_rng(i) for i in range(4)])
    direct = recipe.intensities(scenes)
    for turned, exact in zip(images, direct, strict=True):  # interpolation against a fresh far field
        assert float((turned - exact).abs().sum() / exact.sum()) < 0.05


def test_vary_needs_the_beam_in_the_middle():
    with pytest.raises(InputError, match="middle"):
        make_recipe("clusters", {**SMALL, "vary": 4, "layout.beam_center_px": "10,12"}, 0).block(0)


def test_icosahedra_lie_in_the_fundamental_domain_and_can_be_augmented():
    small = {"layout.n_px": 24, "min_radius_nm": 20, "max_radius_nm": 25}
    plain = make_recipe("icosahedra", small, 0).block(0)
    assert set(plain.truth["class"]) == {"icosahedron"}
    assert bool(in_fundamental(torch.from_numpy(plain.truth["quaternion_wxyz"]), "I").all())
    augmented = make_recipe("icosahedra", {**small, "augment": "any"}, 0).block(0)
    assert len(set(augmented.truth["augment"])) == 11
    same = augmented.truth["augment"] == "identity"
    assert np.array_equal(augmented.frames[same], plain.frames[same])
    assert (augmented.frames[~same] != plain.frames[~same]).any()


@pytest.mark.parametrize("name", ["droplets", "spi"])
def test_recipe_draws_all_its_classes(name):
    recipe = make_recipe(name, None, 0)
    scenes = [s for number in range(3) for s in recipe.scenes(number)]
    empty = {"droplets": "empty", "spi": "blank"}[name]
    assert {s.name for s in scenes} == {*recipe.options.mixture, empty}
    assert all(bool(s.particles) == (s.name != empty) for s in scenes)
    assert all(s.labels[0] == s.name for s in scenes if s.particles)
    limit = recipe.options.largest_radius_nm() * 1e-9
    assert max(p.radius_m for s in scenes for p in s.particles) <= limit


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("droplets", {"layout.n_px": 24, "min_radius_nm": 80, "max_radius_nm": 100, "detector.hole_radius_px": 1}),
        (
            "spi",
            {"layout.n_px": 32, "virus_radius_nm": 12, "max_radius_nm": 20, "min_radius_nm": 12, "rung": "projection"},
        ),
    ],
)
def test_recipe_makes_frames(name, options):
    block = make_recipe(name, options, 0).block(0)
    hits = block.truth["hit"]
    assert hits.any() and not hits.all()
    assert block.frames[hits].sum() > block.frames[~hits].sum()


def test_tilted_axis_is_tilted():
    rng = np.random.default_rng(0)
    for tilt in (0.0, 0.4, 1.5):
        axis = rotate(
            torch.tensor(tilted_axis(tilt, rng), dtype=torch.float64), torch.tensor([0.0, 0, 1], dtype=torch.float64)
        )
        assert float(torch.arccos(axis[2].clamp(-1, 1))) == pytest.approx(tilt, abs=1e-6)


def test_random_rotations_are_uniform():
    q = np.array([random_rotation(np.random.default_rng(i)) for i in range(3000)])
    assert (q**2).mean(0) == pytest.approx(np.full(4, 0.25), abs=0.02) and (q[:, 0] >= 0).all()


def test_particles_are_put_apart():
    shape = Clusters.NAME
    made = place_apart([Particle("x", shape, 50e-9, (1 + 0j,)) for _ in range(4)], 1e-9, 1e-7, np.random.default_rng(0))
    centres = np.array([p.position_m[:2] for p in made])
    distance = np.linalg.norm(centres[:, None] - centres[None], axis=-1)[np.triu_indices(4, 1)]
    assert distance.min() > 100e-9


def test_turning_about_the_beam_turns_the_pattern():
    """A frame of the turned particle is the turned frame: quarter turns are exact on the pixel grid."""
    recipe = make_recipe("clusters", SMALL, 3)
    scene = next(s for s in recipe.scenes(0) if s.name == "cube")
    turn = from_axis_angle(torch.tensor([0.0, 0, 1], dtype=torch.float64), torch.tensor(np.pi / 2))
    q = multiply(turn, torch.tensor(scene.particles[0].quaternion_wxyz, dtype=torch.float64))
    turned = replace(scene, particles=(replace(scene.particles[0], quaternion_wxyz=tuple(q.tolist())),))
    one, two = recipe.intensities([scene, turned]).numpy()
    assert two == pytest.approx(np.rot90(one, -1), rel=2e-2, abs=1e-3 * float(one.max()))


@pytest.mark.parametrize(
    ("recipe", "options", "says"),
    [
        ("clusters", {"max_radius_nm": 5000}, "largest particle"),
        ("clusters", {"mixture": {"banana": 1.0}}, "unknown class 'banana'"),
        ("clusters", {"mixture": {"cube": 0.0}}, "all shares are 0"),
        ("clusters", {"blank_fraction": 1.5}, "blank_fraction"),
        ("clusters", {"views_per_particle": 3}, "divide"),
        ("clusters", {"colour": "red"}, "unknown"),
        ("icosahedra", {"augment": "sharpen"}, "augment"),
        ("droplets", {"beta": -1}, "beta"),
        ("spi", {"virus_spread": 2}, "virus_spread"),
        ("nebulae", {}, "recipes are"),
    ],
)
def test_impossible_options_are_refused(recipe, options, says):
    with pytest.raises(InputError, match=says):
        make_recipe(recipe, options, 0)


def test_every_recipe_says_what_it_is():
    for name in RECIPES:
        cls = recipe_class(name)
        assert name == cls.NAME and cls.SUMMARY and "\n" not in cls.SUMMARY
