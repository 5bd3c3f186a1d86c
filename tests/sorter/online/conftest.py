"""A small run that was sorted, and frames that come later."""

import shutil

import h5py
import numpy as np
import pytest

from sorter.io.workfolder import WorkFolder
from sorter.stages.cluster import ClusterConfig, cluster
from sorter.stages.embed import EmbedConfig, embed
from sorter.stages.hits import HitsConfig, find_hits
from sorter.stages.ingest import IngestConfig, ingest
from tests.workfolders import make_frames

OPTIONS = IngestConfig(center_px=(15.5, 15.5), unit="photon")


def frames_of(n, kinds, seed, blank_share=0.4):
    """Frames of rings with their kind (-1: blank)."""
    rng = np.random.default_rng(seed)
    kind = np.where(rng.random(n) < blank_share, -1, rng.choice(kinds, n))
    return make_frames(kind, np.where(kind >= 0, 10 ** rng.uniform(4, 4.6, n), 0.0).round(), rng), kind


def record(path, frames):
    """A complete file, as ingest and watch read it."""
    with h5py.File(path, "w") as file:
        file["frames"] = frames
        file["pulse_energy_uj"] = np.arange(len(frames)) / 8
    return path


def make_sorted_run(folder):
    """A work folder sorted by hand-made features into its two kinds, 400 frames."""
    path = record(folder / "run41.h5", frames_of(400, [0, 2], 1)[0])
    ingest(path, folder / "work", OPTIONS)
    work = WorkFolder.open(folder / "work")
    hits = find_hits(work, HitsConfig())
    embed(work, EmbedConfig("features"))
    found = cluster(work, ClusterConfig("features", umap_dims=0, pca_dims=6, largest_share=1.0))
    assert len(hits.hit_ids) == len(found.frame_id) and found.n_clusters == 2
    return work


@pytest.fixture(scope="session")
def sorted_run(tmp_path_factory):
    """A sorted run that no test changes."""
    return make_sorted_run(tmp_path_factory.mktemp("run41"))


@pytest.fixture
def work(sorted_run, tmp_path):
    """A copy of the sorted run to work on."""
    return WorkFolder.open(shutil.copytree(sorted_run.path, tmp_path / "work"))
