import math

import numpy as np
import pytest
import torch

from sim.detector import Detector, DetectorConfig, DeviceNoise, FluenceConfig, FrameNoise, LayoutConfig, Shot, draw_shot
from sim.detector.masks import DEAD, HOT, MISSING, SHADOWED, gap_pixels
from sim.detector.noise import poisson_frame
from sim.detector.optics import blur_images, rotate_images, shift_images
from sorter.core.errors import InputError
from sorter.core.geometry import q_inv_nm, radius_px, two_theta_rad

LAYOUT = LayoutConfig(n_px=48)
GEOMETRY = LAYOUT.geometry()


class MeanNoise:
    """No noise: every draw is its mean."""

    def __init__(self, n_frames: int) -> None:
        self.n_frames = n_frames

    def poisson(self, mean):
        return mean

    def flat_poisson(self, mean, shape_px):
        return mean[:, None, None].expand(-1, *shape_px).clone()

    def normal(self, *shape):
        return torch.zeros(self.n_frames, *shape)


def mean_frames(config, intensity=None, photons=1e4):
    intensity = torch.ones(1, 48, 48) if intensity is None else intensity
    shots = [Shot(photons)] * len(intensity) if photons else [None] * len(intensity)
    return Detector(config, GEOMETRY).expose(intensity, shots, MeanNoise(len(intensity)))


def test_edge_of_the_detector_stands_at_two_theta():
    half = GEOMETRY.shape_px[0] / 2 * GEOMETRY.pixel_size_m
    assert math.degrees(math.atan(half / GEOMETRY.distance_m)) == pytest.approx(30)


def test_flat_detector_factors_are_solid_angle_and_polarisation():
    raw = DetectorConfig(solid_angle=False, polarisation="off", integer=False)
    flat = mean_frames(raw).frames[0]
    assert flat == pytest.approx(np.full((48, 48), 1e4 / 48**2))
    two_theta = two_theta_rad(GEOMETRY)
    solid = mean_frames(DetectorConfig(polarisation="off", integer=False)).frames[0]
    assert solid / solid.max() == pytest.approx(np.cos(two_theta) ** 3 / (np.cos(two_theta) ** 3).max(), rel=1e-5)
    x = mean_frames(DetectorConfig(solid_angle=False, integer=False, polarisation="x")).frames[0]
    y = mean_frames(DetectorConfig(solid_angle=False, integer=False, polarisation="y")).frames[0]
    both = mean_frames(DetectorConfig(solid_angle=False, integer=False, polarisation="unpolarised")).frames[0]
    assert np.allclose(x, y.T, rtol=1e-5)
    assert x[24, 0] < 0.8 * x[0, 24]
    ratio = both / both[24, 24]
    assert ratio == pytest.approx((1 + np.cos(two_theta) ** 2) / (1 + np.cos(two_theta[24, 24]) ** 2), rel=1e-4)


@pytest.mark.parametrize("total", [50.0, 5000.0])
def test_poisson_mean_and_variance_are_the_dose(total):
    mean = np.linspace(0, 1, 64).reshape(8, 8).astype(np.float32)
    mean *= total / mean.sum()
    rng = np.random.default_rng(0)
    drawn = np.stack([poisson_frame(rng, mean) for _ in range(4000)])
    assert drawn.mean(0) == pytest.approx(mean, abs=5 * math.sqrt(mean.max() / 4000))
    assert drawn.var(0).sum() == pytest.approx(total, rel=0.05)
    off_diagonal = np.corrcoef(drawn.reshape(4000, -1).T[1:])[np.triu_indices(63, 1)]
    assert abs(off_diagonal.mean()) < 0.01  # pixels are independent


def test_device_noise_is_reproducible_and_poisson():
    mean = torch.full((4, 32, 32), 3.0)
    one, two = (DeviceNoise(5, 4, torch.device("cpu")).poisson(mean) for _ in range(2))
    assert torch.equal(one, two)
    assert float(one.var()) == pytest.approx(3, rel=0.1)


