"""Recorded files that appear in a folder and grow, or one file or zarr group that does."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sorter.core.errors import InputError
from sorter.io.adapters import is_zarr, live_files, open_recording
from sorter.io.hdf5_tree import is_written_live
from sorter.io.recording import Reader, ReadOptions, Recording
from sorter.io.survey import source_of
from sorter.io.zarr_runs import ZarrReader
from sorter.io.zarr_store import Source
from sorter.online.queue import Parcel, SourceAway, parcels

log = logging.getLogger(__name__)

#: A file whose writer does not say when it is complete is taken when it has not changed for so long.
SETTLED_S = 0.5
#: A file that cannot be read for so long, unchanged, is told of and left out.
_HOPELESS_S = 10.0
#: A file that has not grown for so long is closed, and looked at less often.
_IDLE_S = 30.0
_LOOK_AT_OLD_S = 1.0

#: Raises InputError for a recording that does not fit.
Accept = Callable[[Recording, Source], None]
#: Ranges (start, stop) of the first n frames of a source that are not stored yet.
Missing = Callable[[Source, int], list[tuple[int, int]]]
#: Is told of n frames that do not fit, and why.
Refuse = Callable[[int, str], None]


class RecordedFile:
    """One recorded file, opened when it is needed: the source looks for new frames while the sorter reads older ones."""

    can_wait = True

    def __init__(self, path: str, options: ReadOptions) -> None:
        self.path, self._options = path, options
        self._lock = threading.RLock()
        self._reader: Reader | None = None
        self.seen, self.grown_s = 0, time.monotonic()
        self.look_again()

    def look_again(self) -> None:
        """Read anew what the file says of itself. Raises InputError."""
        self.stamp = _stamp(self.path)
        with self.open() as reader:
            self.recording, self.source, self.grows = reader.recording, source_of(reader), reader.grows
            self.has_counter = not isinstance(reader, ZarrReader) or reader.has_counter

    @contextmanager
    def open(self) -> Iterator[Reader]:
        """The open file; one that does not grow is closed afterwards."""
        with self._lock:
            if self._reader is None:
                self._reader = open_recording(self.path, self._options)
            try:
                yield self._reader
            except BaseException:
                self.close()
                raise
            if not self._reader.grows:
                self.close()

    def count(self) -> int:
        """Frames that can be read now. Raises InputError."""
        with self.open() as reader:
            return reader.refresh()

    def close(self) -> None:
        """Let go of the file until it is needed again."""
        with self._lock:
            if self._reader is not None:
                self._reader.close()
                self._reader = None


class FilesSource:
    """New frames of a folder of files, of one file, or of one zarr group.

    Frames that are there at the first look are not new: nothing is known of when they came. No file is ever locked.
    """

    def __init__(
        self, path: str | Path, options: ReadOptions, accept: Accept, missing: Missing, refuse: Refuse
    ) -> None:
        self.path, self._options = Path(path), options
        self._accept, self._missing, self._refuse = accept, missing, refuse
        self._files: dict[str, RecordedFile] = {}
        self._unready: dict[str, tuple[tuple[int, int], float]] = {}  # stamp of a file, and since when it has it
        self._left_out: dict[str, tuple[int, int]] = {}
        self._rows: dict[str, tuple[int, float]] = {}  # of a zarr array without a counter: how many, and since when
        self._first, self._old_s = True, 0.0

    def poll(self) -> list[Parcel]:
        """What can be read now and could not before. Raises SourceAway."""
        now = time.monotonic()
        with_old = now - self._old_s >= _LOOK_AT_OLD_S
        self._old_s = now if with_old else self._old_s
        found: list[Parcel] = []
        for path in self._paths():
            known = self._files.get(path)
            if known is not None and now - known.grown_s > _IDLE_S and not with_old:
                continue
            try:
                found += self._new_file(path) if known is None else self._known_file(known)
            except (InputError, OSError) as error:
                self._unreadable(path, str(error))
        self._first = False
        return found

    def close(self) -> None:
        """Let go of all files."""
        for file in self._files.values():
            file.close()

    def _paths(self) -> list[str]:
        try:
            if self.path.is_dir() and not is_zarr(self.path):
                return live_files(self.path)
            os.stat(self.path)
            return [str(self.path)]
        except OSError as error:
            self.close()
            raise SourceAway(f"{self.path}: {(error.strerror or str(error)).lower()}") from error

    def _new_file(self, path: str) -> list[Parcel]:
        if path in self._left_out and self._left_out[path] == _stamp(path):
            return []
        if not self._ready(path):
            return []
        file = RecordedFile(path, self._options)
        self._files[path] = file
        self._unready.pop(path, None)
        try:
            self._accept(file.recording, file.source)
            missing = self._missing(file.source, self._count(file))
        except InputError as error:
            file.seen = file.recording.n_frames
            self._refuse(file.seen, str(error))
            return []
        return self._announce(file, missing)

    def _known_file(self, file: RecordedFile) -> list[Parcel]:
        if file.grows:
            n = self._count(file)
            if n <= file.seen:
                if time.monotonic() - file.grown_s > _IDLE_S:
                    file.close()
                return []
        else:
            if _stamp(file.path) == file.stamp or not self._ready(file.path):
                return []
            before = file.source.fingerprint
            file.look_again()
            n = file.recording.n_frames
            if file.source.fingerprint != before:
                file.seen = n
                self._refuse(n, f"{file.path}: was replaced by another file of the same name; rename it")
        return self._announce(file, [(file.seen, n)] if n > file.seen else [])

    def _announce(self, file: RecordedFile, ranges: list[tuple[int, int]]) -> list[Parcel]:
        now = time.monotonic()
        file.seen = max([file.seen, *(stop for _, stop in ranges)])
        file.grown_s = now
        available_s = None if self._first else now
        return [parcel for start, stop in ranges for parcel in parcels(file, start, stop, available_s)]

    def _count(self, file: RecordedFile) -> int:
        """Frames of an open file that count. A zarr array grows before its data are there: without a counter its rows are
        believed when they have been there for a while."""
        n = file.count()
        if file.has_counter:
            return n
        known, since = self._rows.get(file.path, (0, 0.0))
        if n != known:
            self._rows[file.path] = (n, time.monotonic())
            return n if self._first else file.seen
        return n if time.monotonic() - since >= SETTLED_S else file.seen

    def _ready(self, path: str) -> bool:
        """Whether a file is complete, or its writer lets others read while it writes."""
        if is_zarr(Path(path)):
            return True  # how many of its rows count is another question
        now, now_stamp = time.monotonic(), _stamp(path)
        known, since = self._unready.setdefault(path, (now_stamp, now))
        if known != now_stamp:
            self._unready[path] = (now_stamp, now)
        elif now - since >= SETTLED_S or self._first:
            return not _is_locked(path)
        return is_written_live(path)

    def _unreadable(self, path: str, why: str) -> None:
        """Wait for a file that cannot be read (yet); one that stays so is told of once."""
        if path in self._files:
            self._files[path].close()  # it is opened again at the next look
        if path in self._files or not os.path.exists(path):
            return
        known, since = self._unready.get(path, (_stamp(path), time.monotonic()))
        if time.monotonic() - since > _HOPELESS_S and path not in self._left_out:
            self._left_out[path] = known
            self._refuse(0, f"{why}; left out until it changes")


def _stamp(path: str) -> tuple[int, int]:
    """Size and time of the last change of a file."""
    found = os.stat(path)
    return found.st_size, found.st_mtime_ns


def _is_locked(path: str) -> bool:
    """Whether a writer has the file for itself (HDF5 locks what it writes, where the disk can). Holds the lock for no longer
    than it takes to ask."""
    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
