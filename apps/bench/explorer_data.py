"""Work folders of any number of frames for timing the explorer."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sorter.core.clustering import Clustering
from sorter.core.embedding import Embedding, Layout
from sorter.core.geometry import Geometry
from sorter.core.hits import Hits
from sorter.core.identity import frame_ids
from sorter.core.seeds import child_rng
from sorter.io.workfolder import WorkFolder
from sorter.io.zarr_store import Source, StoreInfo
from sorter.io.zarr_writer import CHUNKS_PER_SHARD, FrameBlock, FrameWriter, block_frames, create_store

SIDE_PX = 128
N_CLUSTERS = 40
N_DIMS = 32


def make_big_work_folder(path: Path, n: int, seed: int = 0) -> WorkFolder:
    """A sorted work folder of ``n`` frames in which the pictures repeat: one shard of different frames, linked ``n`` / shard
    times, so that reading is as in a run of that size, and the disk holds little.

    Embedding (32 dimensions), layout, clustering (40 clusters of unequal size, 5 % noise) and hits are drawn for each frame.
    """
    work = WorkFolder.create(path)
    shard = _write_one_shard(work, seed)
    ids = frame_ids("repeated", "/data", np.arange(n))
    _link_shards(work, shard, n, ids)
    rng = child_rng(seed, "bench explorer", n)
    share = rng.lognormal(0, 0.7, N_CLUSTERS)
    kind = rng.choice(N_CLUSTERS, n, p=np.sort(share / share.sum())[::-1])
    kind = _by_size(kind)
    photons = 10 ** rng.normal(4.2, 0.6, n)
    work.write_hits(Hits(ids, photons, np.log10(photons).astype(np.float32), np.ones(n, bool), 2.0, {"rule": "drawn"}))
    centers = 6 * rng.normal(size=(N_CLUSTERS, N_DIMS))
    vectors = (centers[kind] + rng.normal(size=(n, N_DIMS))).astype(np.float32)
    work.write_embedding(Embedding("drawn", ids, vectors, {"model": "drawn"}))
    work.write_layout(Layout("drawn", ids, _layout(kind, rng)))
    labels = np.where(rng.random(n) < 0.05, -1, kind).astype(np.int32)
    medoids = np.array([ids[np.argmax(labels == k)] for k in range(N_CLUSTERS)], np.uint64)
    strength = np.where(labels < 0, 0, rng.uniform(0.2, 1, n)).astype(np.float32)
    meta = {"embedding": "drawn", "warning": None}
    work.write_clustering(Clustering("density", ids, labels, strength, kind, medoids, meta=meta))
    return work


def _by_size(kind: NDArray[np.integer]) -> NDArray[np.int32]:
    order = np.argsort(-np.bincount(kind, minlength=N_CLUSTERS), kind="stable")
    return np.argsort(order)[kind].astype(np.int32)


def _layout(kind: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Blobs of unequal width and tilt, about as a UMAP layout looks."""
    angle = np.arange(N_CLUSTERS) * 2.399963
    middle = 2.2 * np.sqrt(np.arange(N_CLUSTERS) + 0.5)[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    width, tilt = rng.uniform(0.25, 1.1, (N_CLUSTERS, 2)), rng.uniform(0, np.pi, N_CLUSTERS)
    drawn = rng.normal(size=(len(kind), 2)) * width[kind]
    cos, sin = np.cos(tilt[kind]), np.sin(tilt[kind])
    turned = np.column_stack([cos * drawn[:, 0] - sin * drawn[:, 1], sin * drawn[:, 0] + cos * drawn[:, 1]])
    return (middle[kind] + turned).astype(np.float32)


def _write_one_shard(work: WorkFolder, seed: int) -> int:
    """Write one full shard of different frames; returns how many frames it holds."""
    geometry = Geometry((SIDE_PX, SIDE_PX), 3e-4, 0.1, 13.5e-9, (63.5, 63.5), beam_center_source="file")
    mask = np.zeros((SIDE_PX, SIDE_PX), bool)
    mask[58:70, 58:70] = True
    source = Source("repeated.h5", "/data", "repeated", 0, 0)
    arrays = {"mask": mask, "good_fraction": (~mask).astype(np.float32), "mask_recorded": mask.astype(np.uint32)}
    create_store(work.frames_path, StoreInfo("photon", geometry, 0, 1, (source,)), np.dtype(np.uint16), arrays)
    writer, n = FrameWriter(work.frames_path), CHUNKS_PER_SHARD * block_frames(geometry.shape_px, np.dtype(np.uint16))
    rng = child_rng(seed, "bench explorer", "frames")
    frames = _patterns(n, rng)
    place = writer.source(source)
    ids = frame_ids("repeated", "/data", np.arange(n))
    writer.reserve(n)
    writer.append(FrameBlock(frames, ids, place, 0, {"delay_fs": rng.uniform(-50, 50, n)}, {}))
    writer.commit(complete=True)
    return n


def _patterns(n: int, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Rings with a few-fold symmetry and Poisson noise."""
    y, x = (axis - (SIDE_PX / 2 - 0.5) for axis in np.ogrid[:SIDE_PX, :SIDE_PX])
    radius, azimuth = np.hypot(y, x), np.arctan2(y, x)
    out = np.empty((n, SIDE_PX, SIDE_PX), np.uint16)
    for i in range(n):
        fold, period = rng.integers(2, 7), rng.uniform(5, 14)
        rings = np.cos(np.pi * radius / period) ** 2 * (1 + 0.7 * np.cos(fold * azimuth + rng.uniform(0, 6.3)))
        pattern = rings * np.exp(-radius / 14)
        out[i] = rng.poisson(10 ** rng.uniform(3, 5) * pattern / pattern.sum())
    return out


def _link_shards(work: WorkFolder, shard: int, n: int, ids: NDArray[np.uint64]) -> None:
    """Make the store one of ``n`` frames: further shards are links to the first one, tables are written anew."""
    import zarr

    folder = work.frames_path / "frames"
    about = json.loads((folder / "zarr.json").read_text())
    about["shape"][0] = n
    (folder / "zarr.json").write_text(json.dumps(about))
    first = folder / "c" / "0" / "0" / "0"
    for k in range(1, -(-n // shard)):
        place = folder / "c" / str(k) / "0"
        place.mkdir(parents=True)
        os.link(first, place / "0")
    group = zarr.open_group(work.frames_path, mode="r+")
    rows = np.arange(n)
    tables = {"frame_id": ids, "source_file": np.zeros(n, np.int32), "source_index": rows}
    tables["columns/delay_fs"] = np.asarray(group["columns/delay_fs"][:])[rows % shard]
    for name, values in tables.items():
        del group[name]
        group.create_array(name, data=values, chunks=(65536,))
    info = dict(group.attrs["shotsort"])
    info["n_valid"], info["complete"] = n, True
    info["sources"] = [{**info["sources"][0], "n_frames": n}]
    group.attrs["shotsort"] = info
