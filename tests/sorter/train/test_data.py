"""Batches: every frame once a pass, the same however a step is reached."""

import numpy as np
import pytest
import torch

from sorter.core.frames import ArrayFrameStore
from sorter.core.geometry import Geometry
from sorter.preprocess.polar import PolarMap, choose_grid
from sorter.train.data import CountBatches, CountSource

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
