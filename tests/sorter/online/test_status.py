"""The live status: rates of the last seconds, sums of the whole call, one whole JSON file."""

import json
import threading

import numpy as np
import pytest

from sorter.core.errors import InputError
from sorter.online.status import RECENT_S, Backlog, LiveStatus, Stored, read_status, status_path


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def stored(clock, n, assigned, strange=0, latency=0.05):
    return Stored(clock.now, n, np.array(assigned, np.int32), strange, np.full(n, latency))


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def status(clock):
    return LiveStatus("run/", "contrastive", "density", ["cube", None], 40, clock)


def test_recent_rates_forget_what_the_sums_keep(status, clock):
    clock.now += 1
    status.update(stored(clock, 100, [0] * 30 + [1] * 10 + [-1] * 10))
    clock.now += RECENT_S + 1
    status.update(stored(clock, 60, [1] * 6, strange=2, latency=0.2))
    values = status.to_dict(Backlog(5, 100, 7, 3, 1))
    assert values["frames"] == 160 and values["hits"] == 56 and values["frames_total"] == 200
    assert values["hit_share"] == 0.1 and values["hit_share_all"] == 0.35
    assert values["frames_per_s"] == pytest.approx(60 / RECENT_S)
    assert values["latency_p50_ms"] == values["latency_p99_ms"] == 200
    assert [(c["name"], c["hits"], c["share"]) for c in values["clusters"]] == [("cube", 30, 0), (None, 16, 1)]
    assert values["unassigned"] == 10 and values["unassigned_share"] == 0 and values["strange"] == 2
    assert (values["queue"], values["skipped"], values["catching_up"], values["refused"]) == (5, 7, 3, 1)


def test_before_the_first_frame_nothing_is_known(status):
    values = status.to_dict(Backlog())
    assert values["hit_share"] is None and values["latency_p99_ms"] is None and values["frames_per_s"] == 0
    json.dumps(values, allow_nan=False)


def test_state(status, clock):
    status.update(stored(clock, 1, []))
    assert status.to_dict(Backlog())["state"] == "watching"
    clock.now += 6
    assert status.to_dict(Backlog())["state"] == "waiting"
    status.update(stored(clock, 1, []))
    status.away = True
    assert status.to_dict(Backlog())["state"] == "waiting"
    assert status.to_dict(Backlog(), stopped=True)["state"] == "stopped"


def test_history_has_one_entry_per_step(status, clock):
    for second in range(35):
        clock.now += 1
        status.update(stored(clock, 50, [0] * 10))
        history = status.to_dict(Backlog(skipped=2 * second))["history"]
    assert history["seconds"] == [10, 20, 30]
    assert history["frames_per_s"] == [50, 50, 50] and history["hit_share"] == [0.2] * 3
    assert history["skipped_per_s"][1:] == [2, 2]


def test_file(status, tmp_path):
    assert read_status(tmp_path) is None
    written = status.write(tmp_path, Backlog())
    assert read_status(tmp_path) == written and [p.name for p in tmp_path.iterdir()] == ["live.json"]
    status_path(tmp_path).write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        read_status(tmp_path)
    status_path(tmp_path).write_text('{"schema_version": 99}')
    with pytest.raises(InputError, match="newer"):
        read_status(tmp_path)


def test_it_is_told_while_commits_come(status, clock):
    def take():
        for _ in range(1000):
            status.update(stored(clock, 1, [0]))

    taking = threading.Thread(target=take)
    taking.start()
    for _ in range(50):
        values = status.to_dict(Backlog())
        assert values["clusters"][0]["hits"] == values["hits"] == values["frames"]
    taking.join()
    assert status.to_dict(Backlog())["frames"] == 1000
