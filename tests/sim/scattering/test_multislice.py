import math

import miepython
import numpy as np
import pytest
import torch

from sim.orientation import from_axis_angle, multiply, random_quaternions
from sim.particles import layered, library, place
from sim.particles.shape import transformed
from sim.scattering import FarFieldSettings, detector_geometry, far_field, intensity, polarisation
from sim.scattering import multislice as scheme
from sim.scattering.filling import fill
from sim.scattering.grids import CUT_OFF, Box
from sim.symmetry import group
from tests.sim.scattering import naive

SILVER = 0.89 + 0.09j
WAVELENGTH = 13.5e-9
ALL = torch.complex128
WIDE = detector_geometry((64, 64), WAVELENGTH, math.radians(30))


def dex(a, b):
    return float((a / b).log10().square().mean().sqrt())


def frames(bodies, geometry=WIDE, **options):
    return intensity(far_field(bodies, geometry, "multislice", **options), geometry)


def small_box():
    points, pixel, planes, radius = 40, 2 * math.pi / 3, 12, 22.0
    return Box(
        points * pixel, pixel, 11, math.ceil(CUT_OFF * points / 3), planes, -radius, 2 * radius / (planes - 1), 2
    )


def test_naive_propagation_with_whole_ffts_gives_the_same_wave():
    box = small_box()
    q = random_quaternions(1, np.random.default_rng(1))
    bodies = place(library.make("icosahedron"), 21.0, SILVER, quaternion=q)
    steps = fill(bodies, box, 1.0, torch.float64)
    tables = scheme.propagation(box, CUT_OFF, 10.0, ALL, "cpu")
    index = bodies.index.T
    response = scheme.slice_response(index[0], box, tables)[None].movedim(1, -1)
    found = scheme.exit_spectrum(steps, response, scheme.curvature(index, box), box, tables)[0] * box.width**2
    filling = steps.cumsum(1)[0, ..., 0].numpy()
    # From the layout (sign, half, sign, half) to the pixels of the whole box.
    order = np.concatenate([np.arange(11) + 20, 19 - np.arange(11)])
    whole = np.zeros((box.planes, 40, 40))
    whole[:, order[:, None], order] = filling.reshape(box.planes, 22, 22)
    expected = naive.multislice(whole, SILVER, 40, box.pixel, box.first, box.distance)
    j = np.arange(-box.band, box.band + 1)
    wave_numbers = 2 * np.pi / box.width * np.hypot(j[:, None], j)
    fade = np.cos(np.clip((wave_numbers - CUT_OFF) / 10, 0, 1) * np.pi / 2) ** 2
    np.testing.assert_allclose(found.numpy(), expected[np.ix_(j, j)] * fade, atol=1e-10 * np.abs(expected).max())


@pytest.mark.parametrize(
    "radius_m, index, wide, narrow",
    [(100e-9, SILVER, 0.03, 0.015), (40e-9, SILVER, 0.03, 0.02), (70e-9, 0.95 + 0.02j, 0.03, 0.015)],
)
def test_sphere_against_mie(radius_m, index, wide, narrow):
    geometry = detector_geometry((128, 128), WAVELENGTH, math.radians(45))
    found = frames(place(library.make("sphere"), radius_m, index), geometry)[0].double() * polarisation(
        geometry, "none"
    )
    truth = naive.mie_cross_section(geometry, index, radius_m)
    assert naive.radial_error_dex(found.numpy(), truth, geometry, 45) < wide
    assert naive.radial_error_dex(found.numpy(), truth, geometry, 30) < narrow
    # Absolute, not only in shape.
    assert abs(math.log10(float(found[62:66, 62:66].mean()) / truth[62:66, 62:66].mean())) < 0.015


@pytest.mark.parametrize("index", [SILVER, 0.95 + 0.02j])
def test_extinction_follows_from_the_forward_field(index):
    # Optical theorem: what is missing from the forward wave is what was absorbed or scattered.
    radius = 90e-9
    geometry = detector_geometry((3, 3), WAVELENGTH, 1e-3)
    forward = far_field(place(library.make("sphere"), radius, index), geometry, "multislice")[0, 1, 1]
    x = 2 * math.pi * radius / WAVELENGTH
    extinction = miepython.efficiencies_mx(complex(index.real, -index.imag), x)[0] * math.pi * radius**2
    assert -2 * float(forward.real) == pytest.approx(extinction, rel=0.02)


def power(index):
    box = small_box()
    tables = scheme.propagation(box, CUT_OFF, 10.0, ALL, "cpu")
    bodies = place(library.make("cube"), 20.0, index)
    materials = bodies.index.T
    response = scheme.slice_response(materials[0], box, tables)[None].movedim(1, -1)
    steps = fill(bodies, box, 1.0, torch.float64)
    spectrum = scheme.exit_spectrum(steps, response, scheme.curvature(materials, box), box, tables)[0]
    spectrum[box.band, box.band] += 1
    q = 2 * math.pi / box.width * torch.arange(-box.band, box.band + 1)
    kz = (1 - q[:, None] ** 2 - q**2).clamp_min(0).sqrt()
    return float((kz * spectrum.abs().square()).sum())


