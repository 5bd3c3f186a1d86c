"""The nouns of the core: ids, geometry, hits, configs, seeds."""

from itertools import pairwise

import numpy as np
import pytest

from sorter.core.config import config_from_dict, config_to_dict
from sorter.core.errors import InputError
from sorter.core.frames import ArrayFrameStore, FrameStore, find_rows, regroup
from sorter.core.geometry import Geometry, azimuth_rad, q_inv_nm, radius_px, two_theta_rad
from sorter.core.hits import Hits
from sorter.core.identity import frame_ids, rows_of
from sorter.core.seeds import child_rng, child_seed
from sorter.stages.ingest import IngestConfig

GEOMETRY = Geometry((40, 50), 1e-4, 0.05, 1e-9, (18.5, 20.25), beam_center_source="file")


def test_frame_ids_are_stable_63_bit_and_different():
    ids = frame_ids("run.h5", "/data", np.arange(200_000))
    assert ids.dtype == np.uint64 and ids.max() < 2**63 and len(np.unique(ids)) == 200_000
    assert ids[:2].tolist() == frame_ids("run.h5", "/data", np.array([0, 1])).tolist()
    np.testing.assert_array_equal(ids[5:9], frame_ids("run.h5", "/data", np.arange(5, 9)))
    others = [frame_ids("run2.h5", "/data", np.arange(9)), frame_ids("run.h5", "/dat", np.arange(9))]
    assert not np.isin(others, ids).any()


def test_rows_of_against_a_dictionary():
    rng = np.random.default_rng(0)
    ids = rng.permutation(1000).astype(np.uint64)
    wanted = rng.integers(0, 1200, 300).astype(np.uint64)
    places = {int(v): k for k, v in enumerate(ids)}
    assert rows_of(ids, wanted).tolist() == [places.get(int(w), -1) for w in wanted]
    assert rows_of(ids[:0], wanted[:2]).tolist() == [-1, -1]
    with pytest.raises(InputError, match="not in this store"):
        find_rows(ids, np.array([5000], np.uint64))


def test_q_follows_from_the_scattering_angle():
    q, two_theta = q_inv_nm(GEOMETRY), two_theta_rad(GEOMETRY)
    np.testing.assert_allclose(q, 4 * np.pi / 1.0 * np.sin(two_theta / 2), rtol=1e-12)
    np.testing.assert_allclose(np.tan(two_theta) * 0.05, radius_px(GEOMETRY) * 1e-4, rtol=1e-12)
    center = Geometry((41, 51), 1e-4, 0.05, 1e-9, (20, 25))
    assert (
        q_inv_nm(center)[20, 25] == 0 and azimuth_rad(center)[20, 30] == 0 and azimuth_rad(center)[30, 25] == np.pi / 2
    )


def test_geometry_keeps_its_values_and_refuses_nonsense():
    assert Geometry.from_dict(GEOMETRY.to_dict()) == GEOMETRY and GEOMETRY.has_q
    assert not Geometry((4, 4)).has_q and Geometry((4, 5)).center_px() == (1.5, 2.0)
    assert GEOMETRY.binned(1) is GEOMETRY and GEOMETRY.binned(4).shape_px == (10, 12)
    for values in ({"pixel_size_m": -1.0}, {"distance_m": np.nan}, {"beam_center_px": (np.inf, 0)}):
        with pytest.raises(InputError, match="geometry"):
            Geometry((4, 4), **values)
    with pytest.raises(InputError, match="not known; give"):
        q_inv_nm(Geometry((4, 4)))


def test_array_store_is_a_frame_store():
    frames = np.arange(5 * 6).reshape(5, 2, 3)
    store = ArrayFrameStore(frames, columns={"t": np.arange(5)})
    assert isinstance(store, FrameStore)
    some = store.select(np.array([3, 1], np.uint64))
    assert some.columns["t"].tolist() == [3, 1] and (some.read(np.array([1], np.uint64))[0] == frames[1]).all()
    assert [len(ids) for ids, _ in store.chunks(2)] == [2, 2, 1]
    for bad in ({"frame_ids": np.zeros(5, np.uint64)}, {"bad_pixels": np.zeros((3, 3), bool)}):
        with pytest.raises(InputError):
            ArrayFrameStore(frames, **bad)
    with pytest.raises(InputError, match="three axes"):
        ArrayFrameStore(frames[0])


def test_hits_need_a_row_per_frame():
    ids = np.arange(3, dtype=np.uint64)
    hits = Hits(ids, np.zeros(3), np.zeros(3, np.float32), np.array([True, False, True]), 0.0)
    assert hits.hit_ids.tolist() == [0, 2]
    with pytest.raises(InputError, match="photons has 2 rows"):
        Hits(ids, np.zeros(2), np.zeros(3, np.float32), np.ones(3, bool), 0.0)


def test_config_round_trip_and_unknown_option():
    config = IngestConfig(center_px=(3, 4), bin=2)
    assert config_from_dict(IngestConfig, config_to_dict(config)) == config
    with pytest.raises(InputError, match="unknown option banana; known are"):
        config_from_dict(IngestConfig, {"banana": 1})


def test_child_seeds_depend_on_root_and_name_only():
    assert child_seed(1, "a") == child_seed(1, "a") != child_seed(2, "a") != child_seed(1, "b")
    assert child_rng(1, "a").random() == child_rng(1, "a").random()


@pytest.mark.parametrize("n", [1, 3, 7, 50])
def test_regrouping_keeps_rows_and_order(n):
    cuts = [0, 4, 4, 5, 17, 20]
    ids = np.arange(20, dtype=np.uint64)
    found = list(regroup(((ids[a:b], ids[a:b] * 2) for a, b in pairwise(cuts)), n))
    assert [len(i) for i, _ in found] == [n] * (20 // n) + [20 % n] * (20 % n > 0)
    assert np.array_equal(np.concatenate([i for i, _ in found]), ids)
    assert np.array_equal(np.concatenate([v for _, v in found]), ids * 2)
