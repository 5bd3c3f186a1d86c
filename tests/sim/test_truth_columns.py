"""Truth columns in pieces, whatever the units they were computed in."""

import numpy as np
import pytest

from sim.truth_columns import truth_columns


@pytest.mark.parametrize("rows", [1, 4, 7, 100])
def test_pieces_are_the_whole_column(tmp_path, rows):
    values = {
        "name": np.array(["b" * (i % 9) for i in range(23)]),
        "strain": np.random.default_rng(0).normal(size=(23, 3)),
        "dim": np.arange(23) % 2 == 0,
    }
    paths = []
    for start in range(0, 23, 5):  # text of another width in each unit
        paths.append(tmp_path / f"{start}.npz")
        np.savez(paths[-1], **{k: np.array(v[start : start + 5].tolist(), v.dtype.char) for k, v in values.items()})
    columns = list(truth_columns(paths))
    assert [column.name for column in columns] == list(values)
    for column in columns:
        expected = values[column.name]
        assert column.shape == expected.shape and column.dtype == expected.dtype
        found = np.empty(column.shape, column.dtype)
        sizes = []
        for where, piece in column.pieces(rows):
            found[where] = piece
            sizes.append(len(piece))
        np.testing.assert_array_equal(found, expected)
        assert set(sizes[:-1]) <= {rows} and sum(sizes) == 23
