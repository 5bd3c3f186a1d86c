"""What is in an HDF5 file: every dataset once, whatever links lead to it; and which of them holds the frames."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  registers the filters of compressed HDF5
import numpy as np
from numpy.typing import NDArray

from sorter.core.errors import InputError
from sorter.io.recording import require_file

#: Last names of datasets that have the shape of frames and are not frames.
_NOT_FRAMES = re.compile(r"(mask.*|pixel_mask.*|gain|dark|pedestal|flatfield.*|weights?|errors?|sigma)$", re.IGNORECASE)
_MIN_SIDE_PX = 8
#: How HDF5 says that a file is open in SWMR mode (or in a mode of the newer file format that comes before it).
_BEING_WRITTEN = "already open for write"


def natural_key(text: str) -> list[tuple[int, int, str]]:
    """Sorting key by which ``entry_2`` comes before ``entry_10``."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", text) if part]


def open_hdf5(path: str | Path, live: bool = False) -> h5py.File:
    """The HDF5 file ``path``, for reading. Raises InputError where it is missing, is something else, or is truncated.

    live: without a lock, and as a SWMR reader where a writer has it open in that mode (single writer, multiple readers).
    """
    found = require_file(path)
    if found.is_dir():
        raise InputError(f"{path}: is a folder; give a file, or the folder of a run or of images")
    if not h5py.is_hdf5(found):
        raise InputError(f"{path}: not an HDF5 file; check the file, or give it its proper ending")
    try:
        return _open_live(found) if live else h5py.File(found, "r", locking="best-effort")
    except OSError as error:
        what = "truncated; copy it again" if "truncated" in str(error) else f"cannot be opened ({error})"
        raise InputError(f"{path}: {what}") from error


