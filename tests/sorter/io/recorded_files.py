"""Small recorded files, one maker per format: maker(folder, frames) -> path. Each holds the same frames."""

from __future__ import annotations

from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import tifffile
import zarr
from numpy.typing import NDArray

BAD = (2, 3)


def some_frames(n: int = 12, shape: tuple[int, int] = (16, 20), seed: int = 0) -> NDArray[np.uint16]:
    """(n, ny, nx) photon counts, each frame different."""
    return np.random.default_rng(seed).poisson(2.0, (n, *shape)).astype(np.uint16)


def cxi_mask(shape: tuple[int, int]) -> NDArray[np.uint32]:
    """CXI flags: one hot pixel, one that only has signal."""
    mask = np.zeros(shape, np.uint32)
    mask[BAD], mask[0, 0] = 0x4, 0x1000
    return mask


def hdf5(folder: Path, frames: NDArray, name: str = "run.h5") -> Path:
    """Compressed frames at a path of their own, with a soft link, a column and a text column."""
    with h5py.File(folder / name, "w") as file:
        file.create_dataset(
            "scan/detector/images", data=frames, chunks=(1, *frames.shape[1:]), **hdf5plugin.Bitshuffle()
        )
        file["frames"] = h5py.SoftLink("/scan/detector/images")
        file["scan/delay_s"] = np.arange(len(frames)) * 0.5
        file.create_dataset("scan/sample", data=[f"drop {i}" for i in range(len(frames))])
    return folder / name


def cxi(folder: Path, frames: NDArray, spelling: str = "experiment_identifier") -> Path:
    """A CXI file with a stack, geometry and a mask."""
    path = folder / "run.cxi"
    with h5py.File(path, "w") as file:
        file["cxi_version"] = 160
        detector = file.create_group("entry_1/instrument_1/detector_1")
        detector["data"] = frames
        detector["data"].attrs["axes"] = f"{spelling}:y:x"
        detector["mask"] = cxi_mask(frames.shape[1:])
        detector["distance"], detector["x_pixel_size"], detector["y_pixel_size"] = 0.5, 75e-6, 75e-6
        detector["corner_position"] = np.array([10 * 75e-6, 8 * 75e-6, 0.5])
        detector["basis_vectors"] = np.array([[0, -75e-6], [-75e-6, 0], [0, 0]])
        file["entry_1/instrument_1/source_1/energy"] = 1.602176634e-19 * 1000
        file["entry_1/data_1/data"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/data")
        file["entry_1/data_1/mask"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/mask")
        file[f"entry_1/data_1/{spelling}"] = np.array([f"shot{i}".encode() for i in range(len(frames))])
    return path


def cxi_entries(folder: Path, frames: NDArray) -> Path:
    """One frame per entry, made in an order that is neither natural nor alphabetical."""
    path = folder / "entries.cxi"
    with h5py.File(path, "w") as file:
        for i in reversed(range(len(frames))):
            entry = file.create_group(f"entry_{i + 1}")
            entry["instrument_1/detector_1/data"] = frames[i]
            entry["instrument_1/detector_1/mask"] = cxi_mask(frames.shape[1:])
            entry["instrument_1/source_1/energy"] = 1.602176634e-19 * 92
            entry["note_1/data"] = np.array([i, 2 * i])
    return path


def npy(folder: Path, frames: NDArray) -> Path:
    """A .npy file."""
    np.save(folder / "run.npy", frames)
    return folder / "run.npy"


def npz(folder: Path, frames: NDArray) -> Path:
    """A compressed .npz file with a column and a mask."""
    np.savez_compressed(
        folder / "run.npz", frames=frames, delay_s=np.arange(len(frames)), mask=cxi_mask(frames.shape[1:])
    )
    return folder / "run.npz"


def tiff(folder: Path, frames: NDArray) -> Path:
    """A TIFF stack."""
    tifffile.imwrite(folder / "run.tif", frames, photometric="minisblack")
    return folder / "run.tif"


def edf(folder: Path, frames: NDArray) -> Path:
    """An EDF file with several frames."""
    import fabio.edfimage

    image = fabio.edfimage.EdfImage(data=frames[0], header={"PSize_1": "7.5e-05", "SampleDistance": "0.5"})
    for frame in frames[1:]:
        image.append_frame(data=frame)
    image.write(str(folder / "run.edf"))
    return folder / "run.edf"


def zarr_group(folder: Path, frames: NDArray) -> Path:
    """A zarr group as a simulation writes it."""
    group = zarr.open_group(folder / "run.zarr", mode="w")
    group.create_array("frames", data=frames, chunks=(4, *frames.shape[1:]))
    group.create_array("mask", data=cxi_mask(frames.shape[1:]))
    group.create_array("truth/photons", data=frames.sum((1, 2)))
    group.attrs["unit"] = "photon"
    return folder / "run.zarr"


MAKERS = {
    "hdf5": hdf5,
    "cxi": cxi,
    "cxi_entries": cxi_entries,
    "npy": npy,
    "npz": npz,
    "tiff": tiff,
    "edf": edf,
    "zarr": zarr_group,
}
