"""Files of weights: what is written comes back, what is none is refused, and torch is not needed for either."""

import subprocess
import sys

import numpy as np
import pytest

from sorter.core.errors import InputError
from sorter.io.weights import read_arrays, write_arrays

ARRAYS = {"w": np.arange(6, dtype=np.float32).reshape(2, 3).T, "half": np.ones(4, np.float16), "steps": np.array(7)}


def test_arrays_come_back_as_they_were(tmp_path):
    path = tmp_path / "new folder" / "w.safetensors"
    write_arrays(path, ARRAYS, "speckle", {"counts": [2, 3]})
    arrays, meta = read_arrays(path, "speckle", "recon speckle train")
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)
    assert meta == {"schema_version": 1, "kind": "speckle", "counts": [2, 3]}


@pytest.mark.parametrize(
    ("meta", "kind", "says"),
    [({}, "shape", "'recon shape train' makes those"), ({"schema_version": 99}, "speckle", "update shotsort")],
)
def test_other_weights_are_refused(meta, kind, says, tmp_path):
    path = tmp_path / "w.safetensors"
    write_arrays(path, ARRAYS, "speckle", meta)
    with pytest.raises(InputError, match=says):
        read_arrays(path, kind, f"recon {kind} train")


def test_no_torch():
    code = "import sys, sorter.io.weights; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
