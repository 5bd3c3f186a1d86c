"""Where a simulated run goes: HDF5 (also under the name CXI) or zarr, written in parallel and finished at once.

While it is written, a run lives in the folder ``X.partial`` beside its final place X: the frames, the options, and one small
file of truth per finished unit. A unit counts when its truth file is there (written under another name, then renamed, after
the frames), so a killed run goes on where it stopped, and X itself appears whole or not at all.
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.errors import UnstableSpecificationWarning

from sim.recipes.base import Block, Recording
from sim.truth_columns import TruthColumn, truth_columns
from sorter.core.errors import InputError
from sorter.core.manifest import package_version

SCHEMA_VERSION = 1
_DATA = "entry_1/instrument_1/detector_1/data"
_DETECTOR = "entry_1/instrument_1/detector_1"
_JOULE_METRE = 6.62607015e-34 * 299792458.0  # h c


class Output(ABC):
    """A run being written. to: its final place; recording: what its frames share; description: recipe, options, seed,
    n_frames, as stored in the file; block_frames: of the recipe. unit_frames: what one worker writes at once."""

    unit_frames: int

    def __init__(self, to: Path, recording: Recording, description: dict[str, Any], block_frames: int) -> None:
        self.unit_frames = block_frames
        self.to, self.recording, self.description = Path(to), recording, json.loads(json.dumps(description))
        self.n_frames: int = description["n_frames"]
        self.partial = self.to.with_name(self.to.name + ".partial")

    @abstractmethod
    def create(self) -> None:
        """Make room for the frames in the partial folder."""

    @abstractmethod
    def write_frames(self, start: int, frames: NDArray) -> None:
        """Write whole units of frames from ``start`` on; called by workers, each with its own units."""

    @abstractmethod
    def finish(self) -> None:
        """Add truth and metadata and move the run to its final place."""

    def write(self, block: Block) -> None:
        """Write frames, then their truth: the mark that the unit is done."""
        self.write_frames(block.start, block.frames)
        name = self.partial / f"truth_{block.start:010d}.npz"
        temporary = self.partial / f"{os.getpid()}_{block.start:010d}.tmp.npz"
        plain = {k: v.astype(str) if v.dtype == object else v for k, v in block.truth.items()}
        np.savez(temporary, **plain)
        os.replace(temporary, name)

    def done(self) -> set[int]:
        """First frames of the units that are finished."""
        names = self.partial.glob("truth_*.npz")
        return {int(n.stem.removeprefix("truth_")) for n in names}

    def truth(self) -> Iterator[TruthColumn]:
        """Truth columns, one after the other, in order of the frames."""
        return truth_columns([self.partial / f"truth_{start:010d}.npz" for start in sorted(self.done())])

    def begin(self, overwrite: bool) -> str:
        """Find what is there: returns "complete", "partial" or "new" (then made).

        Raises InputError where something else is in the way and ``overwrite`` is not given.
        """
        found = self.stored_description() if self.to.exists() else None
        if self.to.exists() and not overwrite:
            if found == self.description:
                return "complete"
            raise InputError(f"{self.to}: {_difference(found, self.description)}; give --overwrite or another name")
        marker = self.partial / "description.json"
        if self.partial.exists():
            started = json.loads(marker.read_text()) if marker.exists() else None
            if started == self.description:
                return "partial"
            if started is not None and self.done() and not overwrite:
                raise InputError(
                    f"{self.partial}: {_difference(started, self.description)}; give --overwrite or another name"
                )
            shutil.rmtree(self.partial)
        self._check_space()
        self.partial.mkdir(parents=True)
        self.create()
        temporary = marker.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.description))
        os.replace(temporary, marker)
        return "new"

    def replace_target(self, made: Path) -> None:
        """Move ``made`` (inside the partial folder) to the final place and clear up."""
        if self.to.is_dir():
            shutil.rmtree(self.to)
        os.replace(made, self.to)
        shutil.rmtree(self.partial)

    @abstractmethod
    def stored_description(self) -> dict[str, Any] | None:
        """The description in an existing file; None where it is not a simulated run."""

    def _check_space(self) -> None:
        if not self.to.parent.is_dir():
            raise InputError(f"{self.to.parent}: no such folder; make it first")
        if not os.access(self.to.parent, os.W_OK):
            raise InputError(f"{self.to.parent}: not writable; choose another folder")
        need, free = self._bytes(), shutil.disk_usage(self.to.parent).free
        if need > free:
            raise InputError(
                f"{self.to}: needs {need / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; ask for fewer frames"
            )

    def _bytes(self) -> int:
        return int(self.n_frames * np.prod(self.recording.frame_shape) * self.recording.dtype.itemsize)


def _difference(found: dict[str, Any] | None, wanted: dict[str, Any]) -> str:
    if found is None:
        return "is there and is not a run made by this command"
    a, b = _flat(found), _flat(wanted)
    names = [n for n in sorted(a.keys() | b.keys()) if a.get(n) != b.get(n)]
    shown = ", ".join(f"{n} = {a.get(n)} there, {b.get(n)} here" for n in names[:3])
    return f"holds a run made with other options ({shown}{', ...' if len(names) > 3 else ''})"


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in values.items():
        out |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return out


class Hdf5Output(Output):
    """One HDF5 file with CXI paths. The frames are stored contiguously, so that workers can write them in place and a run that
    was killed is never a damaged file."""

    def create(self) -> None:
        """The file with its (still empty) data set and all metadata that are known beforehand."""
        with h5py.File(self.partial / "frames.h5", "w") as file:
            self._describe(file)
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_layout(h5py.h5d.CONTIGUOUS)
            plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            plist.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            space = h5py.h5s.create_simple((self.n_frames, *self.recording.frame_shape))
            kind = h5py.h5t.py_create(self.recording.dtype, logical=True)
            h5py.h5d.create(file[_DETECTOR].id, b"data", kind, space, plist)
            data = file[_DATA]
            letters = ("z", "y", "x")[-len(self.recording.frame_shape) :]
            data.attrs["axes"] = ":".join(("experiment_identifier", *letters))
            data.attrs["unit"] = self.recording.unit
            file["entry_1/data_1/data"] = h5py.SoftLink("/" + _DATA)
            offset = data.id.get_offset()
        (self.partial / "offset.json").write_text(json.dumps(offset))

    def _describe(self, file: h5py.File) -> None:
        file["cxi_version"] = 160
        detector = file.create_group(_DETECTOR)
        source = file.create_group("entry_1/instrument_1/source_1")
        file.create_group("entry_1/data_1")
        file["entry_1/title"] = f"simulated {self.description['recipe']} seed {self.description['seed']}"
        if self.recording.cxi_mask is not None:
            detector["mask"] = self.recording.cxi_mask
        geometry = self.recording.geometry
        if geometry is not None:
            detector["distance"] = geometry.distance_m
            detector["x_pixel_size"] = detector["y_pixel_size"] = geometry.pixel_size_m
            detector["beam_center_px"] = np.array(geometry.center_px())
            detector["beam_center_px"].attrs["unit"] = "pixel (y, x)"
            source["wavelength"] = geometry.wavelength_m
            source["energy"] = _JOULE_METRE / geometry.wavelength_m
        for name, value in {"kind": self.recording.kind, **self.recording.attrs}.items():
            file["entry_1"].attrs[name] = value

    def write_frames(self, start: int, frames: NDArray) -> None:
        """Frames at their place in the file; a full disk raises OSError."""
        offset = json.loads((self.partial / "offset.json").read_text())
        contiguous = np.ascontiguousarray(frames, self.recording.dtype)
        each = int(np.prod(self.recording.frame_shape)) * self.recording.dtype.itemsize
        with (self.partial / "frames.h5").open("r+b", buffering=0) as file:
            file.seek(offset + start * each)
            view = memoryview(contiguous).cast("B")
            while view:
                view = view[file.write(view) :]

    def finish(self) -> None:
        """Add /truth and move the file."""
        path = self.partial / "frames.h5"
        with h5py.File(path, "r+") as file:
            if "truth" in file:
                del file["truth"]
            group = file.create_group("truth")
            for column in self.truth():
                text = column.dtype.kind == "U"
                made = group.create_dataset(column.name, column.shape, h5py.string_dtype() if text else column.dtype)
                for rows, values in column.pieces(self.unit_frames):
                    made[rows] = values.astype(object) if text else values
            group.attrs["description"] = json.dumps(self.description)
            group.attrs["schema_version"] = SCHEMA_VERSION
            group.attrs["shotsort_version"] = str(package_version("shotsort"))
        self.replace_target(path)

    def stored_description(self) -> dict[str, Any] | None:
        """See `Output`."""
        try:
            with h5py.File(self.to, "r") as file:
                return json.loads(file["truth"].attrs["description"])
        except (OSError, KeyError, ValueError):
            return None


class ZarrOutput(Output):
    """A zarr v3 group: frames (N, ny, nx) in chunks of 64 frames, one shard per unit; mask, geometry in attrs,
    truth/."""

    def __init__(self, to: Path, recording: Recording, description: dict[str, Any], block_frames: int) -> None:
        super().__init__(to, recording, description, block_frames)
        self.chunk_frames = min(block_frames, 64)
        self.unit_frames = block_frames * max(256 // block_frames, 1)

    def create(self) -> None:
        """The group with its (still empty) frames."""
        group = zarr.open_group(self.partial / "frames.zarr", mode="w")
        shape = self.recording.frame_shape
        group.create_array(
            "frames",
            shape=(self.n_frames, *shape),
            dtype=self.recording.dtype,
            chunks=(self.chunk_frames, *shape),
            shards=(self.unit_frames, *shape),
            fill_value=0,
        )
        group["frames"].attrs["unit"] = self.recording.unit
        if self.recording.cxi_mask is not None:
            group.create_array("mask", data=self.recording.cxi_mask != 0)
            group.create_array("cxi_mask", data=self.recording.cxi_mask)
        if self.recording.geometry is not None:
            group.attrs["geometry"] = self.recording.geometry.to_dict()
        group.attrs["unit"] = self.recording.unit
        group.attrs.update({"kind": self.recording.kind, **self.recording.attrs})

    def write_frames(self, start: int, frames: NDArray) -> None:
        """One whole shard."""
        array = zarr.open_array(self.partial / "frames.zarr" / "frames", mode="r+")
        array[start : start + len(frames)] = frames

    def finish(self) -> None:
        """Add truth/ and move the folder."""
        path = self.partial / "frames.zarr"
        group = zarr.open_group(path, mode="r+")
        truth = group.require_group("truth")
        with warnings.catch_warnings():  # zarr-python's own text: read by shotsort and by whoever reads v3 through it
            warnings.simplefilter("ignore", UnstableSpecificationWarning)
            for column in self.truth():
                made = truth.create_array(column.name, shape=column.shape, dtype=column.dtype, overwrite=True)
                for rows, values in column.pieces(made.chunks[0]):
                    made[rows] = values
        truth.attrs["description"] = self.description
        truth.attrs["schema_version"] = SCHEMA_VERSION
        self.replace_target(path)

    def stored_description(self) -> dict[str, Any] | None:
        """See `Output`."""
        try:
            return dict(zarr.open_group(self.to, mode="r")["truth"].attrs["description"])
        except (OSError, KeyError, ValueError):
            return None


def output_for(to: Path, recording: Recording, description: dict[str, Any], block_frames: int) -> Output:
    """The output for the name of a file: .h5, .hdf5, .cxi or .zarr. Raises InputError for another ending."""
    suffix = Path(to).suffix.lower()
    if suffix in (".h5", ".hdf5", ".cxi"):
        return Hdf5Output(to, recording, description, block_frames)
    if suffix == ".zarr":
        return ZarrOutput(to, recording, description, block_frames)
    raise InputError(f"{to}: unknown ending {suffix!r}; use .h5, .cxi or .zarr")
