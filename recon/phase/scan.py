"""Read a 3-D Bragg scan: HDF5, ``.npy``, or a folder of TIFFs with its SPEC header, dark frame and white field."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon.phase.spec import ScanGeometry, SpecHeader, is_spec, read_spec
from sorter.core.errors import InputError
from sorter.io.hdf5_tree import natural_key, open_hdf5, read_tree

_SPECIAL = ("dark", "whitefield", "flat")


@dataclass(frozen=True)
class Scan:
    """counts (nz, ny, nx) float32, the rocking angle first; bad_pixels of the same shape, bool; geometry; remarks: what was
    done on the way, in words."""

    name: str
    counts: NDArray[np.float32]
    bad_pixels: NDArray[np.bool_]
    geometry: ScanGeometry = field(default_factory=ScanGeometry)
    remarks: tuple[str, ...] = ()


def read_scan(
    path: str | Path, *, dataset: str | None = None, index: int | None = None, scan: int | None = None
) -> Scan:
    """The scan at ``path``. dataset: in an HDF5 file (default: the only one of three axes, or the largest); index: which volume
    of an array of four axes; scan: its number in the SPEC file.

    Raises InputError for what is no volume.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; check the name")
    if path.is_dir():
        return _from_folder(path, scan)
    if path.suffix == ".npy":
        return _plain(path, _volume(_load_npy(path), index, str(path)))
    with open_hdf5(path) as file:
        found = _volumes(file)
        if dataset is None and not found:
            raise InputError(f"{path}: holds no array of three axes; name one with --dataset, or check the file")
        name = dataset or found[0]
        if name not in file or not hasattr(file[name], "shape"):
            raise InputError(f"{path}: holds no array {name}; give the name of one with --dataset")
        others = () if dataset else found[1:]
        remarks = (f"{path.name}: {name} is taken; --dataset chooses another: {', '.join(others)}",) if others else ()
        return _plain(path, _volume(file[name], index, f"{path}:{name}"), remarks)


def _load_npy(path: Path) -> NDArray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a whole .npy file of numbers ({error}); write it again") from error


def _volumes(file) -> list[str]:
    """Names of the arrays that may be the scan, those of three axes before those of four, the largest first."""
    found = [d for d in read_tree(file).datasets if d.dtype.kind in "uif" and len(d.shape) in (3, 4)]
    return [d.path for d in sorted(found, key=lambda d: (len(d.shape), -int(np.prod(d.shape))))]


def _volume(array, index: int | None, where: str) -> NDArray[np.float32]:
    shape = tuple(array.shape)
    if len(shape) == 4 and shape[0] > 1 and index is None:
        raise InputError(f"{where}: holds {shape[0]} volumes; choose one with --index 0..{shape[0] - 1}")
    if len(shape) == 4:
        if not 0 <= (index or 0) < shape[0]:
            raise InputError(f"{where}: holds {shape[0]} volumes; --index {index} is not one of them")
        array, shape = array[index or 0], shape[1:]
    if len(shape) != 3:
        what = "a 2-D frame" if len(shape) == 2 else f"an array of {len(shape)} axes"
        raise InputError(f"{where}: is {what} {shape}; phasing needs a 3-D array (rocking angle, rows, columns)")
    if array.dtype.kind not in "uifb":
        raise InputError(f"{where}: holds {array.dtype}, not counts; save intensities")
    return np.asarray(array[...], np.float32)


def _plain(path: Path, counts: NDArray[np.float32], remarks: tuple[str, ...] = ()) -> Scan:
    return Scan(path.name, counts, np.zeros(counts.shape, bool), remarks=remarks)


def _from_folder(folder: Path, scan: int | None) -> Scan:
    files = sorted(
        (f for f in folder.iterdir() if f.suffix.lower() in (".tif", ".tiff")), key=lambda f: natural_key(f.name)
    )
    special = {f.stem.lower(): f for f in files if f.stem.lower() in _SPECIAL}
    frames = [f for f in files if f not in special.values()]
    if len(frames) < 2:
        raise InputError(f"{folder}: holds {len(frames)} TIFF frames; a scan is a folder of one TIFF for each angle")
    header = next((read_spec(f, scan) for f in sorted(folder.iterdir()) if f.is_file() and is_spec(f)), None)
    counts = (
        np.stack([_tiff(f) for f in frames]).astype(np.float32)
        if len({_tiff(f).shape for f in frames[:2]}) == 1
        else None
    )
    if counts is None or counts.ndim != 3:
        raise InputError(f"{folder}: frames are not all of one 2-D shape; leave only those of the scan")
    bad, counts, remarks = _corrected(counts, special, header)
    geometry = header.geometry if header else ScanGeometry()
    return Scan(folder.name, counts, np.broadcast_to(bad, counts.shape).copy(), geometry, remarks)


def _tiff(path: Path) -> NDArray:
    import tifffile

    try:
        return tifffile.imread(path)
    except Exception as error:  # tifffile raises whatever a damaged file makes it meet
        raise InputError(f"{path}: not a whole TIFF file ({error}); write it again or leave it out") from error


def _corrected(
    counts: NDArray[np.float32], special: dict[str, Path], header: SpecHeader | None
) -> tuple[NDArray[np.bool_], NDArray[np.float32], tuple[str, ...]]:
    """Bad pixels (ny, nx), counts with an even response, and remarks: hot pixels by the dark frame, gain by the white field."""
    shape, roi = counts.shape[1:], header.roi_px if header else None
    bad = np.zeros(shape, bool)
    remarks = []
    if "dark" in special:
        dark = _region(_tiff(special["dark"]), shape, roi, special["dark"])
        bad |= dark > 1
        remarks.append(f"{special['dark'].name}: {int((dark > 1).sum())} hot pixels left out")
    white_file = special.get("whitefield", special.get("flat"))
    if white_file is not None:
        white = _region(_tiff(white_file), shape, roi, white_file).astype(np.float32)
        middle = float(np.median(white))
        weak = white < 0.3 * middle
        bad |= weak
        counts = counts * np.where(weak, 0, middle / np.maximum(white, 1e-6)).astype(np.float32)
        remarks.append(f"{white_file.name}: response evened out, {int(weak.sum())} weak pixels left out")
    return bad, counts, tuple(remarks)


def _region(image: NDArray, shape: tuple[int, ...], roi: tuple[int, int, int, int] | None, path: Path) -> NDArray:
    """The part of a detector image where the frames lie: by the header's region, else the first rows and columns."""
    if image.shape == shape:
        return image
    x, width, y, height = roi or (0, shape[1], 0, shape[0])
    part = image[y : y + height, x : x + width]
    if part.shape != shape:
        raise InputError(
            f"{path}: {image.shape} pixels do not cover frames of {shape}; give an image of the frames' size"
        )
    return part
