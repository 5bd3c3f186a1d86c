import cmath
import math

import numpy as np
import pytest
import torch

from apps.bench.straight_paths import EVERY, exact_field
from sim.orientation import random_quaternions, rotation_matrix
from sim.particles import library, place
from sim.scattering import FarFieldSettings, detector_geometry, far_field, formfactors, intensity, pixel_q_inv_m
from sim.scattering.bragg import bragg_field, displacement_phase
from sim.scattering.farfield import RUNGS
from sim.scattering.pixels import cos_two_theta
from sorter.core.errors import InputError
from sorter.core.geometry import Geometry

WIDE = detector_geometry((48, 48), 13.5e-9, math.radians(30))
WEAK = 1 - 1e-6


def mixed(count=17):
    rng = np.random.default_rng(0)
    names = ("icosahedron", "rod", "dimer", "sphere", "marks_decahedron", "core_shell")
    shapes = [library.make(names[i % len(names)]) for i in range(count)]
    index = [[0.89 + 0.09j, 0.95 + 0.01j] if i % 2 else [0.93 + 0.04j, 0.9 + 0.02j] for i in range(count)]
    return place(shapes, torch.from_numpy(rng.uniform(25e-9, 70e-9, count)), index, random_quaternions(count, rng))


CLOSED = {
    "sphere": lambda q: formfactors.sphere(q, 60e-9) + 0j,
    "ellipsoid": lambda q: formfactors.ellipsoid(q, (60e-9, 48e-9, 36e-9)) + 0j,
    "cylinder": lambda q: formfactors.cylinder(q, 60e-9 / 5**0.5, 240e-9 / 5**0.5) + 0j,
    "icosahedron": lambda q: formfactors.polyhedron(q, library.make("icosahedron"), 60e-9),
    "cube": lambda q: formfactors.polyhedron(q, library.make("cube"), 60e-9),
}


@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.parametrize("rung", ["born", "sliced", "multislice"])
def test_weak_bodies_scatter_like_their_closed_form(name, rung):
    q = random_quaternions(2, np.random.default_rng(1))
    bodies = place(library.make(name), torch.tensor([60e-9] * 2), WEAK, quaternion=q)
    settings = FarFieldSettings(columns=3)
    found = far_field(bodies, WIDE, rung, dtype=torch.complex128, settings=settings)
    in_body = torch.einsum("bij,iyx->byxj", rotation_matrix(q), torch.stack(pixel_q_inv_m(WIDE)))
    k = 2 * math.pi / WIDE.wavelength_m
    exact = 1j * k * (WEAK**2 - 1) / 2 / cos_two_theta(WIDE) * CLOSED[name](in_body)
    outer = torch.hypot(*torch.meshgrid(*[torch.arange(48) - 23.5] * 2, indexing="ij")) > 16
    for ring in (outer, ~outer):
        error = (found - exact)[:, ring].abs().square().mean() / exact[:, ring].abs().square().mean()
        assert error.sqrt() < (0.04 if ring is outer else 0.01)


@pytest.mark.parametrize("rung, error", [("projection", 0.02), ("sliced", 0.05), ("multislice", 0.1)])
def test_small_angles_see_the_projection(rung, error):
    # A thin disk; in thicker ones the wave spreads on its way, which the multislice knows.
    geometry = detector_geometry((32, 32), 13.5e-9, math.radians(3))
    bodies = place(library.make("cylinder", aspect=0.2), 80e-9, 0.98 + 0.01j)
    found = far_field(bodies, geometry, rung, dtype=torch.complex128)[0]
    k = 2 * math.pi / geometry.wavelength_m
    radius = 80e-9 / 1.04**0.5
    through = cmath.exp(1j * k * (-0.02 + 0.01j) * 0.4 * radius)
    q = torch.stack(pixel_q_inv_m(geometry), -1)
    exact = (through - 1) * formfactors.disk(q, radius) / cos_two_theta(geometry)
    assert ((found - exact).abs().square().mean() / exact.abs().square().mean()).sqrt() < error


