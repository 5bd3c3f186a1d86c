"""The made work folder reads back through the product's own readers."""

import numpy as np

from tests.workfolders import make_work_folder


def test_made_folder_reads_back(tmp_path):
    work = make_work_folder(tmp_path, n=120, n_sources=2)
    store, hits = work.frames(), work.read_hits()
    assert store.info.geometry.has_q and len(store.info.sources) == 2
    assert np.array_equal(store.truth["hit"], hits.is_hit)
    assert set(store.truth["class"]) == {"sphere", "rod", "cube", "blank"}
    assert np.array_equal(store.source_index, np.tile(np.arange(60), 2))
    clustering = work.read_clustering("density")
    assert clustering.n_clusters == 3 and np.array_equal(clustering.frame_id, hits.hit_ids)
    assert store.read(clustering.medoids).shape == (3, *store.shape_px)


def test_a_run_of_blanks(tmp_path):
    work = make_work_folder(tmp_path, n=20, classes=())
    assert not work.read_hits().is_hit.any()
    assert work.read_clustering("density").n_clusters == 0
