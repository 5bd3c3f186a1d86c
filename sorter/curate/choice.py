"""Rules that choose frames, and the subset that comes out."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sorter.core.clustering import Clustering
from sorter.core.errors import InputError
from sorter.core.identity import rows_of
from sorter.core.subset import Subset
from sorter.curate.label_book import LabelBook


def read_frame_ids(path: str | Path) -> NDArray[np.uint64]:
    """Frame ids from a text file: one per line ('#' starts a comment), or the column frame_id of a CSV file.

    Raises InputError for a file that cannot be read or a line that is no frame id.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a list of frame ids ({error})") from error
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if lines and "frame_id" in lines[0].split(","):
        words = [row["frame_id"] for row in csv.DictReader(lines)]
    else:
        words = [line.split()[0] for line in lines]
    if not words:
        raise InputError(f"{path}: holds no frame ids; write one per line")
    return parse_frame_ids(words, str(path))


def parse_frame_ids(words: list[str], where: str) -> NDArray[np.uint64]:
    """Frame ids from text. Raises InputError that names the first word that is none."""
    for word in words:
        if not (word.isascii() and word.isdigit() and int(word) < 2**63):
            raise InputError(f"{where}: '{word}' is not a frame id (a whole number, as in 'shotsort table')")
    return np.array([int(word) for word in words], np.uint64)


def frames_of_label(book: LabelBook, label: str) -> Subset:
    """The frames that carry ``label`` now. Raises InputError where none does."""
    return Subset(label, book.frames_with(label), f"label {label}", book.revision, {"label": label})


def frames_of_cluster(clustering: Clustering, cluster: int, revision: int) -> Subset:
    """The members of a cluster. Raises InputError for one that does not exist or has no members."""
    members = clustering.members(cluster)
    if not len(members):
        raise InputError(f"cluster {cluster}: has no frames in clustering '{clustering.name}'")
    rule = f"cluster {cluster} of {clustering.name}"
    meta = {"clustering": clustering.name, "cluster": cluster, "config": clustering.meta.get("config")}
    return Subset(f"cluster_{cluster}", members, rule, revision, meta)


def in_run_order(subset: Subset, ordered_ids: NDArray[np.uint64]) -> tuple[Subset, int]:
    """``subset`` in the order of the run's ``ordered_ids``, each frame once, and how many of its frames the run lacks.

    Raises InputError where the run has none of them.
    """
    wanted = np.unique(subset.frame_id)
    rows = np.sort(rows_of(ordered_ids, wanted))
    lost = int((rows < 0).sum())
    if lost == len(wanted):
        raise InputError(f"{subset.rule}: none of its {len(wanted)} frames is in this work folder")
    kept = ordered_ids[rows[rows >= 0]]
    return Subset(subset.name, kept, subset.rule, subset.label_book_revision, subset.meta), lost
