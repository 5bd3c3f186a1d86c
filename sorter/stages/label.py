"""Give labels to clusters or frames, take them away, undo, redo."""

from __future__ import annotations

from pathlib import Path

from sorter.core.errors import InputError
from sorter.core.identity import IdIndex
from sorter.core.labels import LabelEvent
from sorter.curate.classes import read_classes
from sorter.curate.import_labels import read_labels
from sorter.curate.label_book import LabelBook
from sorter.io.workfolder import WorkFolder
from sorter.stages.subset import SubsetConfig, choose_frames


def label(
    work: str | Path | WorkFolder, what: SubsetConfig, word: str, remove: bool = False, author: str | None = None
) -> LabelEvent | None:
    """Give the label ``word`` to the frames that ``what`` chooses, or take it away; None where nothing changed.

    Raises InputError for an unknown cluster, label or frame, or a word that cannot be a label.
    """
    work = work if isinstance(work, WorkFolder) else WorkFolder.open(work)
    book = LabelBook(work.labels_path, author)
    chosen = choose_frames(work, what)
    change = book.remove if remove else book.add
    return change(chosen.frame_id, word, chosen.rule)


def label_frames(
    work: str | Path | WorkFolder, frame_id: list[int], word: str, remove: bool = False, author: str | None = None
) -> LabelEvent | None:
    """`label` for frames named by their ids. Raises InputError that names the first one the work folder lacks."""
    from sorter.curate.choice import parse_frame_ids

    work = work if isinstance(work, WorkFolder) else WorkFolder.open(work)
    ids = parse_frame_ids([str(i) for i in frame_id], "--frames")
    known = set(work.frames().frame_ids.tolist())
    for i in ids.tolist():
        if i not in known:
            raise InputError(f"frame {i}: not in this work folder; 'shotsort table' lists its frames")
    book = LabelBook(work.labels_path, author)
    return (book.remove if remove else book.add)(ids, word, f"{len(ids)} frames by id")


def import_labels(
    work: str | Path | WorkFolder, path: str | Path, new_classes: bool = False, author: str | None = None
) -> list[LabelEvent]:
    """Give the labels of a CSV file (`sorter.curate.import_labels`): one event per label, none for what all have already.

    Where classes are defined, others are refused unless ``new_classes``. Nothing is given where anything is wrong: InputError
    names the unknown classes, or the first frame that the work folder lacks.
    """
    work = work if isinstance(work, WorkFolder) else WorkFolder.open(work)
    known = [one.name for one in read_classes(work.classes_path)]
    found = read_labels(path, known if known and not new_classes else None)
    index = IdIndex(work.frames().frame_ids)
    for word, ids in found.items():
        lost = ids[index.rows(ids) < 0]
        if len(lost):
            raise InputError(f"{path}: frame {lost[0]} (label '{word}') is not in this work folder")
    book = LabelBook(work.labels_path, author)
    events = [book.add(ids, word, f"imported from {Path(path).name}") for word, ids in found.items()]
    return [event for event in events if event is not None]
