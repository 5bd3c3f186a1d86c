import math

import numpy as np
import pytest
import torch

from sim.particles import library
from sim.scattering import formfactors
from sorter.core.errors import InputError


@pytest.fixture
def q():
    rng = np.random.default_rng(0)
    some = torch.from_numpy(rng.standard_normal((7, 3)) * 4)
    some[0] = 0
    some[1] = torch.tensor([0.0, 0, 5])  # along a face's normal of the cube and prism
    some[2] = torch.tensor([3.0, 3, 3])  # and of the octahedron
    some[3] = torch.tensor([1e-6, 0, 2e-6])
    return some


def summed(shape, q, scale=(1.0, 1.0, 1.0)):
    """Naive sum over random points."""
    points = torch.from_numpy(np.random.default_rng(1).uniform(-1, 1, (400_000, 3)))
    points = points[shape.contains(points) >= 0] * torch.tensor(scale, dtype=torch.float64)
    return torch.stack([torch.exp(-1j * (points @ v)).sum() for v in q]) * 8 / 400_000 * math.prod(scale)


@pytest.mark.parametrize("name", ["cube", "tetrahedron", "icosahedron", "octahedron", "prism", "random_facets"])
def test_polyhedra(name, q):
    shape = library.make(name, np.random.default_rng(2))
    torch.testing.assert_close(formfactors.polyhedron(q, shape), summed(shape, q), atol=0.02, rtol=0)


def test_polyhedron_has_no_seam_where_the_limits_take_over():
    shape = library.make("icosahedron")
    normal = shape.normals[0, 0]
    across = torch.linalg.cross(normal, torch.tensor([1.0, 0, 0]).double())
    near = torch.stack([4 * normal + t * across for t in (0.9e-4, 1.2e-4)])
    values = formfactors.polyhedron(near, shape)
    assert abs(values[0] - values[1]) < 1e-6
    small = formfactors.polyhedron(torch.stack([0.9e-4 * normal, 1.2e-4 * normal]), shape)
    assert abs(small[0] - small[1]) < 1e-6


def test_cube_is_a_product_of_sincs(q):
    side = 2 / 3**0.5
    exact = side**3 * torch.sinc(q * side / (2 * math.pi)).prod(-1)
    torch.testing.assert_close(formfactors.polyhedron(q, library.make("cube")), exact + 0j, atol=1e-7, rtol=0)


def test_round_bodies(q):
    ball, tube = library.make("sphere"), library.make("cylinder", aspect=2)
    torch.testing.assert_close(formfactors.sphere(q, 1.0) + 0j, summed(ball, q), atol=0.03, rtol=0)
    torch.testing.assert_close(
        formfactors.ellipsoid(q, (0.5, 0.8, 1.2)) + 0j, summed(ball, q, (0.5, 0.8, 1.2)), atol=0.03, rtol=0
    )
    radius = 1 / 5**0.5
    torch.testing.assert_close(formfactors.cylinder(q, radius, 4 * radius) + 0j, summed(tube, q), atol=0.02, rtol=0)


def test_sphere_is_smooth_at_its_series():
    q = torch.tensor([[0.0099999, 0, 0], [0.0100001, 0, 0]]).double()
    a, b = formfactors.sphere(q, 1.0)
    assert abs(float(a - b)) < 1e-8


def test_shift_theorem(q):
    from sim.particles.shape import transformed

    cube = library.make("cube")
    moved = transformed(cube, shift=(0.1, -0.2, 0.05))
    phase = torch.exp(-1j * (q @ torch.tensor([0.1, -0.2, 0.05]).double()))
    torch.testing.assert_close(
        formfactors.polyhedron(q, moved), formfactors.polyhedron(q, cube) * phase, atol=1e-6, rtol=0
    )


def test_only_polyhedra_have_the_closed_form(q):
    with pytest.raises(InputError, match="polyhedra"):
        formfactors.polyhedron(q, library.make("sphere"))