def test_energy_is_kept_without_absorption_and_lost_with_it():
    shadow = (40 / 3**0.5 / small_box().width) ** 2
    assert power(0.97) == pytest.approx(1, abs=0.01)
    assert power(1.0) == pytest.approx(1, abs=1e-12)
    lost = 1 - power(0.99 + 0.02j)
    path = 40 / 3**0.5
    assert lost == pytest.approx(shadow * (1 - math.exp(-2 * 0.02 * path)), rel=0.05)


def test_body_rotations_of_an_icosahedron_leave_one_pattern():
    q = random_quaternions(1, np.random.default_rng(6))
    same = multiply(q, group("I"))
    bodies = place(library.make("icosahedron"), 70e-9, SILVER, quaternion=same)
    pattern = frames(bodies, dtype=ALL)
    torch.testing.assert_close(pattern, pattern[:1].expand(60, -1, -1), rtol=1e-6, atol=0)


def test_turning_about_the_beam_turns_the_pattern():
    q = random_quaternions(1, np.random.default_rng(7))
    quarter = from_axis_angle(torch.tensor([[0.0, 0, 1]]).double(), math.pi / 2)
    bodies = place(library.make("octahedron"), 70e-9, SILVER, quaternion=torch.cat([q, multiply(quarter, q)]))
    first, second = frames(bodies, dtype=ALL)
    # x turns into y: the column index becomes the row index.
    torch.testing.assert_close(second, first.T.flip(1), rtol=1e-6, atol=0)


def test_moving_the_body_leaves_the_intensity():
    cube = library.make("cube")
    q = random_quaternions(1, np.random.default_rng(8))
    at = torch.tensor([[0.0, 0, 0], [400e-9, -250e-9, 900e-9]])
    here, there = frames(place(cube, 60e-9, SILVER, quaternion=q.expand(2, 4), position_m=at), dtype=ALL)
    torch.testing.assert_close(here, there, rtol=1e-9, atol=0)


def test_moving_the_body_within_its_box_is_the_phase_of_its_position():
    ball = library.make("sphere")
    shift = (0.11, -0.07, 0.09)
    inside = place([transformed(ball, scale=0.8, shift=shift)], 80e-9, SILVER)
    outside = place([transformed(ball, scale=0.8)], 80e-9, SILVER, position_m=80e-9 * torch.tensor([shift]))
    a, b = (far_field(v, WIDE, "multislice", dtype=ALL)[0] for v in (inside, outside))
    # Where the pixels and slices cut the surface differs.
    assert dex(a.abs(), b.abs()) < 0.02
    bright = b.abs() > 0.02 * b.abs().max()
    assert (a / b).angle()[bright].abs().max() < 0.2


def test_patterns_are_friedel_symmetric_at_small_angles_only():
    q = random_quaternions(1, np.random.default_rng(9))
    bodies = place(library.make("tetrahedron"), 60e-9, 0.999 + 0j, quaternion=q)
    near = detector_geometry((40, 40), WAVELENGTH, math.radians(2))
    frame = frames(bodies, near, dtype=ALL)[0]
    assert dex(frame, frame.flip(0, 1)) < 0.01
    frame = frames(bodies, dtype=ALL)[0]
    assert dex(frame, frame.flip(0, 1)) > 0.3


def test_friedel_symmetry_returns_with_a_two_fold_axis_along_the_beam():
    frame = frames(place(library.make("cube"), 60e-9, SILVER), dtype=ALL)[0]
    torch.testing.assert_close(frame, frame.flip(0, 1), rtol=1e-6, atol=0)


def test_layers_of_one_material_are_one_body():
    ball = library.make("sphere")
    parts = layered(ball, transformed(ball, scale=0.6))
    helium = 0.97 + 0.01j
    one = frames(place(ball, 80e-9, helium))[0]
    two = frames(place(parts, 80e-9, [[helium, helium]]))[0]
    assert dex(one, two) < 0.02
    hollow = frames(place(parts, 80e-9, [[helium, 1.0]]))[0]
    assert dex(one, hollow) > 0.1


def test_nothing_scatters_nothing():
    assert float(frames(place(library.make("cube"), 60e-9, 1.0)).max()) == 0


def test_convergence_with_finer_grids():
    q = random_quaternions(3, np.random.default_rng(10))
    bodies = place(library.make("icosahedron"), 60e-9, SILVER, quaternion=q)
    fine = frames(bodies, settings=FarFieldSettings(4.5, 1 / 4.5, 0.35, columns=4))
    usual, coarse = (
        frames(bodies, settings=s) for s in (FarFieldSettings(), FarFieldSettings(3.2, 0.5, 0.9, columns=1))
    )
    # The outer third of the detector, where the edges of the columns would show first.
    outer = torch.hypot(*torch.meshgrid(*[torch.arange(64) - 31.5] * 2, indexing="ij")) > 21
    assert dex(usual[:, outer], fine[:, outer]) < 0.08
    assert dex(usual[:, outer], fine[:, outer]) < 0.5 * dex(coarse[:, outer], fine[:, outer])


def test_single_precision_is_enough():
    q = random_quaternions(2, np.random.default_rng(11))
    bodies = place(library.make("icosahedron"), 90e-9, SILVER, quaternion=q)
    assert dex(frames(bodies).double(), frames(bodies, dtype=ALL)) < 1e-3
