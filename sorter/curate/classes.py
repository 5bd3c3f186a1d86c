"""The classes that a person sorts into: a name, a key, a colour and a note each, in ``WORK/classes.json``.

A class is what a label may be; the label book says which frames carry it. The file can be copied from one work folder to the
next.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from sorter.core.errors import InputError, WorkFolderError
from sorter.core.manifest import utc_now
from sorter.curate.label_book import checked_label, user_name
from sorter.io.whole import write_text_whole

SCHEMA_VERSION = 1
#: Keys that a class may have; the other letters belong to the explorer.
KEYS = "1234567890deghiquwy"
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class LabelClass:
    """name: the label; key: one of KEYS, or none; color: #rrggbb, or none (the explorer chooses); note: what belongs in it;
    author and when (ISO 8601, UTC) of the last change."""

    name: str
    key: str = ""
    color: str = ""
    note: str = ""
    author: str = ""
    when: str = ""


def read_classes(path: Path) -> list[LabelClass]:
    """The classes in the order in which they were defined; none where the file is not there.

    Raises WorkFolderError for a damaged file or one of a newer schema.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["schema_version"] > SCHEMA_VERSION:
            raise WorkFolderError(f"{path}: written by a newer shotsort; update shotsort")
        return [LabelClass(**entry) for entry in values["classes"]]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise WorkFolderError(
            f"{path}: damaged ({error}); bring back a copy, or delete it: labels are kept elsewhere"
        ) from error


def define_class(path: Path, wanted: LabelClass, author: str | None = None) -> LabelClass:
    """Add a class, or change the one of the same name; a key or colour left empty is kept. Returns it as it is stored.

    A new class without a key gets the first free digit. Raises InputError for a name that no label can have, a key that is
    taken or reserved, or a colour that is none.
    """
    name = checked_label(wanted.name)
    known = {one.name: one for one in read_classes(path)}
    old = known.get(name)
    key = wanted.key.lower() or (old.key if old else _free_digit(known.values()))
    taken = next((one.name for one in known.values() if one.key == key and one.name != name), None)
    if key and (len(key) != 1 or key not in KEYS):
        raise InputError(f"key '{key}': a class may have one of {' '.join(KEYS)}")
    if key and taken is not None:
        raise InputError(f"key '{key}': is that of the class '{taken}'; choose another")
    color = wanted.color or (old.color if old else "")
    if color and not _COLOR.fullmatch(color):
        raise InputError(f"colour '{color}': write it as #rrggbb")
    note = (wanted.note or (old.note if old else ""))[:500]
    made = LabelClass(name, key, color, note, author or user_name(), utc_now())
    known[name] = made
    _write(path, list(known.values()))
    return made


def remove_class(path: Path, name: str) -> None:
    """Take a class off the list; labels that were given stay. Raises InputError for one that is not there."""
    known = read_classes(path)
    left = [one for one in known if one.name != name]
    if len(left) == len(known):
        have = ", ".join(one.name for one in known) or "none"
        raise InputError(f"class '{name}': not defined (classes: {have})")
    _write(path, left)


def _free_digit(known: Iterable[LabelClass]) -> str:
    used = {one.key for one in known}
    return next((digit for digit in KEYS[:10] if digit not in used), "")


def _write(path: Path, classes: list[LabelClass]) -> None:
    values = {"schema_version": SCHEMA_VERSION, "classes": [asdict(one) for one in classes]}
    write_text_whole(path, json.dumps(values, indent=1, ensure_ascii=False) + "\n")
