"""What a sequence of label events amounts to."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from sorter.core.errors import InputError
from sorter.core.identity import ascending
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
        self._of_label: dict[str, tuple[_OneLabel, _OneLabel]] = {}
        self._of_author: dict[tuple[str, str], _OneLabel] = {}
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
            for one in self._views(event):
                one.events.append(event)
        elif event.kind in ("undo", "redo"):
            source, target = (self._done, self._undone) if event.kind == "undo" else (self._undone, self._done)
            if not source or source[-1] != event.target:
                raise InputError(f"label event {event.revision}: {event.kind} of event {event.target} does not follow")
            target.append(source.pop())
            changed = self._events[target[-1]]
            for one in self._views(changed):
                if event.kind == "undo":
                    one.events.pop()
                else:
                    one.events.append(changed)
        else:
            raise InputError(f"label event {event.revision}: kind '{event.kind}' is not known; update shotsort")
        self.revision = event.revision

    def _views(self, event: LabelEvent) -> tuple[_OneLabel, ...]:
        """Everything that an event counts in."""
        both = self._of_label.setdefault(event.label, (_OneLabel(False), _OneLabel(True)))
        return (*both, self._of_author.setdefault((event.label, event.author), _OneLabel(False)))

    @property
    def next_undo(self) -> LabelEvent | None:
        """The event that an undo takes back."""
        return self._events[self._done[-1]] if self._done else None

    @property
    def next_redo(self) -> LabelEvent | None:
        """The event that a redo brings back."""
        return self._events[self._undone[-1]] if self._undone else None

    def members(self, label: str, by_people: bool = False) -> NDArray[np.uint64]:
        """Ids (n,) uint64, ascending, of the frames that carry ``label``; empty for a word never given. The same array as
        long as nothing changed.

        by_people: only those to which a person gave it, not an accepted proposal.
        """
        return self._of_label[label][by_people].members() if label in self._of_label else np.empty(0, np.uint64)

    def holding(self) -> list[LabelEvent]:
        """The add and remove events that were not undone, in order."""
        return [self._events[revision] for revision in self._done]

    def spoken_of(self) -> NDArray[np.uint64]:
        """Ids (n,) uint64, ascending, of the frames of which a person has said anything, by giving or taking a label."""
        events = [event for event in self.holding() if not event.is_proposal]
        return ascending(np.concatenate([event.frame_id for event in events])) if events else np.empty(0, np.uint64)

    def given_by(self, author: str, label: str) -> NDArray[np.uint64]:
        """Ids (n,) uint64, ascending, of the frames to which ``author`` gave ``label`` and did not take it away again, whatever
        others said."""
        one = self._of_author.get((label, author))
        return np.empty(0, np.uint64) if one is None else one.members()

    def labellers(self) -> list[str]:
        """People who gave labels, in the order in which they first did; accepted proposals are nobody's."""
        return list(dict.fromkeys(e.author for e in self.holding() if e.kind == "add" and not e.is_proposal))

    def all_labels(self) -> list[str]:
        """Every word that was ever given, in the order in which the book first met them."""
        return list(self._of_label)

    def labels(self) -> list[str]:
        """The labels that at least one frame carries, in alphabetical order."""
        return sorted(word for word in self._of_label if len(self.members(word)))

    def counts(self) -> dict[str, int]:
        """Number of frames of each label, in alphabetical order."""
        return {word: len(self.members(word)) for word in self.labels()}

    def labels_of(self, frame_id: NDArray[np.uint64]) -> list[tuple[str, ...]]:
        """Labels of each frame, in alphabetical order; an empty tuple where it has none."""
        found: list[tuple[str, ...]] = [()] * len(frame_id)
        for word in self.labels():
            for row in np.flatnonzero(contained(self.members(word), frame_id)):
                found[row] += (word,)
        return found


#: Up to this many new events change the members one after another, so that they can be taken back one after another.
_ONE_BY_ONE = 64


class _OneLabel:
    """The add and remove events of one label that hold, and the frames that carry it (``by_people``: those to which a person
    gave it), brought up to date when asked for."""

    def __init__(self, by_people: bool) -> None:
        self._by_people = by_people
        self.events: list[LabelEvent] = []
        self._counted: list[LabelEvent] = []
        self._before: list[NDArray[np.uint64] | None] = []  # what each counted event changed; None: counted in one go
        self._members = np.empty(0, np.uint64)

    def members(self) -> NDArray[np.uint64]:
        """Ids, ascending, of the frames that carry the label."""
        kept = _common(self.events, self._counted)
        if len(self.events) - kept > _ONE_BY_ONE or any(changed is None for changed in self._before[kept:]):
            self._members, self._counted = _fold(self.events, self._by_people), list(self.events)
            self._before = [None] * len(self.events)
            return self._members
        while len(self._counted) > kept:
            event, changed = self._counted.pop(), self._before.pop()
            assert changed is not None
            self._members = _changed(self._members, changed, not _gives(event, self._by_people))
        for event in self.events[kept:]:
            frames, gives = ascending(event.frame_id), _gives(event, self._by_people)
            changed = frames[contained(self._members, frames) != gives]
            self._members = _changed(self._members, changed, gives)
            self._counted.append(event)
            self._before.append(changed)
        return self._members


def contained(members: NDArray[np.uint64], frames: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which of ``frames`` (n,) are among ``members``, which ascend."""
    if not len(members):
        return np.zeros(len(frames), bool)
    place = np.minimum(np.searchsorted(members, frames), len(members) - 1)
    return members[place] == frames


def _common(a: list[LabelEvent], b: list[LabelEvent]) -> int:
    """Length of the beginning that two lists of events, which change at their ends only, have in common."""
    n = min(len(a), len(b))
    while n and a[n - 1] is not b[n - 1]:
        n -= 1
    return n


def _changed(members: NDArray[np.uint64], changed: NDArray[np.uint64], added: bool) -> NDArray[np.uint64]:
    """``members`` with or without the frames ``changed``, none or all of which are in it; both ascending."""
    if not len(changed):
        return members
    place = np.searchsorted(members, changed)
    return np.insert(members, place, changed) if added else np.delete(members, place)


def _gives(event: LabelEvent, by_people: bool) -> bool:
    return event.kind == "add" and not (by_people and event.is_proposal)


def _fold(events: list[LabelEvent], by_people: bool) -> NDArray[np.uint64]:
    """Frames that carry a label after its add and remove ``events``: the last word on a frame holds."""
    if not events:
        return np.empty(0, np.uint64)
    ids = np.concatenate([event.frame_id for event in reversed(events)])
    gives = [_gives(event, by_people) for event in reversed(events)]
    added = np.repeat(gives, [len(event.frame_id) for event in reversed(events)])
    frames, latest = np.unique(ids, return_index=True)
    return frames[added[latest]]
