"""Frames from a Karabo bridge: its own server in a thread, and its simulated detectors."""

import contextlib
import gc
import itertools
import socket

import numpy as np
import pytest

from sorter.core.errors import InputError
from sorter.core.identity import rows_of
from sorter.online.karabo import PULSES_PER_TRAIN, KaraboSource, as_frames
from sorter.online.queue import SourceAway
from sorter.stages.watch import WatchConfig, watch
from tests.sorter.online.conftest import frames_of
from tests.sorter.online.test_watch import Watching, everything_agrees, wait_for

bridge = pytest.importorskip("karabo_bridge", reason="needs the extra 'online'")
import zmq  # noqa: E402
from karabo_bridge.server import ServerInThread  # noqa: E402
from karabo_bridge.simulation import Detector  # noqa: E402

SOURCE = "SIM_DET/CAL/APPEND_CORRECTED"


@pytest.fixture
def endpoint():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{free.getsockname()[1]}"


def feed(server, train, frames, key="image.data", source=SOURCE):
    n = np.arange(np.shape(frames)[0], dtype=np.uint64)
    server.feed({source: {key: frames, "image.pulseId": n}}, {source: {"source": source, "timestamp.tid": train}})


def test_a_stream_is_sorted(work, endpoint):
    frames, _ = frames_of(90, [0, 2], 20)
    watching = Watching(endpoint, work.path)
    with ServerInThread(endpoint) as server:
        for train in range(3):
            feed(server, 100 + train, frames[30 * train : 30 * train + 30])
        feed(server, 101, frames[:30])  # the same train again
        feed(server, 103, np.zeros((7, 16, 16), np.uint16))
        wait_for(lambda: watching.status.get("refused") == 7)
        assert "7 x 16 x 16" in watching.status["message"] and "32 x 32" in watching.status["message"]
        feed(server, 104, frames[:4].astype(np.float32))
        wait_for(lambda: watching.status["refused"] == 11)
        assert "holds float32, its first train held uint16" in watching.status["message"]
        feed(server, 105, frames[:6].astype(np.complex64))
        wait_for(lambda: watching.status["refused"] == 17)
        assert "complex64" in watching.status["message"]
        feed(server, 106, frames[:3], key="image.gain", source="OTHER")
        wait_for(lambda: watching.status["refused"] == 18)
        assert "holds no such frames (there: OTHER/image.gain)" in watching.status["message"]
        feed(server, 104, frames[:5])
        wait_for(lambda: watching.status.get("frames") == 95)
    status = watching.end()
    assert status["skipped"] == status["catching_up"] == 0
    everything_agrees(work, 495)
    store = work.frames()
    streamed = np.flatnonzero(store.columns["train_id"] >= 100)
    np.testing.assert_array_equal(store.read(store.frame_ids[streamed[:90]]), frames)
    assert set(store.columns["train_id"][streamed].tolist()) == {100, 101, 102, 104}
    assert (store.source_index[streamed] == store.columns["train_id"][streamed] * PULSES_PER_TRAIN
            + store.columns["pulse_id"][streamed]).all()  # fmt: skip


def test_the_server_goes_away_and_comes_back(work, endpoint, monkeypatch, caplog):
    monkeypatch.setattr("sorter.online.karabo._SILENT_S", 0.5)
    frames, _ = frames_of(60, [0, 2], 21)
    watching = Watching(endpoint, work.path)
    with ServerInThread(endpoint) as server:
        feed(server, 1, frames[:30])
        wait_for(lambda: watching.status.get("frames") == 30)
    wait_for(lambda: "no train" in (watching.status["message"] or ""))
    with ServerInThread(endpoint) as server:
        feed(server, 2, frames[30:])
        wait_for(lambda: watching.status["frames"] == 60)
    watching.end()
    assert sum("waiting for it" in r.getMessage() for r in caplog.records) <= 2
    everything_agrees(work, 460)
    ids = work.read_hits().frame_id[400:]
    assert (rows_of(work.frames().frame_ids, ids) >= 0).all()


