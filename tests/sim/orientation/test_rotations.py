import numpy as np
import pytest
import torch

from sim import orientation as o


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def test_matrix_agrees_with_axis_and_angle(rng):
    axis = torch.from_numpy(rng.standard_normal((20, 3)))
    angle = torch.from_numpy(rng.uniform(0, np.pi, 20))
    matrix = o.rotation_matrix(o.from_axis_angle(axis, angle))
    unit = axis / axis.norm(dim=1, keepdim=True)
    torch.testing.assert_close((matrix @ unit[..., None])[..., 0], unit)
    torch.testing.assert_close(matrix.diagonal(dim1=1, dim2=2).sum(1), 1 + 2 * torch.cos(angle))
    torch.testing.assert_close(torch.linalg.det(matrix), torch.ones(20).double())


def test_quarter_turn_about_z_takes_x_to_y():
    q = o.from_axis_angle(torch.tensor([0.0, 0, 1]).double(), np.pi / 2)
    torch.testing.assert_close(o.rotate(q, torch.tensor([1.0, 0, 0]).double()), torch.tensor([0.0, 1, 0]).double())


def test_product_is_the_right_factor_first(rng):
    q, p = o.random_quaternions(8, rng), o.random_quaternions(8, rng)
    torch.testing.assert_close(o.rotation_matrix(o.multiply(q, p)), o.rotation_matrix(q) @ o.rotation_matrix(p))


def test_conjugate_is_the_inverse(rng):
    q = o.random_quaternions(8, rng)
    torch.testing.assert_close(o.multiply(q, o.conjugate(q)), torch.tensor([1.0, 0, 0, 0]).double().expand(8, 4))


def test_angle_between_is_symmetric_and_blind_to_the_sign(rng):
    q, p = o.random_quaternions(50, rng), o.random_quaternions(50, rng)
    angle = o.angle_between_rad(q, p)
    torch.testing.assert_close(angle, o.angle_between_rad(p, -q))
    trace = (o.rotation_matrix(q).mT @ o.rotation_matrix(p)).diagonal(dim1=1, dim2=2).sum(1)
    torch.testing.assert_close(angle, torch.acos(((trace - 1) / 2).clamp(-1, 1)))


def test_random_rotations_are_uniform(rng):
    q = o.random_quaternions(20_000, rng)
    # Of uniform rotations the angle has the density (1 - cos a) / pi, and any turned axis is uniform on the sphere.
    angle = 2 * torch.acos(q[:, 0].clamp(0, 1))
    cumulative = (angle - torch.sin(angle)) / np.pi
    assert np.abs(np.sort(cumulative) - (np.arange(20_000) + 0.5) / 20_000).max() < 0.015
    tip = o.rotate(q, torch.tensor([0.0, 0, 1]).double())
    assert tip.mean(0).abs().max() < 0.02
    assert (tip.T @ tip / len(tip) - torch.eye(3) / 3).abs().max() < 0.01


def test_random_rotations_repeat_with_the_seed():
    first = o.random_quaternions(4, np.random.default_rng(3))
    assert torch.equal(first, o.random_quaternions(4, np.random.default_rng(3)))