def test_photons_are_those_of_the_particle_on_good_pixels():
    config = DetectorConfig(panels=(2, 1), gap_px=3, beam_stop_radius_px=4, background_photons=0.5)
    detector = Detector(config, GEOMETRY)
    intensity = torch.rand(6, 48, 48)
    shots = [Shot(300.0), Shot(5e4), None, Shot(1e3), Shot(1e3), None]
    exposure = detector.expose(intensity, shots, FrameNoise([np.random.default_rng(i) for i in range(6)]))
    assert exposure.photons[[2, 5]].tolist() == [0, 0]
    assert exposure.expected == pytest.approx([300, 5e4, 0, 1e3, 1e3, 0])
    assert np.all(abs(exposure.photons - exposure.expected) <= 5 * np.sqrt(exposure.expected))
    good = detector.pixels.good
    background = exposure.frames[:, good].sum(1) - exposure.photons
    assert background == pytest.approx(np.full(6, 0.5 * good.sum()), rel=0.15)
    assert not exposure.frames[:, ~good].any()
    assert exposure.frames.dtype == np.uint16 and config.unit == "photon"


def test_a_frame_depends_on_its_own_stream_only():
    config = DetectorConfig(background_photons=0.1, read_noise_adu=1.0)
    detector = Detector(config, GEOMETRY)
    intensity = torch.rand(4, 48, 48)
    shots = [Shot(1e3)] * 4
    together = detector.expose(intensity, shots, FrameNoise([np.random.default_rng(i) for i in range(4)]))
    alone = detector.expose(intensity[2:3], shots[2:3], FrameNoise([np.random.default_rng(2)]))
    assert np.array_equal(together.frames[2], alone.frames[0])


def test_gaps_beam_stop_and_defects_are_flagged_with_their_cxi_bits():
    gap = gap_pixels((48, 48), (2, 2), 4)
    assert gap[22:26].all() and gap[:, 22:26].all() and not gap[:22, :22].any()
    config = DetectorConfig(
        panels=(2, 1),
        gap_px=2,
        beam_stop_radius_px=5,
        stalk_width_px=3,
        stalk_angle_deg=90,
        hot_fraction=0.05,
        dead_fraction=0.05,
        background_photons=1.0,
    )
    pixels = Detector(config, GEOMETRY, seed=3).pixels
    assert (pixels.cxi[23:25] & MISSING).all()
    assert (pixels.cxi[radius_px(GEOMETRY) <= 5] & SHADOWED).all()
    assert pixels.cxi[47, 23] & SHADOWED and not pixels.cxi[0, 23] & SHADOWED  # the stalk points to larger rows
    for bit in (HOT, DEAD):
        assert 0.02 < ((pixels.cxi & bit) > 0).mean() < 0.08
    frame = Detector(config, GEOMETRY, seed=3).expose(
        torch.zeros(1, 48, 48), [None], FrameNoise([np.random.default_rng(0)])
    )
    assert frame.frames[0][pixels.hot].mean() == pytest.approx(31, rel=0.1)
    assert not frame.frames[0][(pixels.cxi & DEAD) > 0].any()


def test_nothing_left_to_record_is_refused():
    with pytest.raises(InputError, match="no good pixel"):
        Detector(DetectorConfig(beam_stop_radius_px=100), GEOMETRY)
    with pytest.raises(InputError, match="leave no pixel"):
        Detector(DetectorConfig(panels=(20, 1), gap_px=10), GEOMETRY)


