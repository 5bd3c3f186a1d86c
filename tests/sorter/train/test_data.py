"""Batches: every frame once a pass, the same however a step is reached."""

import numpy as np
import pytest
import torch

from sorter.core.frames import ArrayFrameStore
from sorter.core.geometry import Geometry
from sorter.preprocess.polar import PolarMap, choose_grid
from sorter.train.data import CountBatches, CountSource, balanced_chances

GEOMETRY = Geometry((16, 16), beam_center_px=(7.5, 7.5))


def make_source(n: int, memory_mb: float) -> CountSource:
    """Frame i holds i + 1 photons in one good pixel, so a batch tells which frames it has."""
    frames = np.zeros((n, 16, 16), np.uint16)
    frames[:, 4, 4] = np.arange(n) + 1
    store = ArrayFrameStore(frames, geometry=GEOMETRY)
    grid = choose_grid(GEOMETRY, store.bad_pixels, 4, 8)
    return CountSource(store, PolarMap.of_store(store, grid), memory_mb)


def frames_of(batches: list[torch.Tensor]) -> list[int]:
    return [int(v) - 1 for batch in batches for v in batch.sum(1)]


@pytest.mark.parametrize("memory_mb", [100.0, 0.0])
def test_one_pass_sees_every_frame_once(memory_mb: float) -> None:
    source = make_source(96, memory_mb)
    assert (source.cached is None) == (memory_mb == 0)
    batches = list(CountBatches(source, 16, 0, 0, 6, block=8, blocks_per_group=4))
    assert sorted(frames_of(batches)) == list(range(96))
    assert frames_of(batches) != list(range(96))
    following = list(CountBatches(source, 16, 0, 6, 6, block=8, blocks_per_group=4))
    assert sorted(frames_of(following)) == list(range(96)) and frames_of(following) != frames_of(batches)


@pytest.mark.parametrize("memory_mb", [100.0, 0.0])
def test_a_step_is_the_same_however_it_is_reached(memory_mb: float) -> None:
    source = make_source(90, memory_mb)
    straight = list(CountBatches(source, 16, 3, 0, 20, block=8, blocks_per_group=3))
    in_parts = [b for first in (0, 7, 14) for b in CountBatches(source, 16, 3, first, min(7, 20 - first), 8, 3)]
    assert frames_of(straight) == frames_of(in_parts)


def test_batches_are_full_even_where_the_last_block_is_short() -> None:
    source = make_source(50, 0.0)
    assert {len(b) for b in CountBatches(source, 20, 0, 0, 15, block=16, blocks_per_group=2)} == {20}


def test_processes_share_each_batch() -> None:
    source = make_source(96, 100.0)
    whole = list(CountBatches(source, 16, 2, 5, 3))
    shares = [list(CountBatches(source, 16, 2, 5, 3, share=(rank, 2))) for rank in (0, 1)]
    for batch, first, second in zip(whole, *shares):
        assert len(first) == len(second) == 8
        assert sorted(frames_of([first, second])) == sorted(frames_of([batch]))


def test_groups_are_drawn_alike_but_no_frame_too_often() -> None:
    groups = np.repeat([0, 1, 2], [700, 280, 20])
    chances = balanced_chances(groups)
    shares = np.bincount(groups, chances)
    assert chances.sum() == pytest.approx(1) and shares[0] == pytest.approx(shares[1])
    assert chances.max() <= 10.0 / 1000 / 0.8 and shares[2] > 0.15, "twenty frames are not a third of all draws"
    np.testing.assert_allclose(balanced_chances(np.zeros(5)), 0.2)


@pytest.mark.parametrize("memory_mb", [100.0, 0.0])
def test_frames_are_drawn_by_their_chances(memory_mb: float) -> None:
    source = make_source(400, memory_mb)
    rare = np.arange(400) % 10 == 0
    batches = list(CountBatches(source, 50, 0, 0, 80, block=40, blocks_per_group=5, chances=balanced_chances(rare)))
    seen = np.array(frames_of(batches))
    assert 0.45 < rare[seen].mean() < 0.55 and len(np.unique(seen)) > 380
