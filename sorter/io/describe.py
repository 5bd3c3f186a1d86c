"""What is in a recorded file, for a person before they ingest it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from sorter.core.errors import InputError
from sorter.io.adapters import adapter, adapter_name
from sorter.io.hdf5_tree import frame_candidates, open_hdf5, read_tree
from sorter.io.masks import bad_pixels
from sorter.io.recording import Reader, ReadOptions

_SAMPLE_FRAMES, _SAMPLE_BYTES = 16, 48 << 20
_MAX_DATASETS = 400


def describe(path: str | Path, options: ReadOptions) -> dict[str, Any]:
    """JSON-ready description of ``path``: reader, datasets (HDF5), frames, geometry, mask, columns, values, odd.

    ``odd`` lists what a person should look at; where the frames cannot be read it says why and ``frames`` is None. Raises
    InputError for a file that cannot be opened at all.
    """
    name = adapter_name(path)
    out: dict[str, Any] = {"file": str(path), "reader": name, "frames": None, "odd": []}
    if name in ("hdf5", "cxi_entries"):
        out |= _hdf5_contents(path)
    try:
        reader = adapter(name)(path, options)
    except InputError as error:
        out["odd"].append(str(error).removeprefix(f"{path}: "))
        return out
    with reader:
        _describe_frames(out, reader)
    return out


def _hdf5_contents(path: str | Path) -> dict[str, Any]:
    with open_hdf5(path) as file:
        tree = read_tree(file)
        datasets = [
            {
                "path": d.path,
                "shape": list(d.shape),
                "dtype": str(d.dtype),
                "filters": d.compression,
                "links": list(d.aliases),
            }
            for d in tree.datasets[:_MAX_DATASETS]
        ]
        candidates = [d.path for d in frame_candidates(tree)]
    return {"datasets": datasets, "n_datasets": len(tree.datasets), "candidates": candidates}


def _describe_frames(out: dict[str, Any], reader: Reader) -> None:
    recording = reader.recording
    geometry = asdict(recording.geometry)
    out["frames"] = {
        "dataset": recording.dataset,
        "n": recording.n_frames,
        "shape_px": list(recording.shape_px),
        "dtype": str(recording.dtype),
        "unit": recording.unit,
        "run_id": recording.run_id,
    }
    out["geometry"] = {k: v for k, v in geometry.items() if k != "shape_px"}
    bits = recording.mask_bits
    out["mask"] = (
        None if bits is None else {"bad_pixels": int(bad_pixels(bits).sum()), "share": float(bad_pixels(bits).mean())}
    )
    out["mask_per_frame"] = recording.has_frame_masks
    for kind in ("columns", "truth"):
        rows = getattr(reader, kind)(0, 1)
        out[kind] = {
            k: {"shape": list(v.shape[1:]), "dtype": "text" if v.dtype.kind == "U" else str(v.dtype)}
            for k, v in rows.items()
        }
    out["odd"] += list(recording.remarks)
    _describe_values(out, reader)


def _describe_values(out: dict[str, Any], reader: Reader) -> None:
    """Look at a few frames spread over the file."""
    recording = reader.recording
    fit = max(1, _SAMPLE_BYTES // (int(np.prod(recording.shape_px)) * recording.dtype.itemsize))
    index = np.unique(np.linspace(0, recording.n_frames - 1, min(_SAMPLE_FRAMES, fit)).astype(int))
    frames = np.concatenate([reader.read(int(i), int(i) + 1) for i in index])
    good = np.ones(recording.shape_px, bool) if recording.mask_bits is None else ~bad_pixels(recording.mask_bits)
    values = frames[:, good]
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values.ravel()
    if len(finite) == 0:
        out["odd"].append("no good pixel holds a number in the frames looked at")
        return
    sums = np.where(np.isfinite(values), values, 0).sum(1, dtype=np.float64)
    out["values"] = {
        "frames_looked_at": len(index),
        "min": float(finite.min()),
        "max": float(finite.max()),
        "mean": float(finite.mean(dtype=np.float64)),
        "sum_per_frame_min": float(sums.min()),
        "sum_per_frame_max": float(sums.max()),
    }
    _note_odd_values(out, reader, values.size - len(finite), finite)


def _note_odd_values(out: dict[str, Any], reader: Reader, broken: int, finite: np.ndarray) -> None:
    recording, odd = reader.recording, out["odd"]
    if broken:
        odd.append(f"{broken} values are NaN or infinite; ingest masks these pixels")
    if finite.min() < 0:
        odd.append("some values are negative: not photon counts (valid for ADU)")
    if finite.max() == 0:
        odd.append("all frames looked at are blank")
    if finite.dtype.kind in "ui" and finite.max() == np.iinfo(finite.dtype).max:
        odd.append(
            f"some pixels hold {finite.max()}, the largest {finite.dtype}: saturated, or marked as bad; give a mask"
        )
    known = recording.geometry
    missing = [n for n in ("beam_center_px", "pixel_size_m", "distance_m", "wavelength_m") if getattr(known, n) is None]
    if missing:
        odd.append(f"not in the file: {', '.join(missing)}")
    center = known.beam_center_px
    if center is not None and not all(-0.5 <= c <= n - 0.5 for c, n in zip(center, known.shape_px)):
        odd.append(f"the beam centre {center} lies outside the detector")
    if recording.mask_bits is None and not recording.has_frame_masks:
        odd.append("no mask in the file")
    elif recording.mask_bits is not None and bad_pixels(recording.mask_bits).mean() > 0.5:
        odd.append("the mask takes more than half of the detector; check its convention (--mask-convention)")