def test_response_gain_saturation_knee_exponent_and_pedestal():
    one = torch.ones(1, 48, 48)
    flat = {"solid_angle": False, "polarisation": "off", "integer": False}
    photons = 10.0 * 48**2
    assert mean_frames(DetectorConfig(gain_adu=7, **flat), one, photons).frames == pytest.approx(70)
    assert mean_frames(DetectorConfig(saturation_adu=4, **flat), one, photons).frames == pytest.approx(4)
    assert mean_frames(DetectorConfig(response_exponent=0.5, **flat), one, photons).frames == pytest.approx(10**0.5)
    knee = mean_frames(DetectorConfig(response_knee_adu=8, **flat), one, photons).frames
    assert knee == pytest.approx(8 * (1 - math.exp(-10 / 8)))
    assert mean_frames(DetectorConfig(pedestal_adu=100, **flat), one, photons).frames == pytest.approx(110)


def test_read_noise_excess_noise_and_gain_spread_have_their_width():
    blank = torch.zeros(20, 48, 48)
    noise = [np.random.default_rng(i) for i in range(20)]
    read = Detector(DetectorConfig(read_noise_adu=3.0), GEOMETRY).expose(blank, [None] * 20, FrameNoise(noise))
    assert read.frames.dtype == np.int32 and read.frames.std() == pytest.approx(3, rel=0.03) and (read.frames < 0).any()
    config = DetectorConfig(gain_adu=10, excess_noise=0.5, solid_angle=False, polarisation="off", integer=False)
    shots = [Shot(100.0 * 48**2)] * 20
    excess = Detector(config, GEOMETRY).expose(blank + 1, shots, FrameNoise(noise))
    # variance of a sum of n = Poisson(100) gains of mean 10 and relative spread 0.5: 100 * 10^2 * (1 + 0.25)
    assert excess.frames.var() == pytest.approx(12500, rel=0.05)
    spread = Detector(DetectorConfig(gain_spread=0.1), GEOMETRY).pixels.gain
    assert spread.std() == pytest.approx(0.1, rel=0.1)


def test_background_ring_and_streak_stand_where_they_should():
    ring = mean_frames(DetectorConfig(ring_photons=5, ring_q_inv_nm=0.12, integer=False), photons=None).frames[0]
    q = q_inv_nm(GEOMETRY)
    assert abs(q.flat[ring.argmax()] - 0.12) < 0.01 and ring.max() == pytest.approx(5, rel=0.02)
    streak = mean_frames(DetectorConfig(streak_photons=2, streak_angle_deg=0, integer=False), photons=None).frames[0]
    assert streak[23:25].sum() > 20 * streak[:10].sum()
    level = Detector(DetectorConfig(background_photons=2.0, background_spread=0.5), GEOMETRY)
    noise = FrameNoise([np.random.default_rng(i) for i in range(400)])
    frames = level.expose(torch.zeros(400, 48, 48), [None] * 400, noise).frames
    per_frame = frames.mean((1, 2))
    assert per_frame.mean() == pytest.approx(2, rel=0.1) and per_frame.std() == pytest.approx(1, rel=0.25)


def test_blur_keeps_a_constant_and_widens_a_point():
    assert blur_images(torch.ones(2, 20, 20), 1.5) == pytest.approx(torch.ones(2, 20, 20))
    point = torch.zeros(1, 41, 41)
    point[0, 20, 20] = 1
    blurred = blur_images(point, 2.0)[0].numpy()
    y = np.arange(41) - 20
    assert blurred.sum() == pytest.approx(1, rel=1e-4) and (blurred.sum(1) * y**2).sum() == pytest.approx(4, rel=0.02)
    assert blur_images(point, 0.0) is point


def test_shift_and_rotation_move_the_pattern_the_right_way():
    point = torch.zeros(2, 31, 31)
    point[:, 15, 15] = 1
    moved = shift_images(point, torch.tensor([[3.0, 0.0], [0.0, -2.5]]))
    assert moved[0].argmax() == 18 * 31 + 15
    assert moved[1, 15, 12] == pytest.approx(0.5) and moved[1, 15, 13] == pytest.approx(0.5)
    image = torch.rand(1, 31, 31)
    quarter = rotate_images(image, torch.tensor([math.pi / 2]), (31, 31))
    # from +x (columns) towards +y (rows): what was at column c right of the middle comes to row c below it
    assert quarter[0, 20, 15] == pytest.approx(float(image[0, 15, 20]), abs=1e-5)
    assert quarter[0].numpy() == pytest.approx(np.rot90(image[0].numpy(), -1), abs=1e-5)


