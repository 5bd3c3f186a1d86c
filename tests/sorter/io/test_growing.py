"""Results that grow: whole blocks, whoever reads while they are appended, and whatever a killed writer left."""

import numpy as np
import pytest
import zarr

from sorter.core.errors import MissingResultError
from tests.workfolders import make_work_folder


@pytest.fixture
def work(tmp_path):
    return make_work_folder(tmp_path, n=60)


def more(dim, n, first):
    return {"frame_id": np.arange(first, first + n, dtype=np.uint64), "vectors": np.full((n, dim), first, np.float32)}


def test_rows_are_appended_behind_what_was_there(work):
    before = work.read_embedding("contrastive")
    grown = work.growing("embeddings", "contrastive")
    grown.append(more(8, 3, 1))
    grown.append(more(8, 4, 100))
    grown.append(more(8, 0, 1000))
    after = work.read_embedding("contrastive")
    n = len(before.frame_id)
    np.testing.assert_array_equal(after.vectors[:n], before.vectors)
    assert after.frame_id[n:].tolist() == [1, 2, 3, 100, 101, 102, 103] and after.meta == before.meta
    assert work.growing("embeddings", "contrastive").n_rows == n + 7


def test_rows_that_were_not_committed_do_not_count_and_are_written_over(work):
    grown = work.growing("hits", "default")
    n = grown.n_rows
    rows = {"photons": np.ones(2), "score": np.ones(2, np.float32), "is_hit": np.ones(2, bool)}
    grown.append({"frame_id": np.array([1, 2], np.uint64), **rows})
    grown.keep(n + 1)  # as if the process had been killed before the second row counted
    again = work.growing("hits", "default")
    again.append({"frame_id": np.array([7, 8], np.uint64), **rows})
    assert work.read_hits().frame_id[n:].tolist() == [1, 7, 8]


def test_what_is_not_a_row_stays(work):
    before = work.read_clustering("density")
    work.growing("clusters", "density")
    after = work.read_clustering("density")
    np.testing.assert_array_equal(after.medoids, before.medoids)
    np.testing.assert_array_equal(after.labels, before.labels)
    assert after.meta == before.meta


def test_many_rows_cross_chunks(work):
    grown = work.growing("embeddings", "contrastive")
    n = grown.n_rows
    for step in range(40):
        grown.append(more(8, 501, 1000 * step))
    vectors = work.read_embedding("contrastive").vectors[n:]
    np.testing.assert_array_equal(vectors[:, 0], np.repeat(1000.0 * np.arange(40), 501))


def test_a_result_written_anew_no_longer_grows(work):
    grown = work.growing("embeddings", "contrastive")
    grown.append(more(8, 3, 1))
    whole = work.read_embedding("contrastive")
    work.write_embedding(whole)
    assert len(work.read_embedding("contrastive").frame_id) == len(whole.frame_id)
    group = zarr.open_group(work.path / "results.zarr/embeddings/contrastive", mode="r")
    assert "rows" not in group.attrs


def test_nothing_to_append_to(work):
    with pytest.raises(MissingResultError, match="nosuch"):
        work.growing("layouts", "nosuch")