def _open_live(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        if _BEING_WRITTEN not in str(error):
            raise
        return h5py.File(path, "r", swmr=True, locking=False)


def is_written_live(path: str | Path) -> bool:
    """Whether a writer has the file open in SWMR mode, so that it can be read at any moment."""
    try:
        h5py.File(path, "r", locking=False).close()
    except OSError as error:
        return _BEING_WRITTEN in str(error)
    return False


@dataclass(frozen=True)
class FoundDataset:
    """A dataset of a file: path by which it is stored, other paths that lead to it, and its shape, type, filters."""

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype
    chunks: tuple[int, ...] | None
    compression: str | None
    aliases: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Path, shape and type in one phrase."""
        return f"{self.path} {'x'.join(map(str, self.shape)) or 'scalar'} {self.dtype}"


@dataclass(frozen=True)
class FileTree:
    """All datasets of an HDF5 file in natural order, and links that lead nowhere."""

    datasets: tuple[FoundDataset, ...]
    dangling: tuple[str, ...]

    def find(self, path: str) -> FoundDataset | None:
        """The dataset stored at ``path``, or that a link at ``path`` leads to."""
        wanted = "/" + path.strip("/")
        return next((d for d in self.datasets if wanted == d.path or wanted in d.aliases), None)

    def named(self, *names: str) -> list[FoundDataset]:
        """Datasets one of whose paths ends in one of ``names``."""
        return [d for d in self.datasets if any(p.rsplit("/", 1)[-1] in names for p in (d.path, *d.aliases))]


def read_tree(file: h5py.File, root: str = "/") -> FileTree:
    """Walk ``file`` below the group ``root``. Soft and external links are followed; each object is listed once, under a hard
    link where it has one."""
    paths: dict[tuple[int, int], list[str]] = {}
    found: dict[tuple[int, int], h5py.Dataset] = {}
    dangling: list[str] = []
    seen_groups: set[tuple[int, int]] = set()
    links: list[str] = []
    _walk_hard(file[root], root, paths, found, seen_groups, links)
    while links:
        path = links.pop(0)
        try:
            target = file[path]
        except (KeyError, OSError):
            dangling.append(path)
            continue
        if isinstance(target, h5py.Group):
            _walk_hard(target, path, paths, found, seen_groups, links)
        else:
            _note(target, path, paths, found)
    datasets = [_describe(found[key], paths[key]) for key in found]
    return FileTree(tuple(sorted(datasets, key=lambda d: natural_key(d.path))), tuple(dangling))


def _identity(item: h5py.HLObject) -> tuple[int, int]:
    info = h5py.h5o.get_info(item.id)
    return int(info.fileno), int(info.addr)


def _note(item: h5py.HLObject, path: str, paths: dict, found: dict) -> None:
    if isinstance(item, h5py.Dataset):
        key = _identity(item)
        paths.setdefault(key, []).append(path)
        found.setdefault(key, item)


def _walk_hard(group: h5py.Group, path: str, paths: dict, found: dict, seen: set, links: list[str]) -> None:
    if _identity(group) in seen:
        return
    seen.add(_identity(group))
    for name in sorted(group, key=natural_key):
        here = f"{path.rstrip('/')}/{name}"
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            links.append(here)
            continue
        item = group[name]
        if isinstance(item, h5py.Group):
            _walk_hard(item, here, paths, found, seen, links)
        else:
            _note(item, here, paths, found)


def _describe(dataset: h5py.Dataset, paths: list[str]) -> FoundDataset:
    plist = dataset.id.get_create_plist()
    filters = [plist.get_filter(i)[3].decode(errors="replace") for i in range(plist.get_nfilters())]
    kind = dataset.dtype
    return FoundDataset(
        paths[0], tuple(dataset.shape or ()), kind, dataset.chunks, ", ".join(filters) or None, tuple(paths[1:])
    )


def is_frames(dataset: FoundDataset) -> bool:
    """Whether the dataset could be a stack of frames (N, ny, nx) or of modules (N, module, ny, nx)."""
    if dataset.dtype.kind not in "uif" or len(dataset.shape) not in (3, 4):
        return False
    if any(p.startswith("/truth/") for p in (dataset.path, *dataset.aliases)):
        return False
    return min(dataset.shape[-2:]) >= _MIN_SIDE_PX or 0 in dataset.shape


def frame_candidates(tree: FileTree) -> list[FoundDataset]:
    """Datasets that could be the frames; masks, darks and the like count only where there is nothing else."""
    stacks = [d for d in tree.datasets if is_frames(d)]
    proper = [d for d in stacks if not _NOT_FRAMES.match(d.path.rsplit("/", 1)[-1])]
    return proper or stacks


def choose_dataset(path: str | Path, tree: FileTree, wanted: str | None) -> FoundDataset:
    """The dataset of the frames: ``wanted``, or the only candidate.

    Raises InputError that lists what is there when ``wanted`` is missing or the choice is not clear.
    """
    if wanted is not None:
        found = tree.find(wanted)
        if found is None:
            raise InputError(f"{path}: no dataset {wanted}; there are: {_listing(tree.datasets)}")
        if len(found.shape) not in (3, 4) or found.dtype.kind not in "uif":
            raise InputError(
                f"{path}: {found.text} is no stack of frames (N, ny, nx); there are: {_listing(tree.datasets)}"
            )
        return found
    candidates = frame_candidates(tree)
    if not candidates:
        raise InputError(
            f"{path}: no 3-D dataset of frames; there are: {_listing(tree.datasets)}; give a file with a stack (N, ny, nx)"
        )
    if len(candidates) > 1:
        raise InputError(
            f"{path}: {len(candidates)} datasets could be the frames ({_listing(candidates)}); choose with --dataset"
        )
    return candidates[0]


def _listing(datasets: list[FoundDataset] | tuple[FoundDataset, ...], most: int = 12) -> str:
    shown = [d.text for d in datasets[:most]]
    more = len(datasets) - len(shown)
    return (", ".join(shown) or "no datasets at all") + (f" and {more} more" if more > 0 else "")


def grown_alike(file: h5py.File, tree: FileTree, n_frames: int) -> FileTree:
    """The tree of a file that grows, with ``n_frames`` rows for each dataset that grows: a writer appends to one after another,
    so a look between two appends sees different lengths."""
    grown = [
        replace(d, shape=(n_frames, *d.shape[1:])) if d.shape and file[d.path].maxshape[0] is None else d
        for d in tree.datasets
    ]
    return replace(tree, datasets=tuple(grown))


def column_datasets(tree: FileTree, n_frames: int, frames: FoundDataset, most_values: int) -> Iterator[FoundDataset]:
    """Datasets with one row per frame, at most ``most_values`` numbers or one text each."""
    for dataset in tree.datasets:
        if dataset.path == frames.path or not dataset.shape or dataset.shape[0] != n_frames:
            continue
        text = h5py.check_string_dtype(dataset.dtype) is not None
        size = int(np.prod(dataset.shape[1:], dtype=np.int64))
        if (text and size == 1) or (dataset.dtype.kind in "buif" and size <= most_values):
            yield dataset


def column_names(paths: list[str]) -> list[str]:
    """Short, different names of columns: the last part of each path, with more of it where two would be the same."""
    depth = dict.fromkeys(paths, 1)
    while True:
        names = ["_".join(p.strip("/").split("/")[-depth[p] :]) for p in paths]
        clashes = {n for n in names if names.count(n) > 1}
        deeper = [p for p, n in zip(paths, names) if n in clashes and depth[p] < p.count("/")]
        if not deeper:
            return names
        for p in deeper:
            depth[p] += 1


def as_text(values: NDArray) -> NDArray:
    """Byte or variable-length strings (N,) as unicode (N,)."""
    flat = [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in np.asarray(values).ravel()]
    return np.array(flat, dtype=str) if flat else np.empty(0, "U1")