def test_sliced_rung_against_a_naive_sum_over_voxels():
    q = random_quaternions(1, np.random.default_rng(2))
    shape, index, size = library.make("octahedron"), 0.9 + 0.08j, 50e-9
    found = far_field(place(shape, size, index, quaternion=q), WIDE, "sliced", dtype=torch.complex128)[0]
    n = 96
    axis = ((torch.arange(n).double() + 0.5) / n * 2 - 1) * 52e-9
    step = float(axis[1] - axis[0])
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    points = torch.stack([x, y, z], -1).reshape(-1, 3) @ rotation_matrix(q)[0] / size
    body = (shape.contains(points) >= 0).double().reshape(n, n, n)
    k = 2 * math.pi / WIDE.wavelength_m
    a = 1j * k * (index - 1) * step
    entered = torch.exp(a * (body.cumsum(0) - body))
    scattered = (torch.exp(a * body) - 1) * entered
    qx, qy, qz = (v[::6, ::6].reshape(-1) for v in pixel_q_inv_m(WIDE))
    to_x, to_y, to_z = (torch.exp(-1j * v[:, None] * axis) for v in (qx, qy, qz))
    slices = torch.einsum("py,zyx,px->pz", to_y, scattered, to_x)
    # Nothing between the slices: their centres stand for them.
    naive = (slices * to_z).sum(1) * step**2 / cos_two_theta(WIDE)[::6, ::6].reshape(-1)
    sampled = found[::6, ::6].reshape(-1)
    assert ((sampled - naive).abs().square().mean() / naive.abs().square().mean()).sqrt() < 0.05
    assert float((sampled.abs() / naive.abs()).log10().square().mean().sqrt()) < 0.06


@pytest.mark.parametrize("model", ["sliced", "absorption"])
def test_straight_paths_against_the_exact_sum_over_columns(model):
    """Each column has its own way in: averaging the filling of a pixel first is two to three times worse."""
    body = place(library.make("octahedron"), 60e-9, 0.89 + 0.09j, random_quaternions(1, np.random.default_rng(2)))
    exact = exact_field(body, 0.89 + 0.09j, WIDE, model, columns_per_wavelength=10)
    found = far_field(body, WIDE, model, dtype=torch.complex128)[:, ::EVERY, ::EVERY]
    assert ((found - exact).abs().square().mean() / exact.abs().square().mean()).sqrt() < 0.007
    assert float((found.abs() / exact.abs()).log10().abs().median()) < 0.004


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_a_frame_does_not_depend_on_its_company(batch):
    bodies = mixed()
    together = far_field(bodies, WIDE)
    for first in range(0, len(bodies), batch):
        some = bodies.select(torch.arange(first, min(first + batch, len(bodies))))
        apart = far_field(some, WIDE)[first : first + batch]
        # Sums of the same numbers in another order: a few units of the last place of the brightest values.
        assert (apart - together[first : first + batch]).abs().max() < 3e-6 * together[
            first : first + batch
        ].abs().max()


def test_particles_of_a_frame_are_summed_coherently():
    ball = library.make("sphere")
    at = torch.tensor([[300e-9, 0, 0], [-200e-9, 150e-9, 50e-9], [0, 0, 0]])
    sizes = torch.tensor([40e-9, 25e-9, 33e-9])
    frames = far_field(place([ball] * 3, sizes, 0.9 + 0.05j, position_m=at, frame=[1, 1, 3], n_frames=5), WIDE)
    alone = far_field(place([ball] * 3, sizes, 0.9 + 0.05j), WIDE)
    q = torch.stack(pixel_q_inv_m(WIDE), -1)
    phase = torch.exp(-1j * (q @ at.double().T)).to(torch.complex64)
    torch.testing.assert_close(frames[1], alone[0] * phase[..., 0] + alone[1] * phase[..., 1])
    torch.testing.assert_close(frames[3], alone[2])
    assert float(frames[[0, 2, 4]].abs().max()) == 0
    fringes = intensity(frames[1:2], WIDE)[0]
    assert fringes.max() > 1.5 * intensity(alone[0:1], WIDE).max()


