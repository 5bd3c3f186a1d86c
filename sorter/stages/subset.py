"""Choose frames by a rule."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sorter.core.config import config_to_dict, require
from sorter.core.subset import Subset
from sorter.curate.choice import frames_of_cluster, frames_of_label, in_run_order, read_frame_ids
from sorter.curate.label_book import LabelBook
from sorter.curate.table import table_order
from sorter.io.workfolder import WorkFolder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SubsetConfig:
    """Which frames: exactly one of label (they carry it now), cluster (of ``clustering``; -1 is noise), frames (a file of frame
    ids) and subset (a stored one)."""

    label: str | None = None
    cluster: int | None = None
    frames: str | None = None
    subset: str | None = None
    clustering: str = "density"

    def __post_init__(self) -> None:
        given = [n for n in ("label", "cluster", "frames", "subset") if getattr(self, n) is not None]
        said = ", ".join(given) or "none"
        require(len(given) == 1, f"choose frames by one of label, cluster, frames and subset (given: {said})")


def choose_frames(work: str | Path | WorkFolder, config: SubsetConfig) -> Subset:
    """The frames that a rule chooses now, in the order of the run.

    Frames that the work folder lacks are left out with a warning. Raises InputError for an unknown label or cluster, a file
    that is no list of frames, or no frame at all.
    """
    work = work if isinstance(work, WorkFolder) else WorkFolder.open(work)
    book = LabelBook(work.labels_path)
    if config.label is not None:
        subset = frames_of_label(book, config.label)
    elif config.cluster is not None:
        subset = frames_of_cluster(work.read_clustering(config.clustering), config.cluster, book.revision)
    elif config.subset is not None:
        subset = work.read_subset(config.subset)
    else:
        ids = read_frame_ids(str(config.frames))
        subset = Subset("frames", np.unique(ids), f"frames of {config.frames}", book.revision)
    store = work.frames()
    subset, lost = in_run_order(subset, store.frame_ids[table_order(store)])
    if lost:
        log.warning("%s: %d of its frames are not in this work folder; they are left out", subset.rule, lost)
    return subset


def subset(work: str | Path | WorkFolder, name: str, config: SubsetConfig) -> Subset:
    """Choose frames by a rule and store them under ``name``; what is stored does not follow later labels."""
    work = work if isinstance(work, WorkFolder) else WorkFolder.open(work)
    chosen = choose_frames(work, config)
    named = Subset(name, chosen.frame_id, chosen.rule, chosen.label_book_revision, chosen.meta)
    with work.stage(
        "subset", config_to_dict(config), None, {"label_book_revision": named.label_book_revision}, beside=True
    ) as record:
        work.write_subset(named)
        record.outputs.update(subset=name, sha256=named.sha256)
        record.metrics["subset/frames"] = len(named.frame_id)
    return named
