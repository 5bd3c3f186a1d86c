"""Polar maps: whole counts, masks, naive reference, way back."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from sorter.core.errors import InputError
from sorter.core.frames import ArrayFrameStore
from sorter.core.geometry import Geometry, azimuth_rad, radius_px
from sorter.preprocess.polar import PolarGrid, PolarMap, choose_grid, to_cartesian

SHAPE = (48, 40)
GEOMETRY = Geometry(SHAPE, beam_center_px=(23.3, 20.6))


def mask() -> np.ndarray:
    bad = radius_px(GEOMETRY) < 3
    bad[:, 25:27] = True
    return bad


def make_map() -> PolarMap:
    bad = mask()
    return PolarMap(GEOMETRY, (~bad).astype(np.float32), choose_grid(GEOMETRY, bad, 8, 32))


def test_sums_equal_a_loop_over_pixels() -> None:
    frames = np.random.default_rng(0).poisson(3, (2, *SHAPE)).astype(np.uint16)
    polar, bad = make_map(), mask()
    grid, radius, azimuth = polar.grid, radius_px(GEOMETRY), azimuth_rad(GEOMETRY) % (2 * np.pi)
    expected = np.zeros((2, grid.n_sectors))
    for y in range(SHAPE[0]):
        for x in range(SHAPE[1]):
            ring = int(np.floor((radius[y, x] - grid.inner_px) / grid.ring_width_px))
            if bad[y, x] or not 0 <= ring < grid.n_radii:
                continue
            sectors = grid.sectors[ring]
            place = grid.sectors[:ring].sum() + int(azimuth[y, x] / (2 * np.pi) * sectors) % sectors
            expected[:, place] += frames[:, y, x]
    np.testing.assert_array_equal(polar(frames).numpy(), expected)


def test_every_good_pixel_of_the_grid_is_counted_once() -> None:
    polar = make_map()
    ones = polar(np.ones((1, *SHAPE), np.float32))[0]
    torch.testing.assert_close(ones, polar.area)


@pytest.mark.parametrize("junk", [0.0, 1e9, np.nan, np.inf])
def test_bad_pixels_reach_no_sum(junk: float) -> None:
    frames = np.random.default_rng(1).poisson(2, (3, *SHAPE)).astype(np.float32)
    spoiled = np.where(mask(), junk, frames)
    polar = make_map()
    torch.testing.assert_close(polar(spoiled), polar(frames), rtol=0, atol=0)


def test_partly_good_pixels_count_by_their_share() -> None:
    weights = np.full(SHAPE, 0.5, np.float32)
    half = PolarMap(GEOMETRY, weights, PolarGrid(8, 32, 3.0, 18.0))
    whole = PolarMap(GEOMETRY, 2 * weights, PolarGrid(8, 32, 3.0, 18.0))
    torch.testing.assert_close(half.area * 2, whole.area)


def test_good_fraction_of_a_store_is_used() -> None:
    store = ArrayFrameStore(np.zeros((1, *SHAPE)), geometry=GEOMETRY)
    store.good_fraction = np.full(SHAPE, 0.25, np.float32)
    grid = PolarGrid(8, 32, 3.0, 18.0)
    whole = PolarMap(GEOMETRY, np.ones(SHAPE, np.float32), grid)
    torch.testing.assert_close(PolarMap.of_store(store, grid).area, whole.area / 4)


def test_a_ring_shaped_frame_comes_back_from_polar() -> None:
    polar = make_map()
    frame = np.exp(-radius_px(GEOMETRY) / 8)
    picture = polar.expand(polar(frame[None]) / polar.area.clamp_min(1))[0]
    back = to_cartesian(picture, GEOMETRY, polar.grid)
    seen = np.isfinite(back) & ~mask() & (back > 0)
    assert seen.sum() > 700
    # A ring is about 2.5 pixels wide, over which the frame falls by a third.
    np.testing.assert_allclose(back[seen], frame[seen], rtol=0.3)


def test_expand_repeats_each_sector_over_the_whole_circle() -> None:
    grid = PolarGrid(6, 16, 0.0, 12.0)
    for ring, sectors in zip(grid.expand, grid.sectors):
        values, repeats = np.unique(ring, return_counts=True)
        assert len(values) == sectors and set(repeats) == {16 // sectors}


def test_a_beam_outside_the_detector_still_gives_a_grid() -> None:
    geometry = Geometry((32, 32), beam_center_px=(-20.0, 16.0))
    bad = np.zeros((32, 32), bool)
    polar = PolarMap(geometry, np.ones((32, 32), np.float32), choose_grid(geometry, bad, 8, 32))
    assert polar.grid.inner_px > 15 and 0 < float((polar.area > 0).float().mean()) < 0.5


def test_impossible_grids_are_refused() -> None:
    with pytest.raises(InputError, match="every pixel is bad"):
        choose_grid(GEOMETRY, np.ones(SHAPE, bool), 8, 32)
    with pytest.raises(InputError, match="power of two"):
        PolarGrid(8, 20, 0.0, 10.0)
    with pytest.raises(InputError, match="beam centre"):
        PolarGrid(8, 32, 10.0, 10.0)


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "u8", "f4", "f8", ">u2", "f2", "?"])
@pytest.mark.parametrize("n", [0, 1, 7, 8, 19])
def test_the_compiled_sums_equal_those_of_torch(dtype: str, n: int) -> None:
    """Whole numbers exactly; fractions are added in the same order, so they are equal too."""
    frames = np.random.default_rng(n).uniform(0, 200, (n, *SHAPE)).astype(dtype)
    polar = make_map()
    torch.testing.assert_close(polar(frames), polar(torch.from_numpy(frames.astype("f4"))), rtol=1e-6, atol=0)


def test_sums_of_a_slice_and_from_several_threads() -> None:
    frames = np.random.default_rng(2).poisson(3, (40, *SHAPE)).astype(np.uint16)
    polar = make_map()
    expected = polar(frames)
    torch.testing.assert_close(polar(frames[::2]), expected[::2], rtol=0, atol=0)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(polar, [frames] * 8):
            torch.testing.assert_close(found, expected, rtol=0, atol=0)
