"""Properties of frames against closed forms."""

import numpy as np
import pytest

from sorter.core.frames import ArrayFrameStore
from sorter.core.geometry import Geometry, q_inv_nm
from sorter.preprocess.properties import frame_properties, fringes, property_names

GEOMETRY = Geometry((128, 128), 1e-4, 0.1, 1e-9, (63.5, 63.5))


def sphere(diameter_nm):
    """|form factor|^2 of a sphere (small angles): spacing of minima near 2 pi / diameter."""
    x = np.maximum(q_inv_nm(GEOMETRY) * diameter_nm / 2, 1e-6)
    return (3 * (np.sin(x) - x * np.cos(x)) / x**3) ** 2


@pytest.mark.parametrize("diameter_nm", [60.0, 100.0, 150.0])
def test_size_of_a_sphere(diameter_nm):
    frames = np.random.default_rng(0).poisson(sphere(diameter_nm) * 5e4 + 0.01, (6, 128, 128)).astype(np.uint16)
    store = ArrayFrameStore(frames, geometry=GEOMETRY)
    found = frame_properties(store, store.frame_ids)
    assert set(found) == set(property_names(store))
    assert np.nanmedian(found["size_nm"]) == pytest.approx(diameter_nm, rel=0.12)
    assert found["signal"] == pytest.approx(frames.sum((1, 2)))
    assert np.nanmax(found["order_2"]) < 0.06 and np.nanmin(found["fringe_depth"]) > 0.2


def test_symmetry_half_radius_and_units():
    y, x = np.mgrid[:128, :128] - 63.5
    radius, angle = np.hypot(y, x), np.arctan2(y, x)
    frames = np.stack([np.exp(-((radius / 30) ** 2)) * (1 + 0.5 * np.cos(6 * (angle - a))) for a in (0.0, 0.4)])
    store = ArrayFrameStore(frames * 1000, unit="arbitrary", geometry=Geometry((128, 128), beam_center_px=(63.5, 63.5)))
    found = frame_properties(store, store.frame_ids)
    assert found["order_6"] == pytest.approx(
        [0.25, 0.25], abs=0.02
    )  # half the amplitude; the mask of whole pixels does the rest
    assert found["order_4"] == pytest.approx([0, 0], abs=0.05)
    half = 30 * 0.4769  # of a Gaussian profile exp(-(r / 30)^2), erf(0.4769) = 0.5
    assert found["half_radius_px"] == pytest.approx([half, half], rel=0.08)
    assert np.isnan(found["fringe_spacing_px"]).all()


def test_masked_and_dark_frames_say_nothing_false():
    bad = np.zeros((128, 128), bool)
    bad[:, :64] = True
    frames = np.random.default_rng(1).poisson(sphere(100.0) * 5e4 + 0.01, (2, 128, 128)).astype(np.uint16)
    frames[1] = 0
    spoilt = np.where(bad, 60000, frames)
    found = frame_properties(ArrayFrameStore(spoilt, bad_pixels=bad, geometry=GEOMETRY), np.arange(2, dtype=np.uint64))
    assert found["size_nm"][0] == pytest.approx(100, rel=0.12)
    assert found["signal"][1] == 0 and all(np.isnan(v[1]) for k, v in found.items() if k != "signal")


def test_fringes_of_a_line():
    at = np.linspace(2.0, 12.0, 100)
    spacing, depth = fringes(at, -at + np.cos(2 * np.pi * at / 1.25))
    assert spacing == pytest.approx(1.25, rel=0.03) and depth == pytest.approx(np.sqrt(0.5), rel=0.05)
    assert fringes(at, -(at**2) / 50)[0] is None or fringes(at, -(at**2) / 50)[1] < 1e-6
