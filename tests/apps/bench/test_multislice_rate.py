"""The rate of far fields beside the limit of a device's matrix products."""

from __future__ import annotations

import pytest

from apps.bench.multislice_rate import multislice_rate
from sorter.core.errors import InputError


def test_rate_stays_below_the_limit_of_the_matrix_products() -> None:
    found = multislice_rate("cpu", threads=1, seconds=0.05, seed=0)
    assert found["multislice_frames_per_s"] > 0
    # The products alone: 2 x 0.1 to 2 x 1 billion additions and multiplications for 128 x 128 pixels.
    assert 0.1 < found["multislice_gflop"] < 2
    used = found["multislice_frames_per_s"] * found["multislice_gflop"] / found["matrix_limit_gflop_per_s"]
    assert found["multislice_share_of_limit"] == pytest.approx(used)


def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match="device 'cuda:7'"):
        multislice_rate("cuda:7", threads=1, seconds=0.05, seed=0)
