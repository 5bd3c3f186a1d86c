"""Runs that sorting must bear: half the detector masked, one shot that outshines all, geometries that do not belong together."""

import h5py
import numpy as np
import torch

from sorter.cluster.few_labels import nearest_neighbours
from sorter.cluster.fit import ClusterConfig, find_clusters
from sorter.core.embedding import Embedding
from sorter.core.frames import ArrayFrameStore
from sorter.embed.encode import encode, features_encoder
from sorter.preprocess.polar import PolarMap, choose_grid
from sorter.stages.ingest import ingest
from tests.sorter.io.recorded_files import cxi, some_frames
from tests.workfolders import GEOMETRY, SIDE_PX, bad_pixels, make_frames


def features_of(frames, bad):
    store = ArrayFrameStore(frames, bad_pixels=bad, geometry=GEOMETRY)
    grid = choose_grid(GEOMETRY, bad, 16, 32)
    with torch.inference_mode():
        return encode(store, PolarMap.of_store(store, grid), features_encoder(grid, 0.1), 64, "cpu", "features")


def test_half_of_the_detector_masked():
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, 200)
    frames = make_frames(kind, np.full(200, 2e4), rng)
    bad = bad_pixels() | (np.arange(SIDE_PX) >= SIDE_PX // 2)[None, :]
    _, vectors = features_of(frames, bad)
    assert np.isfinite(vectors).all()
    named = nearest_neighbours(vectors[:60], kind[:60].astype(str), vectors[60:])
    assert (named == kind[60:].astype(str)).mean() > 0.8
    frames[:, bad] = 65535  # what is masked changes nothing
    assert np.array_equal(features_of(frames, bad)[1], vectors)


def test_one_shot_that_outshines_all_changes_no_cluster():
    rng = np.random.default_rng(1)
    kind = np.repeat(np.arange(3), 70)
    vectors = 12.0 * np.eye(3)[kind] + rng.normal(size=(210, 3))
    ids = np.arange(211, dtype=np.uint64)
    config = ClusterConfig(umap_dims=0, pca_dims=0)
    alone = find_clusters(Embedding("e", ids[:210], vectors.astype(np.float32)), np.full(210, 1e3), config)
    outlier = np.concatenate([vectors, [[5e3, -5e3, 5e3]]]).astype(np.float32)
    beside = find_clusters(Embedding("e", ids, outlier), np.append(np.full(210, 1e3), 1e9), config)
    assert beside.labels[210] == -1 and alone.n_clusters == beside.n_clusters == 3
    assert np.array_equal(beside.labels[:210], alone.labels)


def test_a_file_of_another_geometry_is_said(tmp_path, caplog):
    work = tmp_path / "work"
    for folder, distance_m in (("near", 0.5), ("far", 0.9)):
        (tmp_path / folder).mkdir()
        path = cxi(tmp_path / folder, some_frames(6, seed=int(10 * distance_m)))
        path = path.rename(path.with_name(f"{folder}.cxi"))
        with h5py.File(path, "r+") as file:
            file["entry_1/instrument_1/detector_1/distance"][...] = distance_m
        caplog.clear()
        store = ingest(path, work)
    assert len(store) == 12 and store.geometry.distance_m == 0.5
    assert "distance_m is 0.9, in the work folder 0.5, which is used" in caplog.text
