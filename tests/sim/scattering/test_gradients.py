import math

import numpy as np
import pytest
import torch

from sim.orientation import random_quaternions
from sim.particles import library, place
from sim.scattering import detector_geometry, far_field, intensity

GEOMETRY = detector_geometry((24, 24), 13.5e-9, math.radians(30))


def value(parameters, shape, rung):
    """Mean log intensity of one body as a function of size, orientation, position and refractive index, 10 numbers."""
    size, quaternion, position = parameters[:1] * 1e-9, parameters[1:5], parameters[5:8] * 1e-9
    index = torch.complex(parameters[8], parameters[9]).reshape(1, 1)
    other = place(shape, 15e-9, 0.9 + 0.05j, position_m=torch.tensor([[90e-9, 10e-9, 0]]), frame=[0])
    body = place(shape, size, index, quaternion[None], position[None], frame=[0])
    field = far_field(body, GEOMETRY, rung, dtype=torch.complex128)
    field = field + far_field(other, GEOMETRY, rung, dtype=torch.complex128).detach()
    return intensity(field, GEOMETRY).mul(1e14).log().mean()


ALONG_BEAM = [1.0, 0.0, 0.0, 0.0]
TILTED = random_quaternions(1, np.random.default_rng(3))[0].tolist()


@pytest.mark.parametrize(
    "name, quaternion, rung",
    [
        ("icosahedron", TILTED, "multislice"),
        ("cube", ALONG_BEAM, "multislice"),  # four faces along the beam
        ("cylinder", ALONG_BEAM, "multislice"),  # and a round one
        ("dimer", TILTED, "multislice"),
        ("cube", TILTED, "sliced"),
        ("sphere", TILTED, "projection"),
    ],
)
def test_gradients_equal_finite_differences(name, quaternion, rung):
    shape = library.make(name)
    # Not quite a round number of pixels: the edges' anti-aliasing has kinks there.
    start = torch.tensor([41.37, *quaternion, 3.0, -4.0, 7.0, 0.91, 0.06], dtype=torch.float64, requires_grad=True)
    value(start, shape, rung).backward()
    step = 1e-5
    for i in range(10):
        shift = torch.zeros(10, dtype=torch.float64)
        shift[i] = step
        with torch.no_grad():
            difference = (value(start + shift, shape, rung) - value(start - shift, shape, rung)) / (2 * step)
        assert float(start.grad[i]) == pytest.approx(float(difference), rel=2e-3, abs=2e-6), f"parameter {i}"
    assert start.grad[0].abs() > 1e-4


def test_size_moves_faces_along_the_beam():
    # A cube face-on: with hard-edged columns its width would have no gradient at all.
    size = torch.tensor([[41.37, 41.37, 41.37]], dtype=torch.float64, requires_grad=True)
    body = place(library.make("cube"), size * 1e-9, 0.91 + 0.06j)
    intensity(far_field(body, GEOMETRY, "multislice", dtype=torch.complex128), GEOMETRY).mul(
        1e14
    ).log().mean().backward()
    assert (size.grad.abs() > 1e-3).all()
    assert float(size.grad[0, 0]) == pytest.approx(float(size.grad[0, 1]), rel=1e-6)
