"""Hits that are unlike anything sorted before: gathered, and grouped when there are enough of them."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sorter.core.clustering import Clustering

#: Strange hits that are looked at together at most, the latest ones.
MOST_STRANGE = 4000
#: They are grouped again when there are so many times more of them.
_GROWTH = 1.25

#: From ids (n,) and points (n, d) to a clustering of them.
Group = Callable[[NDArray[np.uint64], NDArray[np.float32]], Clustering]


class StrangeFrames:
    """Gathers strange hits. group: makes a clustering of them; fewest: that it needs; propose: is given each new one.

    Grouping runs in a thread of its own, one at a time, so that sorting goes on.
    """

    def __init__(self, group: Group, fewest: int, propose: Callable[[Clustering], None]) -> None:
        self._group, self._propose = group, propose
        self._next = fewest
        self._ids, self._points = np.empty(0, np.uint64), np.empty((0, 0), np.float32)
        self._n = 0
        self._thread: threading.Thread | None = None

    def recall(self, frame_id: NDArray[np.uint64], points: NDArray[np.float32]) -> None:
        """Begin with what an earlier call gathered."""
        self._ids, self._points, self._n = frame_id, points, len(frame_id)
        self._next = max(self._next, int(np.ceil(_GROWTH * self._n)))

    def add(self, frame_id: NDArray[np.uint64], points: NDArray[np.float32]) -> None:
        """Gather hits (n,) with their points (n, d)."""
        if not len(frame_id):
            return
        self._n += len(frame_id)
        before = self._points if self._points.size else points[:0]
        self._ids = np.concatenate([self._ids, frame_id])[-MOST_STRANGE:]
        self._points = np.concatenate([before, points])[-MOST_STRANGE:]
        busy = self._thread is not None and self._thread.is_alive()
        if self._n >= self._next and not busy:
            self._start()

    def finish(self) -> None:
        """Group what was gathered since the last time, and wait for it."""
        if self._thread is not None:
            self._thread.join()
        if len(self._ids):
            self._start()
            assert self._thread is not None
            self._thread.join()

    def _start(self) -> None:
        self._next = int(np.ceil(_GROWTH * self._n))
        ids, points = self._ids, self._points
        self._thread = threading.Thread(
            target=lambda: self._propose(self._group(ids, points)), name="strange", daemon=True
        )
        self._thread.start()
