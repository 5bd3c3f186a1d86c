"""The queue: the newest first, the oldest let go, and every frame accounted for."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorter.online.queue import PARCEL_FRAMES, Parcel, ParcelQueue, parcels

FILE, STREAM = SimpleNamespace(can_wait=True), SimpleNamespace(can_wait=False)


def parcel(first, n=10, origin=FILE, time=1.0):
    return Parcel(origin, first, first + n, time)


def firsts(taken):
    return [p.start for p in taken]


def test_the_newest_are_taken_first_in_their_order():
    queue = ParcelQueue(100)
    queue.put([parcel(first) for first in range(0, 50, 10)])
    assert firsts(queue.take(20, 0)) == [30, 40]
    queue.put([parcel(50)])
    assert firsts(queue.take(25, 0)) == [20, 50]
    assert firsts(queue.take(5, 0)) == [10]  # one at least
    assert firsts(queue.take(99, 0)) == [0] and queue.empty


@pytest.mark.parametrize(("origin", "catching_up"), [(FILE, 30), (STREAM, 0)])
def test_the_oldest_are_let_go_and_counted(origin, catching_up):
    queue = ParcelQueue(20)
    queue.put([parcel(first, origin=origin) for first in range(0, 50, 10)])
    counts = queue.counts()
    assert (counts.waiting, counts.skipped, counts.catching_up) == (20, 30, catching_up)
    assert firsts(queue.take(99, 0)) == [30, 40]
    late = queue.take(20, 0)
    assert firsts(late) == ([0, 10] if catching_up else []) and all(p.available_s is None for p in late)
    assert queue.counts().skipped == (10 if catching_up else 30)


def test_what_was_there_before_is_no_news():
    queue = ParcelQueue(20)
    queue.put([parcel(0, 500, time=None), parcel(500)])
    assert queue.counts().skipped == 0 and queue.counts().catching_up == 500
    assert firsts(queue.take(99, 0)) == [500]
    assert queue.take(99, 0, late=False) == []
    assert firsts(queue.take(99, 0)) == [0]


def test_parcels_are_small():
    cut = parcels(FILE, 3, 3 + 2 * PARCEL_FRAMES + 1, 1.0)
    assert [p.n_frames for p in cut] == [PARCEL_FRAMES, PARCEL_FRAMES, 1] and cut[0].start == 3
    assert parcels(FILE, 5, 5, 1.0) == []


@given(st.lists(st.tuples(st.integers(1, 30), st.booleans(), st.booleans()), max_size=60))
def test_every_frame_is_taken_once_or_counted_as_skipped(steps):
    queue = ParcelQueue(50)
    put, taken, first = 0, set(), 0
    for n, from_file, take in steps:
        queue.put([parcel(first, n, FILE if from_file else STREAM)])
        first, put = first + n, put + n
        if take:
            for one in queue.take(40, 0):
                assert not taken & set(range(one.start, one.stop))
                taken |= set(range(one.start, one.stop))
        counts = queue.counts()
        lost = counts.skipped - counts.catching_up
        assert counts.waiting <= 50 and put == len(taken) + counts.waiting + counts.catching_up + lost
