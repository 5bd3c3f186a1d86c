"""The label book: a person's words about frames, as an append-only list of events in one SQLite file."""

from __future__ import annotations

import getpass
import os
import sqlite3
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from copy import copy
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sorter.core.errors import InputError, WorkFolderError
from sorter.core.identity import ascending
from sorter.core.labels import PROPOSAL, LabelEvent
from sorter.core.manifest import utc_now
from sorter.curate.label_state import LabelState, contained

SCHEMA_VERSION = 1
APPLICATION_ID = 0x73686F74  # "shot"
#: How long a writer waits for another one before it gives up.
BUSY_TIMEOUT_S = 10.0
_TABLE = """
CREATE TABLE events (
    revision INTEGER PRIMARY KEY, kind TEXT NOT NULL, label TEXT NOT NULL, n_frames INTEGER NOT NULL, frame_id BLOB NOT NULL,
    author TEXT NOT NULL, at TEXT NOT NULL, reason TEXT NOT NULL, target INTEGER
)"""
_FIELDS = "revision, kind, label, n_frames, frame_id, author, at, reason, target"


def checked_label(label: str) -> str:
    """``label`` without blanks around it. Raises InputError for one that a table could not hold."""
    word = label.strip()
    if not word or len(word) > 100 or ";" in word or not word.isprintable():
        raise InputError(f"label {label!r}: use 1 to 100 printable characters without ';'")
    return word


