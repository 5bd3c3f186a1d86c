"""Embedding: independent of batch, order and selection; errors of the reading thread arrive."""

import time

import numpy as np
import pytest
import torch

from sorter.core.errors import InputError
from sorter.core.frames import ArrayFrameStore
from sorter.core.geometry import Geometry
from sorter.embed.encode import encode, features_encoder, side_by_side
from sorter.models.polar_model import ModelCard, PolarModel, build_network
from sorter.preprocess.polar import PolarMap, choose_grid
from tests.workfolders import bad_pixels, make_frames

NETWORK = {"n_radii": 16, "n_angles": 32, "channels": (4, 8, 8)}


def make_store(n: int = 50) -> ArrayFrameStore:
    frames = make_frames(np.arange(n) % 3, np.full(n, 2000.0), np.random.default_rng(0))
    geometry = Geometry((32, 32), beam_center_px=(15.5, 15.5))
    return ArrayFrameStore(frames, np.arange(n, dtype=np.uint64) * 7 + 1, bad_pixels(), geometry)


def make_encoders(store: ArrayFrameStore) -> list[tuple[PolarMap, object]]:
    torch.manual_seed(0)
    grid = choose_grid(store.geometry, store.bad_pixels, 16, 32)
    polar = PolarMap.of_store(store, grid)
    made: list[tuple[PolarMap, object]] = [(polar, features_encoder(grid, 0.1))]
    for kind in ("contrastive", "factorvae"):
        card = ModelCard(kind, NETWORK, grid.to_dict(), store.shape_px, "photon", 0.1, kind == "factorvae")
        made.append((polar, PolarModel(card, build_network(kind, NETWORK)).eval()))
    return made


@pytest.mark.parametrize("which", [0, 1, 2])
def test_vectors_do_not_depend_on_batch_order_or_company(which: int) -> None:
    store = make_store()
    polar, encoder = make_encoders(store)[which]
    ids, reference = encode(store, polar, encoder, batch=50)
    assert np.array_equal(ids, store.frame_ids) and np.isfinite(reference).all()
    for batch in (1, 7, 64):
        # Matrix products of another size may add up in another order: a few float32 roundings.
        np.testing.assert_allclose(encode(store, polar, encoder, batch)[1], reference, atol=2e-5, rtol=1e-4)
    shuffled = store.select(np.random.default_rng(1).permutation(store.frame_ids)[:20])
    ids, vectors = encode(shuffled, polar, encoder, batch=6)
    rows = [int(np.flatnonzero(store.frame_ids == i)[0]) for i in ids]
    np.testing.assert_allclose(vectors, reference[rows], atol=2e-5, rtol=1e-4)


def test_no_frames_give_no_rows() -> None:
    store = make_store()
    polar, encoder = make_encoders(store)[0]
    ids, vectors = encode(store.select(store.frame_ids[:0]), polar, encoder)
    assert len(ids) == 0 and vectors.shape[0] == 0


def test_an_error_of_the_reading_thread_arrives() -> None:
    store = make_store()
    polar, encoder = make_encoders(store)[0]

    class Broken(ArrayFrameStore):
        def chunks(self, n: int):  # type: ignore[no-untyped-def]
            yield self.frame_ids[:n], self.read(self.frame_ids[:n])
            raise InputError("frames 10..19 cannot be read")

    broken = Broken(store.read(store.frame_ids), bad_pixels=store.bad_pixels, geometry=store.geometry)
    with pytest.raises(InputError, match="cannot be read"):
        encode(broken, polar, encoder, batch=10)


def test_an_error_in_the_encoder_stops_the_thread() -> None:
    store = make_store()
    polar, _ = make_encoders(store)[0]

    def broken(counts: torch.Tensor, area: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no memory left")

    with pytest.raises(RuntimeError, match="no memory"):
        encode(store, polar, broken, batch=2)


def test_batches_side_by_side_come_in_order_and_leave_torch_as_it_was():
    before = torch.get_num_threads()
    batches = [(np.array([i], np.uint64), torch.full((1, 2), float(i))) for i in range(7)]
    pause = [0.02 * (i % 3) for i in range(7)]

    def encoder(counts):
        time.sleep(pause[int(counts[0, 0])])
        return counts.numpy() + torch.get_num_threads()

    found = list(side_by_side(iter(batches), encoder, 3))
    assert [int(ids[0]) for ids, _ in found] == list(range(7))
    assert all((vectors == i + 1).all() for i, (_, vectors) in enumerate(found)), "each with one thread of torch"
    assert torch.get_num_threads() == before


def test_what_goes_wrong_in_an_encoder_is_raised():
    def encoder(counts):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        list(side_by_side(iter([(np.array([1], np.uint64), torch.zeros(1, 2))]), encoder, 2))