def test_trains_that_were_stored_are_known_in_the_next_call(work, endpoint):
    frames, _ = frames_of(30, [0, 2], 22)
    for _ in range(2):
        watching = Watching(endpoint, work.path)
        with ServerInThread(endpoint) as server:
            feed(server, 7, frames)
            feed(server, 8, frames[:2])
            wait_for(server.buffer.empty)
            wait_for(lambda: len(work.frames()) == 432)
        watching.end()
    everything_agrees(work, 432)


@pytest.mark.parametrize(
    ("shape", "n"),
    [
        ((5, 2, 4, 6), 5), ((2, 4, 6, 5), 5), ((5, 8, 6), 5), ((8, 6, 5), 5), ((8, 6), 1), ((2, 4, 6), 1),
        ((5, 6, 8), None), ((5, 3, 4, 6), None), ((48,), None),
    ],
)  # fmt: skip
def test_axes_of_a_train(shape, n):
    values = np.arange(np.prod(shape)).reshape(shape)
    frames = as_frames(values, (8, 6))
    if n is None:
        assert frames is None
        return
    assert frames.shape == (n, 8, 6)
    first = values[..., 0] if shape[-1] == n and shape[0] != n else values if n == 1 else values[0]
    np.testing.assert_array_equal(frames[0], first.reshape(8, 6))


def test_the_facilitys_simulated_detector():
    data, _ = Detector.getDetector("AGIPDModule", raw=True, gen="zeros").gen_data(1)
    (values,) = data.values()
    assert as_frames(values["image.data"], (128, 512)).shape == (64, 128, 512)


def source_of(endpoint, dataset=None, refused=None):
    ignore = lambda *_: None  # noqa: E731
    said = [] if refused is None else refused
    stored = lambda _: np.empty(0, np.int64)  # noqa: E731
    return KaraboSource(endpoint, (8, 8), dataset, "REQ", ignore, stored, lambda n, why: said.append(why))


def test_which_array_holds_the_frames(endpoint, monkeypatch):
    monkeypatch.setattr("sorter.online.karabo._SILENT_S", 300)
    data = {
        "A": {"image.data": np.zeros((3, 8, 8)), "image.gain": np.zeros((3, 8, 8))},
        "B": {"x": np.zeros((3, 8, 8))},
    }
    two = {"A": data["A"], "C": {"image.data": np.zeros((2, 8, 8))}}
    refused = []
    opened = {
        "first": source_of(endpoint),
        "either": source_of(endpoint, refused=refused),
        "C": source_of(endpoint, "C"),
    }

    def taken(name):
        return sum(parcel.n_frames for parcel in opened[name].poll())

    with contextlib.ExitStack() as closing, ServerInThread(endpoint) as server:
        for source in opened.values():
            closing.callback(source.close)
        train = itertools.count(5)

        def send(parts):
            server.feed(parts, {name: {"timestamp.tid": next(train)} for name in parts})

        send(data)
        wait_for(lambda: taken("first") == 3)
        send(two)
        wait_for(lambda: taken("either") or refused)
        assert "A/image.data" in refused[0] and "--dataset" in refused[0]
        send(two)
        wait_for(lambda: taken("C") == 2)
        send(two)  # what the first train held is what is sorted, though there are two now
        wait_for(lambda: taken("first") == 3)


def test_silence_is_no_error_at_first(endpoint, monkeypatch):
    with contextlib.closing(source_of(endpoint)) as source:
        assert source.poll() == []
        monkeypatch.setattr("sorter.online.karabo._SILENT_S", 0.1)
        with pytest.raises(SourceAway, match="no train"):
            wait_for(source.poll)


def open_contexts():
    return {id(one) for one in gc.get_objects() if isinstance(one, zmq.Context) and not one.closed}


def test_bad_addresses(work):
    before = open_contexts()
    with pytest.raises(InputError, match="give tcp://HOST:PORT"):
        watch("tcp://nowhere", work)
    with pytest.raises(InputError, match="give tcp://HOST:PORT"):
        watch("http://127.0.0.1:80", work)
    assert open_contexts() <= before  # one that is left to the garbage collector may wait for its sockets for ever
    with pytest.raises(InputError, match="--socket"):
        WatchConfig(pattern="REP")
