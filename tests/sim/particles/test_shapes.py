import math

import numpy as np
import pytest
import torch

from sim.orientation import from_axis_angle
from sim.particles import layered, library, union
from sim.particles.curved import frustum, sphere
from sim.particles.polyhedra import marks_decahedron
from sim.particles.shape import part, polyhedron, transformed, vertices_of
from sorter.core.errors import InputError

BALL = 4 * math.pi / 3
# Volumes of bodies of circumscribed radius 1.
VOLUMES = {
    "tetrahedron": 8 * 3**0.5 / 27,
    "cube": 8 / 3**1.5,
    "octahedron": 4 / 3,
    "dodecahedron": (15 + 7 * 5**0.5) / 4 * (4 / (3**0.5 * (1 + 5**0.5))) ** 3,
    "icosahedron": 5 * (3 + 5**0.5) / 12 * (4 / (10 + 2 * 5**0.5) ** 0.5) ** 3,
    "cuboctahedron": 5 * 2**0.5 / 3,
    "truncated_octahedron": 8 * 2**0.5 * (2 / 10**0.5) ** 3,
    "rhombic_dodecahedron": 2.0,
    "sphere": BALL,
    "cylinder": 2 * math.pi * 2 / 5**1.5,
    "rod": math.pi * 0.4**2 * 1.2 + BALL * 0.4**3,
    "dimer": 2 * BALL / 8,
    "core_shell": BALL,
    "spinning_droplet": BALL * 0.6,
}
CORNERS = {"tetrahedron": 4, "cube": 8, "octahedron": 6, "dodecahedron": 20, "icosahedron": 12, "cuboctahedron": 12,
           "truncated_octahedron": 24, "rhombic_dodecahedron": 14}  # fmt: skip


@pytest.fixture
def points():
    return torch.from_numpy(np.random.default_rng(2).uniform(-1, 1, (60_000, 3)))


def volume(shape, points):
    return 8 * float((shape.contains(points) >= 0).double().mean())


@pytest.mark.parametrize("name", library.NAMES)
def test_every_shape_fits_its_sphere_and_reaches_it(name, points):
    shape = library.make(name, np.random.default_rng(1))
    assert int(shape.contains(1.05 * points)[(1.05 * points).norm(dim=1) > shape.extent + 1e-9].max()) == -1
    outermost = points[shape.contains(points) >= 0].norm(dim=1).max()
    assert shape.extent == pytest.approx(1, abs=0.001)
    assert outermost > 0.93


@pytest.mark.parametrize("name", VOLUMES)
def test_volume(name, points):
    assert volume(library.make(name), points) == pytest.approx(VOLUMES[name], abs=0.08)


@pytest.mark.parametrize("name", CORNERS)
def test_corners_lie_on_the_sphere(name):
    shape = library.make(name)
    corners = vertices_of(shape.normals[0], shape.offsets[0])
    assert len(corners) == CORNERS[name]
    if name != "rhombic_dodecahedron":
        np.testing.assert_allclose(np.linalg.norm(corners, axis=1), 1)


def test_decahedron_has_notches_on_its_twin_planes(points):
    shape = marks_decahedron(notch=0.8)
    angle = torch.atan2(points[:, 1], points[:, 0])
    inside = (shape.contains(points) >= 0) & (points[:, 2].abs() < 0.1)
    radius = points[:, :2].norm(dim=1)
    turn = 2 * math.pi / 5
    from_side = ((angle + turn / 2) % turn - turn / 2).abs()
    at_side, at_twin, at_edge = (from_side < 0.05), (from_side > turn / 2 - 0.05), (from_side - 0.256).abs() < 0.03
    assert radius[inside & at_twin].max() < radius[inside & at_side].max() < radius[inside & at_edge].max()


def test_torus_has_a_hole_and_a_bent_rod_an_inside(points):
    torus = library.make("torus", thickness=0.4)
    assert int(torus.contains(torch.zeros(1, 3))) == -1
    assert int(torus.contains(torch.tensor([[1 / 1.4, 0, 0]]))) == 0
    rod = library.make("bent_rod", bend_rad=2.0)
    assert 0.05 < volume(rod, points) / BALL < 0.3


@pytest.mark.parametrize("stretch, lobes", [(1.2, 1), (1.6, 1), (2.4, 2)])
def test_spinning_droplet_pinches_when_stretched(stretch, lobes):
    shape = library.make("spinning_droplet", stretch=stretch)
    z = torch.linspace(-0.99, 0.99, 199).double()
    r = torch.linspace(0, 1, 400).double()
    grid = torch.stack(torch.broadcast_tensors(r, torch.zeros(1).double(), z[:, None]), -1)
    radius = (shape.contains(grid.reshape(-1, 3)).reshape(199, 400) >= 0).sum(1) / 400
    widest = float(radius.max())
    assert (float(radius[99]) < widest - 0.01) == (lobes == 2)
    assert 1 / widest == pytest.approx(stretch, rel=0.02)


