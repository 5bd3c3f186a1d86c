import math

import numpy as np
import pytest
import torch

from sim.orientation import conjugate, random_quaternions, rotate
from sim.particles import library, place
from sim.scattering import columns
from sim.scattering.filling import fill
from sim.scattering.grids import Box

SHAPES = ("icosahedron", "cylinder", "rod", "ellipsoid", "marks_decahedron", "spinning_droplet", "bent_rod")


def box(radius=12.0, planes=17, sub=2, pixel=1.0):
    return Box(3.6 * radius, pixel, math.ceil(radius / pixel), 4, planes, -radius, 2 * radius / (planes - 1), sub)


def filling(bodies, grid):
    return fill(bodies, grid, 1.0, torch.float64).cumsum(1)


@pytest.mark.parametrize("name", SHAPES)
def test_intervals_are_where_the_shape_is(name):
    rng = np.random.default_rng(1)
    options = {"stretch": 2.3} if name == "spinning_droplet" else {}
    shape = library.make(name, **options)
    q = random_quaternions(1, rng)
    bodies = place(shape, 1.0, 0.9, quaternion=q)
    xy = torch.from_numpy(rng.uniform(-1, 1, (300, 2)))
    found = columns.intervals(columns.parts_of(bodies, 1.0, torch.float64), xy[:, 0], xy[:, 1], 1e-6, 2.0)
    low, high, weight = columns.merge(*(v[None] for v in found))
    z = torch.linspace(-1, 1, 2001).double()
    points = torch.cat([xy[:, None].expand(-1, 2001, 2), z.expand(300, 2001)[..., None]], -1).reshape(-1, 3)
    inside = (shape.contains(rotate(conjugate(q), points)) >= 0).reshape(300, 2001)
    length = ((high - low) * weight).sum((0, 1))
    torch.testing.assert_close(length, inside.double().sum(1) / 1000, atol=0.008, rtol=0)


def test_merge_gives_the_union_of_intervals():
    rng = np.random.default_rng(2)
    low = torch.from_numpy(rng.uniform(0, 1, (40, 5, 3)))
    high = low + torch.from_numpy(rng.uniform(-0.1, 0.4, (40, 5, 3)))
    weight = (high > low).double()
    first, last, on = columns.merge(low, high, weight)
    z = torch.linspace(-0.2, 1.6, 1801).double()
    covered = ((z > low[..., None]) & (z < high[..., None])).any(1).double().sum(-1) / 1000
    torch.testing.assert_close(((last - first) * on).sum(1), covered, atol=0.006, rtol=0)


def test_soft_slices_are_the_overlap_with_a_triangle():
    grid = box(planes=9, sub=1)
    rng = np.random.default_rng(3)
    low = torch.from_numpy(rng.uniform(-12, 8, (2, 1, 1, 50)))
    high = (low + torch.from_numpy(rng.uniform(0, 9, (2, 1, 1, 50)))).clamp(max=12)
    weight = torch.from_numpy(rng.uniform(0, 1, (2, 1, 1, 50)))
    steps = columns.soft_steps(low, high, weight, torch.arange(50), 50, grid)
    planes = grid.first + grid.distance * torch.arange(9)

    def integrated(u):
        v = u.clamp(-1, 1)
        return v * (1 - v.abs() / 2)

    d = grid.distance
    naive = [weight * (integrated((high - z) / d) - integrated((low - z) / d)) for z in planes]
    expected = torch.stack([v[:, 0, 0].T for v in naive])
    torch.testing.assert_close(steps.cumsum(0), expected)


@pytest.mark.parametrize("name", ["sphere", "cube", "dimer", "torus", "virus"])
def test_filling_adds_up_to_the_volume(name):
    shape = library.make(name)
    q = random_quaternions(1, np.random.default_rng(4))
    bodies = place(shape, 11.0, [[0.9] * shape.n_layers], quaternion=q)
    grid = box(sub=3)
    points = torch.from_numpy(np.random.default_rng(5).uniform(-1, 1, (200_000, 3)))
    layers = shape.contains(points)
    for layer, amount in enumerate(filling(bodies, grid).sum((1, 2, 3, 4, 5, 6)) * grid.pixel**2 * grid.distance):
        assert float(amount) == pytest.approx(8 * 11**3 * float((layers == layer).double().mean()), rel=0.03)


def test_faces_along_the_beam_move_smoothly():
    grid = box()
    cube = library.make("cube")
    sizes = torch.linspace(9.0, 9.4, 41).double()
    bodies = place([cube] * 41, sizes, 0.9)
    volume = filling(bodies, grid).sum((0, 1, 2, 3, 4, 5)) * grid.pixel**2 * grid.distance
    exact = (2 * sizes / 3**0.5) ** 3
    assert ((volume - exact).abs() / exact).max() < 0.01
    # With hard edges the volume would stand still and then jump by a row of columns.
    assert (volume.diff() > 0).all()
    assert volume.diff().max() < 3 * volume.diff().min()


def test_filling_is_one_inside_and_zero_outside():
    grid = box(planes=25)
    full = filling(place(library.make("sphere"), 12.0, 0.9), grid)
    assert float(full.max()) == pytest.approx(1)
    assert float(full.min()) > -1e-12
    assert float(full[0, 12, 0, 0, 0, 0, 0]) == pytest.approx(1)