def test_no_particles_at_all():
    nothing = place([library.make("sphere")], 1e-8, 0.9, frame=[0], n_frames=3).select(
        torch.zeros(0, dtype=torch.int64)
    )
    field = far_field(nothing, WIDE)
    assert field.shape == (3, 48, 48)
    assert float(field.abs().max()) == 0


def test_automatic_rung():
    hard = detector_geometry((32, 32), 1e-9, math.radians(3))
    particle = place(library.make("sphere"), 120e-9, 0.999 + 1e-4j)
    torch.testing.assert_close(far_field(particle, hard), far_field(particle, hard, "sliced"))
    flat = detector_geometry((32, 32), 1e-9, math.radians(0.3))
    torch.testing.assert_close(far_field(particle, flat), far_field(particle, flat, "projection"))
    torch.testing.assert_close(far_field(particle, WIDE), far_field(particle, WIDE, "multislice"))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: far_field(mixed(1), WIDE, "fast"), "rung 'fast'"),
        (lambda: far_field(mixed(1), Geometry((8, 8))), "geometry"),
        (lambda: far_field(place(library.make("sphere"), 1e-6, 0.9), WIDE), "window"),
        (
            lambda: far_field(place(library.make("sphere"), 2e-6, 0.9), detector_geometry((2048, 2048)), "multislice"),
            "limit",
        ),
        (lambda: FarFieldSettings(slice_wavelengths=1.3), "diverges"),
        (lambda: FarFieldSettings(pixel_wavelengths=0.7), "alias"),
        (lambda: FarFieldSettings(width_radii=1.5), "width_radii"),
        (lambda: bragg_field(torch.zeros(1, 4, 4, 4), torch.zeros(1, 4, 4, 5)), "Bragg"),
    ],
)
def test_impossible_requests(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_every_rung_is_finite_for_every_shape():
    rng = np.random.default_rng(5)
    shapes = [library.make(name, rng) for name in library.NAMES]
    layers = max(s.n_layers for s in shapes)
    index = torch.tensor([[0.9 + 0.05j, 0.95 + 0.02j, 0.88 + 0.06j][:layers]]).expand(len(shapes), layers)
    bodies = place(shapes, 45e-9, index, random_quaternions(len(shapes), rng))
    for rung in RUNGS:
        frames = intensity(far_field(bodies, WIDE, rung), WIDE)
        assert torch.isfinite(frames).all()
        assert (frames.amax((1, 2)) > 0).all()


def test_bragg_field_of_a_strained_crystal_against_the_naive_sum():
    rng = np.random.default_rng(6)
    density = torch.from_numpy(rng.random((1, 6, 5, 4)))
    u = torch.from_numpy(rng.standard_normal((1, 3, 6, 5, 4))) * 1e-11
    q = torch.tensor([1.0, 2.0, -1.0]) * 1e10
    phase = displacement_phase(u, q)
    torch.testing.assert_close(phase, u[:, 0] * 1e10 + u[:, 1] * 2e10 - u[:, 2] * 1e10)
    found = bragg_field(density, phase)[0]
    z, y, x = torch.meshgrid(*[torch.arange(n).double() - n // 2 for n in (6, 5, 4)], indexing="ij")
    crystal = (density * torch.exp(1j * phase))[0]
    for h, k, m in ((0, 0, 0), (3, 2, 2), (5, 1, 3)):
        angle = 2 * math.pi * ((h - 3) * z / 6 + (k - 2) * y / 5 + (m - 2) * x / 4)
        torch.testing.assert_close(found[h, k, m], (crystal * torch.exp(-1j * angle)).sum())
    # A uniform displacement changes nothing that can be measured.
    moved = bragg_field(density, phase + 0.7)[0].abs()
    torch.testing.assert_close(moved, found.abs())
