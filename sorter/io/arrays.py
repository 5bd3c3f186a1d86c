"""One array from a file: a mask, a dark frame, a gain map."""

from __future__ import annotations

from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  registers the filters of compressed HDF5
import numpy as np
from numpy.typing import NDArray

from sorter.core.errors import InputError
from sorter.io.recording import require_file

_HDF5 = (".h5", ".hdf5", ".cxi", ".nxs", ".hdf")


def read_array(path: str | Path) -> NDArray:
    """The array in ``path``: .npy, .npz with one array, HDF5 with one array (or ``FILE:/DATASET``), TIFF, CBF, EDF.

    Raises InputError that names the file and what is wrong.
    """
    file, _, dataset = str(path).partition(":/")
    found = require_file(file)
    try:
        if found.suffix == ".npy":
            return np.load(found, allow_pickle=False)
        if found.suffix == ".npz":
            with np.load(found, allow_pickle=False) as arrays:
                return arrays[_only(path, list(arrays.files), dataset)]
        if found.suffix in _HDF5:
            with h5py.File(found, "r") as opened:
                return np.asarray(opened[_only(path, _datasets(opened), dataset)][()])
        return _image(found)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give .npy, .npz, HDF5 or an image") from error


def _only(path: str | Path, names: list[str], wanted: str) -> str:
    if wanted:
        return wanted
    if len(names) != 1:
        raise InputError(f"{path}: holds {len(names)} arrays ({', '.join(names)}); write {path}:/NAME")
    return names[0]


def _datasets(file: h5py.File) -> list[str]:
    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) and item.ndim else None)
    return names


def _image(path: Path) -> NDArray:
    import fabio

    if path.suffix.lower() in (".tif", ".tiff"):
        import tifffile

        return tifffile.imread(path)
    with fabio.open(path) as image:
        return np.asarray(image.data)
