"""Which adapter reads what: a table from name to class, and the choice by looking at the path."""

from __future__ import annotations

import importlib
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path

from sorter.core.errors import InputError
from sorter.io.hdf5_tree import natural_key
from sorter.io.recording import Reader, ReadOptions, require_file

log = logging.getLogger(__name__)

#: name -> module:class; modules are imported when one of their files is opened.
ADAPTERS = {
    "hdf5": "sorter.io.hdf5:Hdf5Reader",
    "cxi_entries": "sorter.io.cxi:EntriesReader",
    "npy": "sorter.io.numpy_files:NpyReader",
    "npz": "sorter.io.numpy_files:NpzReader",
    "tiff": "sorter.io.images:TiffReader",
    "fabio": "sorter.io.images:FabioReader",
    "zarr": "sorter.io.zarr_runs:ZarrReader",
    "euxfel": "sorter.io.euxfel:EuxfelReader",
}

_HDF5 = (".h5", ".hdf5", ".hdf", ".he5", ".nxs", ".nx", ".cxi")
_IMAGES = {".tif": "tiff", ".tiff": "tiff", ".cbf": "fabio", ".edf": "fabio"}
_SUFFIXES = {**dict.fromkeys(_HDF5, "hdf5"), **_IMAGES, ".npy": "npy", ".npz": "npz"}
_EUXFEL_FILE = re.compile(r"(RAW|CORR|PROC)-R\d+-\w+-S\d+\.h5")
#: Images in the folder of a run that are not its frames.
_NOT_FRAMES = re.compile(r"(dark|white(field)?|flat(field)?|mask|background)", re.IGNORECASE)


def adapter(name: str) -> type[Reader]:
    """The adapter class of this name. Raises InputError for a name that is not in the table."""
    if name not in ADAPTERS:
        raise InputError(f"reader '{name}': not known; there are {', '.join(sorted(ADAPTERS))}")
    module, _, cls = ADAPTERS[name].partition(":")
    return getattr(importlib.import_module(module), cls)


def adapter_name(path: str | Path, live: bool = False) -> str:
    """Name of the adapter for ``path``; live: see `ReadOptions`. Raises InputError where there is none or nothing is there."""
    found = require_file(path)
    if found.is_dir():
        return _folder_adapter(path, found)
    name = _SUFFIXES.get(found.suffix.lower())
    if name is None:
        with found.open("rb") as file:
            if file.read(8) != b"\x89HDF\r\n\x1a\n":
                raise InputError(
                    f"{path}: not a format that is read ({', '.join(sorted(_SUFFIXES))}, zarr and EuXFEL run folders)"
                )
        name = "hdf5"
    if name == "hdf5":
        from sorter.io.cxi import has_single_frames

        return "cxi_entries" if has_single_frames(path, live) else "hdf5"
    return name


def _folder_adapter(path: str | Path, found: Path) -> str:
    if is_zarr(found):
        return "zarr"
    if any(_EUXFEL_FILE.fullmatch(p.name) for p in found.iterdir()):
        return "euxfel"
    if (found / "shotsort.json").exists():
        raise InputError(f"{path}: is a work folder; give recorded files, or the frames.zarr in it")
    raise InputError(f"{path}: neither a zarr group, nor an EuXFEL run, nor a folder of images; give its files")


def is_zarr(folder: Path) -> bool:
    """Whether a folder is a zarr group or array."""
    return any((folder / name).exists() for name in ("zarr.json", ".zgroup", ".zarray"))


def live_files(folder: Path) -> list[str]:
    """Files in a folder that may hold frames by their names, natural order. Raises OSError where it cannot be listed, InputError
    for the run of a facility that offers a stream for this."""
    names = [n for n in os.listdir(folder) if Path(n).suffix.lower() in _SUFFIXES and not n.startswith(".")]
    if any(_EUXFEL_FILE.fullmatch(name) for name in names):
        raise InputError(f"{folder}: is an EuXFEL run; watch the Karabo bridge that serves it (tcp://HOST:PORT)")
    return [str(folder / name) for name in sorted(names, key=natural_key)]


def open_recording(path: str | Path, options: ReadOptions | None = None) -> Reader:
    """An open reader of ``path``; use it as a context manager."""
    options = options or ReadOptions()
    return adapter(adapter_name(path, options.live))(path, options)


def expand_sources(paths: Sequence[str | Path]) -> list[str]:
    """Paths as given, each file once; a folder of images becomes its images in natural order.

    Darks, white fields and masks among the images of a folder are left out, and said so. Raises InputError for what is missing.
    """
    out: dict[Path, str] = {}
    for path in paths:
        found = require_file(path)
        for one in _images_in(path, found) or [str(path)]:
            out.setdefault(Path(one).resolve(), one)
    return list(out.values())


def _images_in(path: str | Path, folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    images = [p for p in folder.iterdir() if p.suffix.lower() in _IMAGES and not p.name.startswith(".")]
    skipped = sorted(p.name for p in images if _NOT_FRAMES.fullmatch(p.stem))
    if skipped:
        log.warning("%s: %s left out (no frames by their names)", path, ", ".join(skipped))
    kept = [p for p in images if p.name not in skipped]
    return [str(p) for p in sorted(kept, key=lambda p: natural_key(p.name))]
