"""Writes that are either whole or absent, and their errors in one line."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sorter.core.errors import WorkFolderError


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Turn what the disk refuses (full, read-only, no permission) into a WorkFolderError that names ``path``."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise WorkFolderError(f"{path}: cannot be written ({why}); free space or choose another folder") from error


def write_text_whole(path: Path, text: str) -> None:
    """Write a text file so that it is either whole or absent. Raises WorkFolderError."""
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        with writing(path):
            partial.write_text(text)
            os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def whole_folder(final: Path) -> Iterator[Path]:
    """A new folder to fill, that takes the place of ``final`` when the block ends well. Raises WorkFolderError.

    One writer at a time (the work folder's lock sees to that); what a killed one left is removed.
    """
    for ending in ("partial", "old"):
        for leftover in final.parent.glob(f".{final.name}.*.{ending}"):
            shutil.rmtree(leftover, ignore_errors=True)
    tag = uuid.uuid4().hex
    partial, old = final.with_name(f".{final.name}.{tag}.partial"), final.with_name(f".{final.name}.{tag}.old")
    try:
        with writing(final):
            final.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            if final.exists():
                os.rename(final, old)
            os.rename(partial, final)
    finally:
        for leftover in (partial, old):
            shutil.rmtree(leftover, ignore_errors=True)
