"""What sets clusters apart."""

import json

import numpy as np
import pytest

from sorter.curate.why import exceeds, reasons
from sorter.stages.why import nearest_clusters, why
from tests.workfolders import make_work_folder


def test_chance_by_a_loop():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 6, 30).astype(float), rng.integers(2, 8, 40).astype(float)
    slow = np.mean([(x > y) + 0.5 * (x == y) for x in a for y in b])
    assert exceeds(a, b) == pytest.approx(slow)


def test_the_property_that_differs_is_named():
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1, 2, -1], 50).astype(np.int32)
    values = {"size_nm": rng.normal(size=200), "order_4": rng.normal(size=200), "order_2": np.full(200, np.nan)}
    values["order_4"][labels == 1] += 5
    found = {r.cluster: r for r in reasons(values, labels, {0: [1], 1: [0, 2], 2: [1]})}
    assert set(found) == {0, 1, 2}
    assert {(d.name, d.other) for d in found[1].differences} == {("order_4", -1), ("order_4", 0), ("order_4", 2)}
    assert all(d.chance > 0.95 and d.here > d.there for d in found[1].differences)
    assert "order_2" not in found[0].quantiles and set(found[0].quantiles) == {"size_nm", "order_4"}
    json.dumps(found[0].to_dict(), allow_nan=False)


def test_on_a_work_folder(tmp_path):
    """The made classes differ in the symmetry of their rings: sphere 2-fold, rod 3-fold, cube 4-fold."""
    work = make_work_folder(tmp_path, n=300)
    clustering = work.read_clustering("density")
    found = why(work)
    assert [r.cluster for r in found] == [0, 1, 2] and found[0].n_frames == 60
    near = nearest_clusters(work, clustering)
    assert all(sorted(near[c]) == sorted({0, 1, 2} - {c}) for c in near) and len(near) == 3
    orders = {d.name for r in found for d in r.differences}
    assert {"order_2", "order_3", "order_4"} <= orders
    assert [r.cluster for r in why(work, n_clusters=1)] == [0]
    none = make_work_folder(tmp_path / "none", n=60, classes=())
    assert why(none) == []
