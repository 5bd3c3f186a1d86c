"""What waits to be sorted: a bounded queue that never loses count of what it lets go."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

from sorter.io.recording import Reader
from sorter.io.zarr_store import Source
from sorter.online.status import Backlog


class SourceAway(Exception):
    """A source cannot be reached just now; it may come back. Says what is away."""


#: Frames that travel together at most, so that a queue can let go of little.
PARCEL_FRAMES = 64


class Origin(Protocol):
    """Where a parcel's frames are: a recorded file, or what came with one message of a stream."""

    @property
    def source(self) -> Source: ...
    @property
    def can_wait(self) -> bool:
        """Whether the frames can still be read later."""
        ...

    def open(self) -> AbstractContextManager[Reader]:
        """A reader of the frames; raises InputError where they cannot be read."""
        ...


@dataclass(frozen=True)
class Parcel:
    """Frames start..stop-1 of one origin. available_s: monotonic time from which on they could be read; None: they were
    there before anybody watched, or come late, so that their age says nothing."""

    origin: Origin
    start: int
    stop: int
    available_s: float | None

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return self.stop - self.start


def parcels(origin: Origin, start: int, stop: int, available_s: float | None) -> list[Parcel]:
    """Frames start..stop-1 in parcels."""
    edges = [*range(start, stop, PARCEL_FRAMES), stop]
    return [Parcel(origin, a, b, available_s) for a, b in pairwise(edges)]


class ParcelQueue:
    """Holds at most ``limit`` frames that came while watching; safe to use from several threads.

    The newest frames are taken first, and where there are too many the oldest are let go: whoever stands at the beam line
    wants to see what is recorded now, and a queue that is served in order is, once it is full, late by its whole length for
    ever. A burst is still absorbed: what waits is taken when the newest is done. Frames that are let go and can still be
    read (files) are kept as a debt of places, not of pixels, and taken, oldest first, when nothing new waits.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._live: deque[Parcel] = deque()
        self._late: deque[tuple[Parcel, bool]] = deque()  # and whether it was skipped
        self._waiting = self._skipped = self._catching_up = self._refused = 0
        self._changed = threading.Condition()

    def put(self, new: Iterable[Parcel]) -> None:
        """Add what came; what is not new (``available_s`` None) is taken when there is time."""
        with self._changed:
            for parcel in new:
                if parcel.available_s is None:
                    self._late.append((parcel, False))
                    self._catching_up += parcel.n_frames
                else:
                    self._live.append(parcel)
                    self._waiting += parcel.n_frames
            while self._waiting > self.limit:
                self._let_go(self._live.popleft())
            self._changed.notify()

    def _let_go(self, parcel: Parcel) -> None:
        self._waiting -= parcel.n_frames
        self._skipped += parcel.n_frames
        if parcel.origin.can_wait:
            self._late.append((parcel, True))
            self._catching_up += parcel.n_frames

    def take(self, most: int, timeout_s: float, late: bool = True) -> list[Parcel]:
        """Up to ``most`` frames (one parcel at least) in the order in which they came; empty after ``timeout_s`` without any.

        late: whether frames that were let go may be among them.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._live or self._late, timeout_s)
            taken: list[Parcel] = []
            n = 0
            while self._live and (not taken or n + self._live[-1].n_frames <= most):
                taken.append(self._live.pop())
                n += taken[-1].n_frames
            self._waiting -= n
            return taken[::-1] if taken or not late else self._take_late(most)

    def _take_late(self, most: int) -> list[Parcel]:
        taken: list[Parcel] = []
        n = 0
        while self._late and (not taken or n + self._late[0][0].n_frames <= most):
            parcel, skipped = self._late.popleft()
            n += parcel.n_frames
            self._catching_up -= parcel.n_frames
            self._skipped -= parcel.n_frames if skipped else 0
            taken.append(replace(parcel, available_s=None))
        return taken

    def refuse(self, n_frames: int) -> None:
        """Count frames that do not fit."""
        with self._changed:
            self._refused += n_frames

    @property
    def empty(self) -> bool:
        """Whether nothing waits and nothing is owed."""
        return not self._live and not self._late

    def counts(self) -> Backlog:
        """What waits and what was let go."""
        with self._changed:
            return Backlog(self._waiting, self.limit, self._skipped, self._catching_up, self._refused)
