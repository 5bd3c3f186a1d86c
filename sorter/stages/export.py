"""Hand chosen frames to reconstruction."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sorter.core.errors import InputError
from sorter.core.frames import find_rows
from sorter.core.subset import Subset
from sorter.curate.export import FrameOrigin, provenance, write_list
from sorter.curate.export_more import write_blacklist, write_index, write_rows
from sorter.curate.formats import FRAME_WRITERS, OTHERS, format_of
from sorter.curate.label_book import LabelBook
from sorter.curate.recorded import FrameBlocks, binned_frames, recorded_frames
from sorter.curate.table import COLUMNS, table_order
from sorter.io.progress import Progress
from sorter.io.workfolder import WorkFolder
from sorter.io.zarr_store import ZarrFrameStore
from sorter.stages.subset import SubsetConfig, choose_frames
from sorter.stages.table import subset_rows

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExportConfig:
    """to: file to write (`sorter.curate.formats` has the ends of names); None writes NAME.cxi in the current folder, NAME from
    the rule. binned: the frames as the work folder holds them instead of as recorded."""

    to: str | None = None
    binned: bool = False


def export(work: str | Path | WorkFolder, what: SubsetConfig | Subset, config: ExportConfig | None = None) -> Path:
    """Write chosen frames, with mask, geometry and provenance, to a file that is whole or absent; returns its path.

    Frames come at the recorded resolution from the files they were ingested from. Raises InputError for a source file that
    has gone (naming it), an unknown rule, or a target that is one of the source files.
    """
    config = config or ExportConfig()
    work = work if isinstance(work, WorkFolder) else WorkFolder.open(work)
    subset = what if isinstance(what, Subset) else choose_frames(work, what)
    store = work.frames()
    path = Path(config.to or f"{subset.name.replace('/', '_')}.cxi")
    kind = format_of(path)
    _protect_sources(path, store)
    if kind in OTHERS:
        _write_other(kind, path, work, store, subset)
    else:
        if config.binned:
            frames = binned_frames(store, subset.frame_id)
        else:
            frames = recorded_frames(store, subset.frame_id, work.path)
        frames = replace(frames, blocks=_told(frames, len(subset.frame_id)))
        origin = frame_origin(store, subset, LabelBook(work.labels_path))
        FRAME_WRITERS[kind](path, subset, frames, origin, provenance(subset, frames.binning, str(work.path)))
    log.info("%s: %d frames of %s", path, len(subset.frame_id), subset.rule)
    return path


def _told(frames: FrameBlocks, n: int) -> Callable[[], Iterator[NDArray]]:
    """The blocks of ``n`` frames, with a bar that shows how many were taken."""

    def blocks() -> Iterator[NDArray]:
        with Progress("export", n, "frames") as bar:
            for block in frames.blocks():
                yield block
                bar.update(len(block))

    return blocks


def _write_other(kind: str, path: Path, work: WorkFolder, store: ZarrFrameStore, subset: Subset) -> None:
    """Write what holds no frames."""
    facts = provenance(subset, store.info.binning, str(work.path))
    order = table_order(store)
    if kind == ".txt":
        write_list(path, subset, frame_origin(store, subset, LabelBook(work.labels_path)), facts)
    elif kind == ".index.npy":
        write_index(path, store.frame_ids[order], subset, facts)
    elif kind == ".blacklist.txt":
        write_blacklist(path, store.frame_ids[order], subset)
    else:
        write_rows(path, COLUMNS, subset_rows(work, subset))


def frame_origin(store: ZarrFrameStore, subset: Subset, book: LabelBook) -> FrameOrigin:
    """Where each frame of a subset comes from, and its labels."""
    rows = find_rows(store.frame_ids, subset.frame_id)
    file = store.source_file[rows]
    paths = np.array([source.path for source in store.info.sources], str)
    runs = np.array([source.run_id for source in store.info.sources], str)
    labels = np.array([";".join(words) for words in book.labels_of(subset.frame_id)], str)
    return FrameOrigin(paths[file], runs[file], store.source_index[rows], labels)


def _protect_sources(path: Path, store: ZarrFrameStore) -> None:
    for source in store.info.sources:
        for name in (source.absolute_path, source.path):
            if name and path.exists() and Path(name).exists() and path.samefile(name):
                raise InputError(f"{path}: is a recorded file of this run and is never changed; choose another name")
