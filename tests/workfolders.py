"""A small work folder as a sorted simulated run leaves it, made in a fraction of a second and without any stage."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import zarr
from numpy.typing import NDArray

from sorter.core.clustering import Clustering
from sorter.core.embedding import Embedding, Layout
from sorter.core.geometry import Geometry
from sorter.core.hits import Hits
from sorter.core.identity import frame_ids
from sorter.io.workfolder import WorkFolder
from sorter.io.zarr_store import TEXT, Source, StoreInfo, encode_text

SIDE_PX = 32
BLANK = "blank"
GEOMETRY = Geometry((SIDE_PX, SIDE_PX), 3e-4, 0.1, 13.5e-9, (15.5, 15.5), beam_center_source="file")


def bad_pixels() -> NDArray[np.bool_]:
    """(ny, nx) mask of the made frames: a beam stop and a gap."""
    y, x = np.ogrid[:SIDE_PX, :SIDE_PX]
    return (np.hypot(y - 15.5, x - 15.5) < 3) | ((x > 19) & (x < 22) & (y >= 0))


def make_frames(kind: NDArray[np.int64], photons: NDArray, rng: np.random.Generator) -> NDArray[np.uint16]:
    """(N, ny, nx) counts: kind k >= 0 has rings of its own period and a (k + 2)-fold symmetry, -1 is background only."""
    y, x = np.ogrid[:SIDE_PX, :SIDE_PX]
    radius, azimuth = np.hypot(y - 15.5, x - 15.5), np.arctan2(y - 15.5, x - 15.5)
    frames = np.empty((len(kind), SIDE_PX, SIDE_PX), np.uint16)
    for i, k in enumerate(kind):
        rings = np.cos(np.pi * radius / (3 + k)) ** 2 * (
            1 + 0.8 * np.cos((k + 2) * (azimuth + rng.uniform(0, 2 * np.pi)))
        )
        shape = rings * np.exp(-radius / 6) * (k >= 0)
        shape *= photons[i] / max((shape * ~bad_pixels()).sum(), 1e-12)
        frames[i] = rng.poisson(shape + 0.02)
    return frames


def make_work_folder(
    folder: Path,
    n: int = 300,
    classes: tuple[str, ...] = ("sphere", "rod", "cube"),
    blank_share: float = 0.3,
    n_sources: int = 1,
    seed: int = 0,
    truth: bool = True,
    results: bool = True,
) -> WorkFolder:
    """A work folder ``folder/work`` of ``n`` frames with truth, hits, embeddings, layout and clustering.

    The recorded files are ``folder/run0.h5``, ...; embeddings "contrastive", "factorvae" and "features" hold one blob per
    class in 8, 6 and 10 dimensions, the layout is "contrastive", the clustering "density" with the true classes as
    clusters and one hit in twenty as noise. ``results=False`` leaves it as `ingest` does: frames and hits.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    kind = np.where(rng.random(n) < blank_share, -1, rng.integers(0, len(classes), n)) if classes else np.full(n, -1)
    photons = np.where(kind >= 0, 10 ** rng.uniform(2.8, 5.5, n), 0.0).round()
    frames = make_frames(kind, photons, rng)
    names = np.array([*classes, BLANK])[kind]
    work = WorkFolder.create(folder / "work")
    ids = _write_frames(
        work, folder, frames, n_sources, {"class": names, "hit": kind >= 0, "photons": photons} if truth else {}
    )
    measured = (frames * ~bad_pixels()).sum((1, 2), dtype=float)
    work.write_hits(Hits(ids, measured, np.log10(measured + 1).astype(np.float32), kind >= 0, 2.0, {"rule": "made"}))
    if results:
        _write_results(work, ids[kind >= 0], kind[kind >= 0], len(classes), rng)
    return work


def _write_frames(work, folder, frames, n_sources, truth) -> NDArray[np.uint64]:
    n = len(frames)
    parts = np.array_split(np.arange(n), n_sources)
    sources, ids = [], np.empty(n, np.uint64)
    for number, part in enumerate(parts):
        path = folder / f"run{number}.h5"
        _write_source(path, frames[part], {k: v[part] for k, v in truth.items()})
        ids[part] = frame_ids(path.name, "/entry_1/data_1/data", np.arange(len(part)))
        sources.append(
            Source(
                str(path),
                "/entry_1/data_1/data",
                path.name,
                len(part),
                path.stat().st_size,
                str(path.resolve()),
                "hdf5",
            )
        )
    group = zarr.open_group(work.frames_path, mode="w", zarr_format=3)
    group.create_array("frames", shape=frames.shape, chunks=(64, SIDE_PX, SIDE_PX), dtype=frames.dtype)[:] = frames
    columns = {
        "frame_id": ids,
        "source_file": np.repeat(np.arange(n_sources, dtype=np.int32), [len(p) for p in parts]),
        "source_index": np.concatenate([np.arange(len(p)) for p in parts]),
        "mask": bad_pixels(),
        "good_fraction": (~bad_pixels()).astype(np.float32),
        "mask_recorded": bad_pixels().astype(np.uint32),
        "columns/pulse_energy_uj": np.linspace(1, 2, n),
    }
    for name, values in {**columns, **{f"truth/{k}": v for k, v in truth.items()}}.items():
        text = values.dtype.kind == "U"
        array = group.create_array(name, data=encode_text(values) if text else values)
        if text:
            array.attrs[TEXT] = "utf-8"
    group.attrs["shotsort"] = StoreInfo("photon", GEOMETRY, n, 1, tuple(sources)).to_dict()
    return ids


def _write_source(path, frames, truth) -> None:
    with h5py.File(path, "w") as file:
        file["/entry_1/data_1/data"] = frames
        detector = file.create_group("/entry_1/instrument_1/detector_1")
        detector["mask"] = bad_pixels().astype(np.uint32)
        detector["distance"], detector["x_pixel_size"], detector["y_pixel_size"] = 0.1, 3e-4, 3e-4
        detector["beam_center_px"] = [15.5, 15.5]
        file["/entry_1/instrument_1/source_1/wavelength"] = 13.5e-9
        for name, values in truth.items():
            file[f"/truth/{name}"] = values.astype("S") if values.dtype.kind == "U" else values


def _write_results(work, ids, kind, n_classes, rng) -> None:
    for name, d in (("factorvae", 6), ("features", 10), ("contrastive", 8)):
        vectors = 6 * rng.normal(size=(max(n_classes, 1), d))[kind] + rng.normal(size=(len(ids), d))
        work.write_embedding(Embedding(name, ids, vectors.astype(np.float32), {"model": "made"}))
    work.write_layout(Layout("contrastive", ids, vectors[:, :2].astype(np.float32)))
    by_size = np.argsort(-np.bincount(kind, minlength=n_classes), kind="stable")
    assigned = np.argsort(by_size)[kind].astype(np.int32)
    labels = np.where(np.arange(len(ids)) % 20 == 19, -1, assigned).astype(np.int32)
    medoids = np.array([ids[labels == c][0] for c in range(n_classes)], np.uint64)
    strength = np.where(labels < 0, 0, rng.uniform(0.2, 1, len(ids))).astype(np.float32)
    work.write_clustering(
        Clustering("density", ids, labels, strength, assigned, medoids, meta={"embedding": "contrastive"})
    )