def user_name() -> str:
    """Who is at the keyboard, as the system knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


class LabelBook:
    """Labels of frames; a frame may have several. Several processes and threads may read and write at once.

    Every change is an event (who, when, which frames, what, why) with the next revision number; undo and redo are events
    too, of the book and not of a session, so they work without limit and after a restart. Nothing is ever deleted. A book
    that is not on disk yet is empty; the first event makes it. Each call sees what other processes wrote before it.
    Raises WorkFolderError for a file that is damaged, locked, of a newer schema or cannot be written.
    """

    def __init__(self, path: str | Path, author: str | None = None) -> None:
        self.path = Path(path)
        self.author = author or user_name()
        self._state = LabelState()
        self._lock = threading.RLock()

    def by(self, author: str) -> LabelBook:
        """The same book, in the hand of another author."""
        other = copy(self)
        other.author = author
        return other

    # -- reading ---------------------------------------------------------------------------------------------------------
    def current(self) -> LabelState:
        """The labels as they are now, without a copy: to be read at once, before the book is touched again."""
        with self._reading() as state:
            return state

    @property
    def revision(self) -> int:
        """Number of the last event; 0 for an empty book."""
        with self._reading() as state:
            return state.revision

    def labels(self) -> list[str]:
        """The labels that at least one frame carries, in alphabetical order."""
        with self._reading() as state:
            return state.labels()

    def all_labels(self) -> list[str]:
        """Every word that was ever given, in the order in which the book first met them."""
        with self._reading() as state:
            return state.all_labels()

    def counts(self) -> dict[str, int]:
        """Number of frames of each label, in alphabetical order."""
        with self._reading() as state:
            return state.counts()

    def labels_of(self, frame_id: NDArray[np.uint64]) -> list[tuple[str, ...]]:
        """Labels of each of ``frame_id`` (N,), in alphabetical order; an empty tuple where it has none."""
        with self._reading() as state:
            return state.labels_of(np.asarray(frame_id, np.uint64))

    def frames_with(self, label: str) -> NDArray[np.uint64]:
        """Ids (n,) uint64, ascending, of the frames that carry ``label``. Raises InputError where no frame does."""
        with self._reading() as state:
            return self._carriers(state, label)

    def events(self, since: int = 0) -> list[LabelEvent]:
        """The events after revision ``since``, in order."""
        with self._reader() as connection:
            return [] if connection is None else self._events(connection, since)

    def state(self) -> LabelState:
        """The labels as they are now; a copy that does not follow later events."""
        return LabelState(self.events())

    def state_at(self, revision: int) -> LabelState:
        """The labels as they were after event ``revision``."""
        return LabelState(event for event in self.events() if event.revision <= revision)

    @property
    def next_undo(self) -> LabelEvent | None:
        """The event that `undo` would take back; None where there is none."""
        with self._reading() as state:
            return state.next_undo

    @property
    def next_redo(self) -> LabelEvent | None:
        """The event that `redo` would bring back; None where there is none."""
        with self._reading() as state:
            return state.next_redo

    # -- writing ---------------------------------------------------------------------------------------------------------
    def add(self, frame_id: NDArray[np.uint64], label: str, reason: str = "") -> LabelEvent | None:
        """Give ``label`` to frames. Returns the event; None, and no event, where all of them have it already (for a person: where
        this person gave it to all of them, so that what another one or a proposal said can be confirmed).

        Raises InputError for no frames at all or a label that cannot be one.
        """
        return self._change("add", frame_id, checked_label(label), reason)

    def remove(self, frame_id: NDArray[np.uint64], label: str, reason: str = "") -> LabelEvent | None:
        """Take ``label`` away from frames. Returns the event; None, and no event, where none of them has it.

        Raises InputError for no frames at all or a label that no frame carries.
        """
        return self._change("remove", frame_id, checked_label(label), reason)

    def undo(self) -> LabelEvent:
        """Take back the last event that still holds; returns the undo event. Raises InputError where there is none."""
        return self._step("undo")

    def redo(self) -> LabelEvent:
        """Bring back what was undone last; returns the redo event. Raises InputError where there is none."""
        return self._step("redo")

    def restore(self, events: Iterable[LabelEvent]) -> int:
        """Append events of another copy of this book; those that are here already change nothing. Returns how many are new.

        Raises InputError, and appends nothing, where the two books disagree.
        """
        with self._writer() as (connection, state):
            have = {event.revision: event for event in self._events(connection, 0)}
            new = 0
            for event in sorted(events, key=lambda e: e.revision):
                if event.revision in have:
                    if not _same(event, have[event.revision]):
                        raise InputError(f"{self.path}: event {event.revision} differs from the one to restore")
                    continue
                if event.revision != state.revision + 1:
                    raise InputError(
                        f"{self.path}: event {state.revision + 1} is missing before event {event.revision}"
                    )
                state.apply(event)
                self._append(connection, event)
                new += 1
            return new

    def _change(self, kind: str, frame_id: NDArray[np.uint64], label: str, reason: str) -> LabelEvent | None:
        wanted = ascending(frame_id)
        if not len(wanted):
            raise InputError(f"label '{label}': no frames were given")
        with self._writer() as (connection, state):
            have = self._said(state, label) if kind == "add" else self._carriers(state, label)
            frames = wanted[contained(have, wanted) == (kind == "remove")]
            if not len(frames):
                return None
            event = LabelEvent(state.revision + 1, kind, label, frames, self.author, utc_now(), reason)
            self._append(connection, event)
            return event

    def _said(self, state: LabelState, label: str) -> NDArray[np.uint64]:
        """Frames that carry the label and need no word of this author for it: another person's word may be confirmed, so that
        two labellers can be compared, and an accepted proposal's too; a proposal confirms nobody."""
        have = state.members(label)
        if self.author.startswith(PROPOSAL):
            return have
        mine = state.given_by(self.author, label)
        return mine[contained(have, mine)]

    def _step(self, kind: str) -> LabelEvent:
        with self._writer() as (connection, state):
            meant = state.next_undo if kind == "undo" else state.next_redo
            if meant is None:
                raise InputError(f"{self.path}: nothing to {kind}")
            next_one, reason = state.revision + 1, f"{meant.kind} of event {meant.revision}"
            none = np.empty(0, np.uint64)
            event = LabelEvent(next_one, kind, meant.label, none, self.author, utc_now(), reason, meant.revision)
            self._append(connection, event)
            return event

    # -- the file --------------------------------------------------------------------------------------------------------
    @contextmanager
    def _reading(self) -> Iterator[LabelState]:
        with self._lock, self._reader() as connection:
            if connection is not None:
                self._sync(connection)
            yield self._state

    @staticmethod
    def _carriers(state: LabelState, label: str) -> NDArray[np.uint64]:
        frames = state.members(label)
        if not len(frames):
            raise InputError(f"label '{label}': no frame carries it (labels: {', '.join(state.labels()) or 'none'})")
        return frames

    def _sync(self, connection: sqlite3.Connection) -> None:
        for event in self._events(connection, self._state.revision):
            self._state.apply(event)

    def _events(self, connection: sqlite3.Connection, since: int) -> list[LabelEvent]:
        rows = connection.execute(f"SELECT {_FIELDS} FROM events WHERE revision > ? ORDER BY revision", (since,))
        return [self._event(row) for row in rows]

    def _event(self, row: tuple) -> LabelEvent:
        revision, kind, label, n_frames, blob, author, at, reason, target = row
        if len(blob) != 8 * n_frames:
            raise WorkFolderError(
                f"{self.path}: damaged (event {revision} lost frames); bring back a copy of this file"
            )
        frames = np.frombuffer(blob, "<u8").astype(np.uint64)
        return LabelEvent(revision, kind, label, frames, author, at, reason, target)

    def _append(self, connection: sqlite3.Connection, event: LabelEvent) -> None:
        blob = event.frame_id.astype("<u8").tobytes()
        connection.execute(
            f"INSERT INTO events ({_FIELDS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (event.revision, event.kind, event.label, len(event.frame_id), blob, event.author, event.when, event.reason,
             event.target),
        )  # fmt: skip

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection | None]:
        with self._errors():
            if not self.path.exists():
                yield None
                return
            with closing(self._connect(write=False)) as connection:
                yield connection

    @contextmanager
    def _writer(self) -> Iterator[tuple[sqlite3.Connection, LabelState]]:
        """One write at a time over all processes: what is read here still holds when the event is written."""
        with self._lock, self._errors():
            if not self.path.exists():
                self._create()
            with closing(self._connect(write=True)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                try:
                    self._sync(connection)
                    yield connection, self._state
                    connection.execute("COMMIT")
                except BaseException:
                    self._state = LabelState()
                    connection.rollback()
                    raise
                self._sync(connection)

    def _connect(self, write: bool) -> sqlite3.Connection:
        uri = f"{self.path.absolute().as_uri()}?mode={'rw' if write else 'ro'}"
        if not write and not os.access(self.path.parent, os.W_OK):
            uri += "&immutable=1"  # SQLite cannot make its shared-memory file in a read-only folder
            journal = self.path.with_name(self.path.name + "-wal")
            if journal.exists() and journal.stat().st_size:
                raise WorkFolderError(
                    f"{self.path}: has unfinished writes and the folder is read-only; copy the folder"
                )
        connection = sqlite3.connect(
            uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        try:
            self._check(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _check(self, connection: sqlite3.Connection) -> None:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if application != APPLICATION_ID:
            raise WorkFolderError(
                f"{self.path}: not a label book (empty or another program's file); bring back a copy of it"
            )
        if version > SCHEMA_VERSION:
            raise WorkFolderError(
                f"{self.path}: written by a newer shotsort (schema {version}, this one reads {SCHEMA_VERSION}); update shotsort"
            )

    def _create(self) -> None:
        """An empty book, made under another name and linked into place, so that it is whole or absent."""
        partial = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex}.partial")
        try:
            with closing(sqlite3.connect(partial, isolation_level=None)) as connection:
                connection.execute(_TABLE)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                connection.execute("PRAGMA journal_mode = WAL")
            os.link(partial, self.path)
        except FileExistsError:
            pass  # another process was first
        finally:
            for end in ("", "-wal", "-shm", "-journal"):
                partial.with_name(partial.name + end).unlink(missing_ok=True)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if "locked" in str(error) or "busy" in str(error):
                raise WorkFolderError(f"{self.path}: held by another process; try again when it is done") from error
            raise WorkFolderError(f"{self.path}: cannot be used ({error}); free space or copy the folder") from error
        except sqlite3.DatabaseError as error:
            raise WorkFolderError(f"{self.path}: damaged ({error}); bring back a copy of this file") from error
        except OSError as error:
            raise WorkFolderError(f"{self.path}: cannot be used ({error.strerror}); copy the folder") from error


def _same(a: LabelEvent, b: LabelEvent) -> bool:
    fields = ("kind", "label", "author", "when", "reason", "target")
    return all(getattr(a, f) == getattr(b, f) for f in fields) and np.array_equal(a.frame_id, b.frame_id)
