"""Writes that are either whole or absent, and their errors in one line."""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sorter.core.errors import InputError, WorkFolderError


@contextmanager
def writing(path: str | Path, *also: type[Exception]) -> Iterator[None]:
    """Turn what the disk refuses (full, read-only, no permission) into a WorkFolderError that names ``path``.

    also: errors by which a library says the same.
    """
    refusals: tuple[type[Exception], ...] = (OSError, *also)
    try:
        yield
    except refusals as error:
        raise WorkFolderError(
            f"{path}: cannot be written ({_reason(error)}); free space or choose another folder"
        ) from error


def _reason(error: Exception) -> str:
    """What the system said; HDF5 wraps a paragraph around it."""
    text = getattr(error, "strerror", None) or str(error)
    inner = re.search("error message = '([^']+)'", text)
    return inner[1] if inner else text.splitlines()[0] if text else type(error).__name__


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path`` that becomes ``path`` when the block ends well, and is removed when it does not.

    Raises WorkFolderError where it cannot be written, InputError where ``path`` is a folder or a device.
    """
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: is no file that could be replaced; give the name of a file")
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        with writing(path, RuntimeError):  # from h5py, where it cannot close a file on a full disk
            yield partial
            os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_text_whole(path: Path, text: str) -> None:
    """Write a text file so that it is either whole or absent. Raises WorkFolderError."""
    with whole_file(path) as partial:
        partial.write_text(text)


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


def clear_leftovers(folder: Path) -> None:
    """Remove what killed writers left below ``folder``; a folder that was to be replaced and has no successor gets its name back.

    One writer at a time (the work folder's lock sees to that).
    """
    for old in folder.rglob(".*.old"):
        final = old.with_name(old.name[1:].rsplit(".", 2)[0])
        if not final.exists():
            os.rename(old, final)
    for leftover in [*folder.rglob("*.partial"), *folder.rglob(".*.old")]:
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)