def test_pointing_jitter_is_recorded():
    config = DetectorConfig(pointing_jitter_px=2.0, solid_angle=False, polarisation="off", integer=False)
    y, x = np.mgrid[:48, :48] - 23.5
    bump = torch.from_numpy(np.exp(-(x**2 + y**2) / 50).astype(np.float32)).expand(8, -1, -1)
    exposure = Detector(config, GEOMETRY).expose(
        bump, [Shot(1e7)] * 8, FrameNoise([np.random.default_rng(i) for i in range(8)])
    )
    centre = (exposure.frames * y).sum((1, 2)) / exposure.frames.sum((1, 2))
    assert centre == pytest.approx(exposure.shift_px[:, 0], abs=0.15) and exposure.shift_px.std() > 1


def test_fluence_is_log_uniform_or_that_of_a_gaussian_beam():
    rng = np.random.default_rng(0)
    drawn = np.log10([draw_shot(FluenceConfig("log_uniform", 1e2, 1e6), rng).expected_photons for _ in range(4000)])
    assert drawn.min() >= 2 and drawn.max() <= 6 and drawn.mean() == pytest.approx(4, abs=0.1)
    beam = FluenceConfig("gaussian_beam", peak_photons_per_um2=1e10, fwhm_um=4.0, min_share=0.01)
    shots = [draw_shot(beam, rng) for _ in range(2000)]
    for shot in shots[:50]:
        assert shot.fluence_photons_per_m2 == pytest.approx(1e22 * 2 ** -((2 * shot.impact_um / 4) ** 2))
    shares = np.array([s.fluence_photons_per_m2 for s in shots]) / 1e22
    assert shares.min() >= 0.01 and np.median(shares) == pytest.approx(
        0.1, rel=0.15
    )  # r^2 uniform: the share is log-uniform


def test_gaussian_beam_photons_follow_the_cross_section():
    config = DetectorConfig(solid_angle=False, polarisation="off", integer=False)
    small, large = torch.full((1, 48, 48), 1e-18), torch.full((1, 48, 48), 4e-18)
    shot = Shot(None, fluence_photons_per_m2=1e22)
    exposures = [Detector(config, GEOMETRY).expose(i, [shot], MeanNoise(1)) for i in (small, large)]
    assert exposures[1].expected == pytest.approx(4 * exposures[0].expected)
    solid = (GEOMETRY.pixel_size_m / GEOMETRY.distance_m) ** 2 * math.cos(float(two_theta_rad(GEOMETRY).min())) ** 3
    assert exposures[0].expected[0] == pytest.approx(1e-18 * solid * 1e22 * 48**2, rel=1e-4)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: DetectorConfig(read_noise_adu=-1), "read_noise_adu"),
        (lambda: DetectorConfig(polarisation="z"), "polarisation"),
        (lambda: DetectorConfig(background_photons=math.nan), "finite"),
        (lambda: DetectorConfig(hot_fraction=0.7, dead_fraction=0.7), "at most 1"),
        (lambda: DetectorConfig(saturation_adu=0), "above 0"),
        (lambda: LayoutConfig(two_theta_edge_deg=80), "two_theta_edge_deg"),
        (lambda: LayoutConfig(n_px=2), "n_px"),
        (lambda: FluenceConfig("flat"), "kind"),
        (lambda: FluenceConfig(min_photons=10, max_photons=1), "min"),
    ],
)
def test_impossible_settings_are_refused(make, says):
    with pytest.raises(InputError, match=says):
        make()
