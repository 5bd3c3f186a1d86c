"""Look at all files of a run before the first frame is copied: what they hold, and whether they belong together."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sorter.core.errors import InputError
from sorter.io.adapters import expand_sources, open_recording
from sorter.io.recording import Reader, ReadOptions, Recording
from sorter.io.zarr_store import Source

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Surveyed:
    """A recorded file, and the row that it will have among the sources of a frame store."""

    recording: Recording
    source: Source
    options: ReadOptions


def survey(paths: Sequence[str | Path], options: ReadOptions) -> list[Surveyed]:
    """Open each file once and describe it.

    Raises InputError where a file cannot be read, frames differ in shape, or two files would give the same frame ids.
    """
    found = [_look(path, options) for path in expand_sources(paths)]
    first = found[0].recording
    names: dict[tuple[str, str], str] = {}
    for one in found:
        recording = one.recording
        if recording.shape_px != first.shape_px:
            raise InputError(
                f"{recording.path}: frames of {_size(recording)} pixels, those of {first.path} have {_size(first)};"
                " ingest them into two work folders"
            )
        same = names.setdefault((recording.run_id, recording.dataset), recording.path)
        if same is not recording.path:
            raise InputError(
                f"{recording.path}: has the name (or run id) of {same}, so their frames cannot be told apart; rename one"
            )
    return found


def _size(recording: Recording) -> str:
    return "{} x {}".format(*recording.shape_px)


def _look(path: str, options: ReadOptions) -> Surveyed:
    with open_recording(path, options) as reader:
        source = source_of(reader)
    for remark in reader.recording.remarks:
        log.info("%s: %s", path, remark)
    return Surveyed(reader.recording, source, options)


def source_of(reader: Reader) -> Source:
    """The row of an open file among the sources of a frame store."""
    recording = reader.recording
    digest = hashlib.blake2b(reader.read(0, 1).tobytes(), digest_size=8).hexdigest()
    absolute = Path(recording.path).resolve()
    size = absolute.stat().st_size if absolute.is_file() else None
    return Source(
        recording.path,
        recording.dataset,
        recording.run_id,
        recording.n_frames,
        size,
        str(absolute),
        recording.reader,
        digest,
    )
