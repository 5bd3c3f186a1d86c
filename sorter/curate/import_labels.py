"""Labels from a CSV file, as `shotsort table` writes it or as other tools do."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sorter.core.errors import InputError
from sorter.curate.choice import parse_frame_ids
from sorter.curate.label_book import checked_label

#: Unknown classes that a message lists.
_AT_MOST = 8


def read_labels(path: str | Path, classes: list[str] | None = None) -> dict[str, NDArray[np.uint64]]:
    """Label -> ids of the frames that the CSV file gives it to: columns frame_id and label, several labels joined by ";".

    ``classes``: the labels that are known; None takes any. Raises InputError that names the file and the line: of a file that
    cannot be read, has no such columns, or holds a frame id that is none; all unknown classes with their first lines.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in ("frame_id", "label") if name not in (reader.fieldnames or [])]
            if missing:
                raise InputError(f"{path}: no column '{missing[0]}'; labels need the columns frame_id and label")
            rows = [(reader.line_num, row["frame_id"] or "", row["label"] or "") for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a CSV file ({error})") from error
    found: dict[str, list[np.uint64]] = {}
    first: dict[str, int] = {}
    for line, frame, words in rows:
        for word in filter(None, (part.strip() for part in words.split(";"))):
            label = checked_label(word)
            found.setdefault(label, []).append(parse_frame_ids([frame], f"{path}, line {line}")[0])
            first.setdefault(label, line)
    unknown = [f"'{word}' (line {first[word]})" for word in found if classes is not None and word not in classes]
    if unknown:
        more = f" and {len(unknown) - _AT_MOST} more" if len(unknown) > _AT_MOST else ""
        listed = ", ".join(unknown[:_AT_MOST]) + more
        raise InputError(f"{path}: unknown classes {listed}; define them in the explorer, or give --new-classes")
    if not found:
        raise InputError(f"{path}: no frame in it has a label")
    return {word: np.array(ids, np.uint64) for word, ids in found.items()}
