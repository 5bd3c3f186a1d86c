import math

import torch

from sim.scattering import detector_geometry, pixel_q_inv_m
from sim.scattering.grids import Box, transform, unfolded
from sim.scattering.sampling import sampler

GRID = Box(60.0, 1.5, 12, 9, 11, -18.0, 3.6, 2)


def random_spectrum(batch=3):
    generator = torch.Generator().manual_seed(1)
    n = GRID.band + 1
    spectrum = torch.randn(2, n, 2, n, batch, dtype=torch.complex128, generator=generator)
    spectrum[1, 0] = 0  # q = 0 has no odd part
    spectrum[:, :, 1, 0] = 0
    return spectrum


def full_axis():
    q = GRID.wavenumbers()
    return torch.cat([-q.flip(0)[:-1], q])


def test_real_space_is_the_sum_of_plane_waves():
    spectrum = random_spectrum()
    wave = transform(GRID, torch.float64).real(spectrum)
    x, y = GRID.pixel_positions()
    q = full_axis()
    waves_y, waves_x = torch.exp(1j * y[:, None] * q), torch.exp(1j * x[:, None] * q)
    naive = torch.einsum("pa,bac,pc->pb", waves_y, unfolded(spectrum), waves_x)
    torch.testing.assert_close(wave.reshape(-1, 3), naive)


def test_spectrum_is_the_fourier_sum_over_the_pixels():
    generator = torch.Generator().manual_seed(2)
    wave = torch.randn(2, 12, 2, 12, 3, dtype=torch.complex128, generator=generator)
    found = unfolded(transform(GRID, torch.float64).spectrum(wave))
    x, y = GRID.pixel_positions()
    q = full_axis()
    scale = (GRID.pixel / GRID.width) ** 2
    waves_y, waves_x = torch.exp(-1j * y[:, None] * q), torch.exp(-1j * x[:, None] * q)
    naive = torch.einsum("pa,pb,pc->bac", waves_y + 0j, wave.reshape(-1, 3), waves_x) * scale
    torch.testing.assert_close(found, naive)


def test_parseval():
    # All of a wave's power is within the band when its spectrum is; on the pixels of a full period the sums agree.
    whole = Box(30.0, 1.5, 10, 6, 3, -15.0, 5.0, 1)
    spectrum = torch.randn(2, 7, 2, 7, 2, dtype=torch.complex128, generator=torch.Generator().manual_seed(3))
    spectrum[1, 0] = 0
    spectrum[:, :, 1, 0] = 0
    wave = transform(whole, torch.float64).real(spectrum)
    power = wave.abs().square().sum((0, 1, 2, 3)) / (2 * whole.half) ** 2
    torch.testing.assert_close(power, unfolded(spectrum).abs().square().sum((1, 2)))


def test_sampling_agrees_with_the_direct_sum_at_every_pixel():
    geometry = detector_geometry((30, 26), edge_two_theta_rad=math.radians(30), beam_center_px=(12.2, 14.9))
    k = 2 * math.pi / geometry.wavelength_m
    generator = torch.Generator().manual_seed(4)
    # A wave about the middle of the box, as bodies are.
    q = full_axis()
    places = 0.3 * GRID.width * (torch.rand(2, 5, dtype=torch.float64, generator=generator) - 0.5)
    spectrum = sum(torch.exp(-1j * (q[:, None] * y + q * x)) for y, x in places.T) * torch.exp(
        -6 * (q[:, None] ** 2 + q**2)
    )
    found = sampler(GRID, geometry, torch.float64, torch.device("cpu"))(spectrum[None])[0]
    qx, qy, _ = (v.reshape(-1) / k for v in pixel_q_inv_m(geometry))
    points = torch.linspace(-0.5, 0.5, 4001).double()[:-1] * GRID.width + GRID.width / 8000
    dx = GRID.width / 4000
    to_x = torch.exp(-1j * qx[:, None] * points) @ torch.exp(1j * points[:, None] * q) * dx
    to_y = torch.exp(-1j * qy[:, None] * points) @ torch.exp(1j * points[:, None] * q) * dx
    direct = torch.einsum("pa,ab,pb->p", to_y, spectrum, to_x).reshape(30, 26)
    assert (found - direct).abs().max() < 3e-4 * direct.abs().max()
