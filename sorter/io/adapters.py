"""Which adapter reads what: a table from name to class, and the choice by looking at the path."""

from __future__ import annotations

import importlib
from pathlib import Path

from sorter.core.errors import InputError
from sorter.io.hdf5_tree import natural_key
from sorter.io.recording import Reader, ReadOptions, require_file

#: name -> module:class; modules are imported when one of their files is opened.
ADAPTERS = {
    "hdf5": "sorter.io.hdf5:Hdf5Reader",
}

_SUFFIXES = {
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".hdf": "hdf5",
    ".nxs": "hdf5",
    ".cxi": "hdf5",
}


def adapter(name: str) -> type[Reader]:
    """The adapter class of this name. Raises InputError for a name that is not in the table."""
    if name not in ADAPTERS:
        raise InputError(f"reader '{name}': not known; there are {', '.join(sorted(ADAPTERS))}")
    module, _, cls = ADAPTERS[name].partition(":")
    return getattr(importlib.import_module(module), cls)


def adapter_name(path: str | Path) -> str:
    """Name of the adapter for ``path``. Raises InputError where there is none or nothing is there."""
    found = require_file(path)
    name = _SUFFIXES.get(found.suffix.lower(), "hdf5")
    return name


def open_recording(path: str | Path, options: ReadOptions | None = None) -> Reader:
    """An open reader of ``path``; use it as a context manager."""
    return adapter(adapter_name(path))(path, options or ReadOptions())


def expand_sources(paths: list[str | Path]) -> list[str]:
    """Folders of images as their files in natural order; everything else as it was given. Raises InputError."""
    out: list[str] = []
    for path in paths:
        require_file(path)
        out.append(str(path))
    return sorted(set(out), key=lambda p: (out.index(p), natural_key(p)))
