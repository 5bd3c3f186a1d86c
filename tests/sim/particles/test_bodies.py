import numpy as np
import pytest
import torch

from sim.orientation import random_quaternions, rotate
from sim.particles import library, place
from sorter.core.errors import InputError


def placed_contains(bodies, points):
    """Which of ``points`` (K, 3), in metres about the particle, lie in the first particle."""
    mine = bodies.owner == 0
    inside = (torch.einsum("pfi,ki->pkf", bodies.normals[mine], points) <= bodies.offsets_m[mine][:, None]).all(-1)
    homogeneous = torch.cat([points, torch.ones(len(points), 1)], 1)
    value = torch.einsum("ki,pij,kj->pk", homogeneous, bodies.quadrics[mine], homogeneous)
    return (inside & ((value <= 0) | ~bodies.has_quadric[mine][:, None])).any(0)


@pytest.mark.parametrize("name", ["icosahedron", "marks_decahedron", "rod", "spinning_droplet", "cylinder"])
def test_placing_turns_and_scales_the_shape(name):
    rng = np.random.default_rng(3)
    shape = library.make(name)
    q = random_quaternions(1, rng)
    points = torch.from_numpy(rng.uniform(-1, 1, (3000, 3)))
    bodies = place(shape, 80e-9, 0.9 + 0.1j, quaternion=q)
    assert torch.equal(placed_contains(bodies, 80e-9 * rotate(q, points)), shape.contains(points) >= 0)


def test_three_sizes_stretch_along_the_body_axes():
    rng = np.random.default_rng(4)
    size = torch.tensor([[30e-9, 50e-9, 90e-9]])
    q = random_quaternions(1, rng)
    points = torch.from_numpy(rng.uniform(-1, 1, (3000, 3)))
    for name in ("sphere", "octahedron"):
        shape = library.make(name)
        bodies = place(shape, size, 0.9, quaternion=q)
        there = rotate(q, size.double() * points)
        assert torch.equal(placed_contains(bodies, there), shape.contains(points) >= 0)
        assert float(bodies.radius_m[0]) == pytest.approx(90e-9)


def test_selecting_keeps_each_particle_whole():
    shapes = [library.make(n) for n in ("cube", "rod", "dimer", "sphere")]
    bodies = place(shapes, torch.tensor([1.0, 2, 3, 4]) * 1e-8, [0.9, 0.8, 0.7, 0.6], frame=[0, 0, 1, 2], n_frames=5)
    picked = bodies.select(torch.tensor([2, 0]))
    alone = place([shapes[2], shapes[0]], torch.tensor([3.0, 1]) * 1e-8, [0.7, 0.9], frame=[1, 0], n_frames=5)
    assert picked.owner.tolist() == alone.owner.tolist() == [0, 0, 1]
    assert torch.equal(picked.quadrics, alone.quadrics)
    assert torch.equal(picked.offsets_m[-1, :6], alone.offsets_m[-1, :6])
    assert picked.frame.tolist() == [1, 0]
    assert picked.n_frames == 5


def test_indices_are_padded_for_single_materials():
    bodies = place([library.make("virus"), library.make("virus")], 1e-8, [[0.9, 0.95, 0.8], [0.9, 0.9, 0.9]])
    assert bodies.index.shape == (2, 3)
    one = place(library.make("sphere"), torch.tensor([1e-8, 2e-8]), torch.tensor([0.9 + 0j, 0.8 + 0.1j]))
    assert one.index.shape == (2, 1)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"size_m": -1e-8}, "positive"),
        ({"size_m": float("nan")}, "positive"),
        ({"index": 0.9 - 0.1j}, "absorbing"),
        ({"index": complex("nan")}, "finite"),
        ({"frame": [3], "n_frames": 2}, "frames"),
        ({"quaternion": torch.zeros(2, 3)}, "shape"),
    ],
)
def test_impossible_values(arguments, message):
    values = {"size_m": 1e-8, "index": 0.9 + 0.1j, **arguments}
    with pytest.raises(InputError, match=message):
        place(library.make("sphere"), **values)


def test_a_layered_shape_needs_all_its_materials():
    with pytest.raises(InputError, match="3 layers"):
        place([library.make("virus")] * 3, 1e-8, torch.full((3, 2), 0.9 + 0j))