def test_layers_are_painted_in_order():
    shape = library.make("virus", shell=0.2, core=0.3)
    at = torch.tensor([[0.0, 0, 0], [0.5, 0, 0], [0.77, 0, 0], [1.2, 0, 0]])
    assert shape.contains(at).tolist() == [2, 1, 0, -1]
    assert shape.n_layers == 3


def test_aggregate_holds_together_without_overlap():
    shape = library.make("aggregate", np.random.default_rng(4), count=7)
    centres = -torch.linalg.solve(shape.quadrics[:, :3, :3], shape.quadrics[:, :3, 3])
    curve = shape.quadrics[:, 0, 0]
    radii = ((centres**2).sum(1) - shape.quadrics[:, 3, 3] / curve).sqrt()
    gap = torch.cdist(centres, centres) - radii[:, None] - radii + torch.eye(7) * 9
    assert gap.min() > -1e-9
    assert (gap.amin(1) < 1e-9).all()


def test_moving_scaling_and_turning(points):
    shape = library.make("cylinder")
    q = from_axis_angle(torch.tensor([1.0, 0, 0]).double(), 0.7)
    moved = transformed(shape, q, shift=(0.2, 0.1, -0.1), scale=0.5)
    rotation = torch.tensor([[1, 0, 0], [0, math.cos(0.7), -math.sin(0.7)], [0, math.sin(0.7), math.cos(0.7)]]).double()
    there = 0.5 * points @ rotation.T + torch.tensor([0.2, 0.1, -0.1])
    assert torch.equal(moved.contains(there), shape.contains(points))


def test_union_and_layers_of_parts(points):
    two = union(
        transformed(sphere(), scale=0.6, shift=(0, 0, 0.3)), transformed(sphere(), scale=0.6, shift=(0, 0, -0.3))
    )
    both = layered(two, transformed(sphere(), scale=0.2))
    assert set(both.contains(points).tolist()) == {-1, 0, 1}
    assert torch.equal(both.contains(points) >= 0, two.contains(points) >= 0)


def test_cone_means_one_nappe(points):
    cone = frustum(0.0, 0.0, 1.0, 0.8)
    assert int(cone.contains(points)[points[:, 2] < 0].max()) == -1
    assert volume(cone, points) == pytest.approx(math.pi * 0.64 / 3, abs=0.05)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: polyhedron("open", np.eye(3), np.ones(3)), "unbounded"),
        (lambda: polyhedron("nothing", [[1, 0, 0], [-1, 0, 0]], [-1, -1]), "enclose nothing"),
        (lambda: polyhedron("turned", np.vstack([np.eye(3), -np.eye(3)]), [1, 1, 1, -1, -1, -1]), "enclose nothing"),
        (lambda: polyhedron("blank", np.vstack([np.eye(3), -np.eye(3)]), [np.nan] * 6), "finite"),
        (lambda: polyhedron("no face", np.vstack([np.eye(3), np.zeros((1, 3)), -np.eye(3)]), np.ones(7)), "not 0"),
        (lambda: polyhedron("few", np.eye(3), np.ones(2)), "needs normals"),
        (lambda: part("bad", [[float("nan"), 0, 0]], [1]), "finite"),
        (lambda: library.make("icosaeder"), "not known"),
        (lambda: library.make("rod", bend=3), "option 'bend'"),
        (lambda: library.make("aggregate"), "random"),
        (lambda: library.make("rod", aspect=0.5), "aspect"),
        (lambda: library.make("prism", sides=2), "sides"),
        (lambda: library.make("torus", thickness=1.5), "thickness"),
        (lambda: library.make("bubble", size=0.8, shift=0.5), "does not fit"),
        (lambda: library.make("virus", core=0.9), "core"),
        (lambda: library.make("spinning_droplet", stretch=9), "stretch"),
        (lambda: library.make("bent_rod", aspect=1.5, bend_rad=3), "close on itself"),
        (lambda: library.make("marks_decahedron", height=0.1), "height"),
        (lambda: library.make("truncated_octahedron", truncation=0.7), "truncation"),
        (lambda: library.make("ellipsoid", x=-1), "semi-axes"),
    ],
)
def test_impossible_shapes(call, message):
    with pytest.raises(InputError, match=message):
        call()
