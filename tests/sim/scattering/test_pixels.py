import math

import numpy as np
import pytest
import torch

from sim.scattering import detector_geometry, pixel_q_inv_m, polarisation, solid_angle_sr
from sim.scattering.pixels import cos_two_theta
from sorter.core.errors import InputError
from sorter.core.geometry import Geometry, q_inv_nm, two_theta_rad


def test_edge_stands_where_asked():
    geometry = detector_geometry((64, 64), edge_two_theta_rad=math.radians(30))
    half_side = 32 * geometry.pixel_size_m
    assert math.atan(half_side / geometry.distance_m) == pytest.approx(math.radians(30))


def test_q_lies_on_the_ewald_sphere():
    geometry = detector_geometry((32, 48), edge_two_theta_rad=1.0, beam_center_px=(10.3, 20.7))
    q = torch.stack(pixel_q_inv_m(geometry))
    k = 2 * math.pi / geometry.wavelength_m
    torch.testing.assert_close((q[0] ** 2 + q[1] ** 2 + (q[2] + k) ** 2).sqrt(), torch.full((32, 48), k).double())
    np.testing.assert_allclose(q.norm(dim=0) * 1e-9, q_inv_nm(geometry))
    assert float(q[0][:, 21:].min()) > 0 > float(q[0][:, :20].max())
    assert float(q[1][11:].min()) > 0


def test_q_is_zero_at_the_beam_centre():
    geometry = detector_geometry((9, 9))
    assert float(torch.stack(pixel_q_inv_m(geometry))[:, 4, 4].abs().max()) == 0


def test_solid_angles_of_a_wide_detector_add_up():
    geometry = detector_geometry((400, 400), edge_two_theta_rad=math.radians(60))
    a = math.tan(math.radians(60))
    exact = 4 * math.asin(a * a / (1 + a * a))  # of a square seen from above its middle
    assert float(solid_angle_sr(geometry).sum()) == pytest.approx(exact, rel=1e-4)


def test_polarisation_is_the_mean_of_both_directions_for_unpolarised_light():
    geometry = detector_geometry((16, 16), edge_two_theta_rad=1.0)
    mean = (polarisation(geometry, "x") + polarisation(geometry, "y")) / 2
    torch.testing.assert_close(polarisation(geometry, "none"), mean)
    torch.testing.assert_close(mean, (1 + cos_two_theta(geometry) ** 2) / 2)
    # Along x the light's own direction, nothing is scattered sideways.
    row = polarisation(detector_geometry((17, 17), edge_two_theta_rad=1.2), "x")[8]
    assert float(row[0]) == pytest.approx(
        math.cos(two_theta_rad(detector_geometry((17, 17), edge_two_theta_rad=1.2))[8, 0]) ** 2
    )


@pytest.mark.parametrize("call", [
    lambda: detector_geometry(edge_two_theta_rad=1.6),
    lambda: polarisation(detector_geometry(), "z"),
    lambda: pixel_q_inv_m(Geometry((4, 4))),
])  # fmt: skip
def test_impossible_detectors(call):
    with pytest.raises(InputError):
        call()
