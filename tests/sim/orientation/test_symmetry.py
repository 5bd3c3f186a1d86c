import math

import numpy as np
import pytest
import torch

from sim.orientation import angle_between_rad, from_axis_angle, multiply, random_quaternions, rotate, rotation_matrix
from sim.particles import library
from sim.symmetry import (
    distance_rad,
    equivalents,
    group,
    in_fundamental,
    random_in_fundamental,
    rodrigues,
    to_fundamental,
)
from sorter.core.errors import InputError

ORDERS = {"I": 60, "O": 24, "T": 12, "D5": 10, "D2": 4, "C7": 7, "C1": 1}
POLYHEDRA = [
    n for n in library.NAMES if library.make(n, np.random.default_rng(0)).symmetry in ("I", "O", "T", "D5", "D6")
]


@pytest.fixture
def rng():
    return np.random.default_rng(8)


@pytest.mark.parametrize("name", ORDERS)
def test_group_has_its_order_and_is_closed(name):
    g = group(name)
    assert g.shape == (ORDERS[name], 4)
    torch.testing.assert_close(g[0], torch.tensor([1.0, 0, 0, 0]).double())
    products = multiply(g[:, None], g).reshape(-1, 4)
    assert ((products @ g.T).abs().amax(1) > 1 - 1e-9).all()


@pytest.mark.parametrize("name", POLYHEDRA)
def test_symmetry_of_a_shape_maps_it_onto_itself(name, rng):
    shape = library.make(name)
    points = torch.from_numpy(rng.uniform(-1, 1, (2000, 3)))
    for s in group(shape.symmetry):
        assert torch.equal(shape.contains(points), shape.contains(points @ rotation_matrix(s).T))


@pytest.mark.parametrize("name", ["I", "O", "T", "D5", "C3"])
def test_equivalent_orientations_have_one_representative(name, rng):
    q = random_quaternions(20, rng)
    every = to_fundamental(equivalents(q, name), name)
    assert ((every @ every[:, :1].mT).abs() > 1 - 1e-9).all()
    assert in_fundamental(every, name).all()


def test_turning_in_the_laboratory_is_no_symmetry(rng):
    q = random_quaternions(20, rng)
    turned = multiply(group("I")[5], q)  # s q, not q s
    assert (distance_rad(q, turned, "I") > 0.05).any()


@pytest.mark.parametrize("name", ["I", "O", "D5", "C4"])
def test_distance_is_the_smallest_over_all_pairs(name, rng):
    q, p = random_quaternions(6, rng), random_quaternions(6, rng)
    pairs = angle_between_rad(equivalents(q, name)[:, :, None], equivalents(p, name)[:, None])
    torch.testing.assert_close(distance_rad(q, p, name), pairs.flatten(1).amin(1))


def test_distance_keeps_small_angles(rng):
    q = random_quaternions(5, rng)
    near = multiply(q, from_axis_angle(torch.tensor([1.0, 2, 3]).double(), 1e-7))
    torch.testing.assert_close(distance_rad(q, near, "I"), torch.full((5,), 1e-7).double(), rtol=1e-6, atol=0)


def test_icosahedral_domain_is_a_dodecahedron(rng):
    vectors = rodrigues(random_in_fundamental(5000, "I", rng))
    five_fold = torch.tensor([[0, s, t * (1 + 5**0.5) / 2] for s in (1, -1) for t in (1, -1)]).double()
    normals = torch.cat([five_fold.roll(i, 1) for i in range(3)])
    normals /= normals.norm(dim=1, keepdim=True)
    reach = (vectors @ normals.T).amax(1)
    face = math.tan(math.pi / 10)  # half of the half angle to the nearest five-fold turn, 72 degrees
    assert reach.max() <= face + 1e-9
    assert reach.max() > 0.97 * face
    # Corners of the dodecahedron: the farthest any orientation of an icosahedron is from the identity, 44.48 degrees.
    assert vectors.norm(dim=1).max() <= math.tan(math.radians(44.478) / 2) * 1.0001


def test_sampling_of_the_domain_is_uniform(rng):
    q = random_in_fundamental(20_000, "O", rng)
    # A point of the domain and its images cover all rotations evenly: the fraction near the identity is 24 times larger.
    near = 0.3
    expected = 24 * (near - math.sin(near)) / math.pi
    found = float((2 * torch.acos(q[:, 0].clamp(max=1)) < near).double().mean())
    assert abs(found - expected) < 4 * math.sqrt(expected / 20_000)


def test_bodies_of_revolution(rng):
    q = random_quaternions(30, rng)
    spun = multiply(q, from_axis_angle(torch.tensor([0.0, 0, 1]).double(), 1.3))
    flipped = multiply(q, torch.tensor([0.0, 1, 0, 0]).double())
    assert distance_rad(q, spun, "Cinf").max() < 1e-7
    assert distance_rad(q, flipped, "Dinf").max() < 1e-7
    axis = torch.tensor([0.0, 0, 1]).double()
    p = random_quaternions(30, rng)
    between = torch.acos((rotate(q, axis) * rotate(p, axis)).sum(1))
    torch.testing.assert_close(distance_rad(q, p, "Cinf"), between)
    torch.testing.assert_close(distance_rad(q, p, "Dinf"), torch.minimum(between, math.pi - between))
    best = to_fundamental(q, "Dinf")
    torch.testing.assert_close(to_fundamental(flipped, "Dinf"), best)
    assert distance_rad(q, best, "Dinf").max() < 1e-7
    assert (best[:, 0] >= math.cos(math.pi / 4) - 1e-9).all()
    assert torch.equal(to_fundamental(q, "SO3")[:, 0], torch.ones(30).double())


@pytest.mark.parametrize("name", ["Q", "D0", "Dinf", ""])
def test_unknown_group(name):
    with pytest.raises(InputError, match="symmetry"):
        group(name)
