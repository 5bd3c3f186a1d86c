"""Chosen frames as files for other programs: CXI (HDF5), NumPy, a list."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from sorter.core.manifest import package_version, utc_now
from sorter.core.subset import Subset
from sorter.curate.recorded import FrameBlocks
from sorter.io.whole import whole_file

CXI_VERSION = 160
_HC_JOULE_M = 6.62607015e-34 * 299792458.0  # h c, SI (exact)


@dataclass(frozen=True)
class FrameOrigin:
    """Where the frames of a subset come from, one row each: file (N,) text as it was given, run_id (N,) text,
    index (N,) int64 from 0 within the file, labels (N,) text joined by ";"."""

    file: NDArray[np.str_]
    run_id: NDArray[np.str_]
    index: NDArray[np.int64]
    labels: NDArray[np.str_]


def provenance(subset: Subset, binning: int, work: str) -> dict[str, Any]:
    """What an exported file says of how it came to be; JSON-ready."""
    return {
        "program": "shotsort",
        "version": package_version("shotsort"),
        "written": utc_now(),
        "work_folder": work,
        "rule": subset.rule,
        "label_book_revision": subset.label_book_revision,
        "n_frames": len(subset.frame_id),
        "sha256": subset.sha256,
        "binning": binning,
        "meta": subset.meta,
    }


def write_cxi(path: Path, subset: Subset, frames: FrameBlocks, origin: FrameOrigin, facts: dict[str, Any]) -> None:
    """Write a stack of frames as CXI 1.6 (Maia 2012; cxi_file_format.tex): data, mask, geometry, identifiers, provenance.

    /entry_1/instrument_1/detector_1 holds data (axes experiment_identifier:y:x), mask, distance, pixel sizes,
    corner_position and basis_vectors; source_1/energy is in joules; data_1 links to the data; note_1 holds the labels and
    /entry_1/process_1 where each frame came from. Geometry that is not known is left out.
    """
    with whole_file(path) as partial, h5py.File(partial, "w") as file:
        file["cxi_version"], file["number_of_entries"] = CXI_VERSION, 1
        entry = file.create_group("entry_1")
        entry["program_name"], entry["end_time"] = "shotsort", facts["written"]
        names = [f"{run}:{i}" for run, i in zip(origin.run_id, origin.index)]
        entry.create_dataset("experiment_identifier", data=names, dtype=h5py.string_dtype())
        detector = entry.create_group("instrument_1/detector_1")
        _write_frames(detector, frames, len(names))
        detector["mask"] = frames.mask_bits
        detector["experiment_identifier"] = h5py.SoftLink("/entry_1/experiment_identifier")
        _write_geometry(entry, detector, frames)
        data = entry.create_group("data_1")
        data["data"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/data")
        data["experiment_identifier"] = h5py.SoftLink("/entry_1/experiment_identifier")
        _write_provenance(entry, subset, origin, facts)


def _write_frames(detector: h5py.Group, frames: FrameBlocks, n: int) -> None:
    ny, nx = frames.shape_px
    data = detector.create_dataset("data", (n, ny, nx), frames.dtype, chunks=(1, ny, nx), compression="gzip",
                                   compression_opts=1, shuffle=True)  # fmt: skip
    data.attrs["axes"], data.attrs["unit"] = "experiment_identifier:y:x", frames.unit
    start = 0
    for block in frames.blocks():
        data[start : start + len(block)] = block
        start += len(block)


def _write_geometry(entry: h5py.Group, detector: h5py.Group, frames: FrameBlocks) -> None:
    geometry = frames.geometry
    pixel, distance = geometry.pixel_size_m, geometry.distance_m
    if geometry.wavelength_m is not None:
        source = entry.create_group("instrument_1/source_1")
        source["energy"], source["wavelength"] = _HC_JOULE_M / geometry.wavelength_m, geometry.wavelength_m
    if distance is not None:
        detector["distance"] = distance
    if pixel is not None:
        detector["x_pixel_size"] = detector["y_pixel_size"] = pixel
        # CXI 1.6, "The orientation of pixel detectors": one row per axis of the data, (x, y, z) from pixel to pixel
        detector["basis_vectors"] = np.array([[0, -pixel, 0], [-pixel, 0, 0]])
    if geometry.beam_center_px is None:
        return
    cy, cx = geometry.beam_center_px
    detector["beam_center_px"] = np.array([cy, cx])
    detector["beam_center_px"].attrs["units"] = "px"
    if pixel is not None and distance is not None:
        detector["corner_position"] = np.array([(cx + 0.5) * pixel, (cy + 0.5) * pixel, distance])


def _write_provenance(entry: h5py.Group, subset: Subset, origin: FrameOrigin, facts: dict[str, Any]) -> None:
    note = entry.create_group("note_1")
    note["description"] = "labels of each frame, several joined by ';'"
    note.create_dataset("data", data=origin.labels.tolist(), dtype=h5py.string_dtype())
    process = entry.create_group("process_1")
    for key, value in facts.items():
        process[key] = json.dumps(value) if isinstance(value, dict) else "" if value is None else value
    process["frame_id"], process["source_index"] = subset.frame_id, origin.index
    process.create_dataset("source_file", data=origin.file.tolist(), dtype=h5py.string_dtype())
    process.create_dataset("run_id", data=origin.run_id.tolist(), dtype=h5py.string_dtype())


def write_npy(path: Path, subset: Subset, frames: FrameBlocks, origin: FrameOrigin, facts: dict[str, Any]) -> None:
    """Write the frames as one array (N, ny, nx), and mask, geometry and provenance as ``path``.json."""
    with whole_file(path) as partial:
        with open(partial, "wb") as file:
            shape = (len(subset.frame_id), *frames.shape_px)
            header = {"descr": np.lib.format.dtype_to_descr(frames.dtype), "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for block in frames.blocks():
                file.write(np.ascontiguousarray(block, frames.dtype).tobytes())
        about = facts | {
            "geometry": frames.geometry.to_dict(),
            "mask_bits": frames.mask_bits.tolist(),
            "frame_id": subset.frame_id.tolist(),
            "source_file": origin.file.tolist(),
            "source_index": origin.index.tolist(),
            "labels": origin.labels.tolist(),
        }
        with whole_file(path.with_name(path.name + ".json")) as beside:
            beside.write_text(json.dumps(about, allow_nan=False) + "\n")


def write_list(path: Path, subset: Subset, origin: FrameOrigin, facts: dict[str, Any]) -> None:
    """Write frame_id, source_index, source_file of each frame, one line each; provenance in lines that start with '#'."""
    with whole_file(path) as partial, open(partial, "w", encoding="utf-8") as file:
        file.writelines(f"# {key}: {json.dumps(value)}\n" for key, value in facts.items())
        file.write("# frame_id source_index source_file\n")
        file.writelines(f"{i} {n} {f}\n" for i, n, f in zip(subset.frame_id, origin.index, origin.file))
