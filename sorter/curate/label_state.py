"""What a sequence of label events amounts to."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from sorter.core.errors import InputError
from sorter.core.identity import rows_of
from sorter.core.labels import LabelEvent

KINDS = ("add", "remove", "undo", "redo")


class LabelState:
    """The labels that hold after some events. Feed events with `apply`; one that was seen before changes nothing.

    An undone event counts as never having happened, so undoing a label that was given twice keeps the first giving.
    """

    def __init__(self, events: Iterable[LabelEvent] = ()) -> None:
        self.revision = 0
        self._events: dict[int, LabelEvent] = {}
        self._done: list[int] = []
        self._undone: list[int] = []
        self._members: dict[tuple[str, bool], NDArray[np.uint64]] = {}
        for event in events:
            self.apply(event)

    def apply(self, event: LabelEvent) -> None:
        """Take in the next event. Raises InputError for one that does not follow from those before it."""
        if event.revision <= self.revision:
            return
        if event.kind in ("add", "remove"):
            self._events[event.revision] = event
            self._done.append(event.revision)
            self._undone.clear()
            changed = event
        elif event.kind in ("undo", "redo"):
            source, target = (self._done, self._undone) if event.kind == "undo" else (self._undone, self._done)
            if not source or source[-1] != event.target:
                raise InputError(f"label event {event.revision}: {event.kind} of event {event.target} does not follow")
            target.append(source.pop())
            changed = self._events[target[-1]]
        else:
            raise InputError(f"label event {event.revision}: kind '{event.kind}' is not known; update shotsort")
        for by_people in (False, True):
            self._members.pop((changed.label, by_people), None)
        self.revision = event.revision

    @property
    def next_undo(self) -> LabelEvent | None:
        """The event that an undo takes back."""
        return self._events[self._done[-1]] if self._done else None

    @property
    def next_redo(self) -> LabelEvent | None:
        """The event that a redo brings back."""
        return self._events[self._undone[-1]] if self._undone else None

    def members(self, label: str, by_people: bool = False) -> NDArray[np.uint64]:
        """Ids (n,) uint64, ascending, of the frames that carry ``label``; empty for a word never given.

        by_people: only those to which a person gave it, not an accepted proposal.
        """
        key = (label, by_people)
        if key not in self._members:
            mine = [self._events[r] for r in self._done if self._events[r].label == label]
            self._members[key] = _fold(mine, by_people)
        return self._members[key]

    def spoken_of(self) -> NDArray[np.uint64]:
        """Ids (n,) uint64, ascending, of the frames of which a person has said anything, by giving or taking a label."""
        events = [self._events[r] for r in self._done if not self._events[r].is_proposal]
        return np.unique(np.concatenate([event.frame_id for event in events])) if events else np.empty(0, np.uint64)

    def labels(self) -> list[str]:
        """The labels that at least one frame carries, in alphabetical order."""
        words = {self._events[r].label for r in self._done}
        return sorted(word for word in words if len(self.members(word)))

    def counts(self) -> dict[str, int]:
        """Number of frames of each label, in alphabetical order."""
        return {word: len(self.members(word)) for word in self.labels()}

    def labels_of(self, frame_id: NDArray[np.uint64]) -> list[tuple[str, ...]]:
        """Labels of each frame, in alphabetical order; an empty tuple where it has none."""
        found: list[tuple[str, ...]] = [()] * len(frame_id)
        for word in self.labels():
            for row in np.flatnonzero(rows_of(self.members(word), frame_id) >= 0):
                found[row] += (word,)
        return found


def _fold(events: list[LabelEvent], by_people: bool) -> NDArray[np.uint64]:
    """Frames that carry a label after its add and remove ``events``: the last word on a frame holds."""
    if not events:
        return np.empty(0, np.uint64)
    ids = np.concatenate([event.frame_id for event in reversed(events)])
    counts = [event.kind == "add" and not (by_people and event.is_proposal) for event in reversed(events)]
    added = np.repeat(counts, [len(event.frame_id) for event in reversed(events)])
    frames, latest = np.unique(ids, return_index=True)
    return frames[added[latest]]
