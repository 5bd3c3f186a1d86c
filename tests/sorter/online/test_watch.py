"""Sorting while recording: files that grow in another process, sources that go away, kills, overload, and who reads meanwhile."""

import csv
import io
import subprocess
import sys
import threading
import time
from typing import ClassVar

import h5py
import numpy as np
import pytest
import zarr

from apps.report import report
from sorter.core.errors import InputError, MissingResultError, WorkFolderError
from sorter.core.identity import frame_ids, rows_of
from sorter.io.workfolder import WorkFolder
from sorter.online.status import read_status
from sorter.stages.base import open_base
from sorter.stages.ingest import ingest
from sorter.stages.table import table
from sorter.stages.watch import STRANGE, WatchConfig, _frame_sorter, watch
from tests.sorter.online.conftest import OPTIONS, frames_of, record

#: Long enough for a busy machine; tests wait for conditions, not for this.
PATIENCE_S = 60.0
QUICK = WatchConfig(idle_s=1.0)


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert not Watching.errors, Watching.errors
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


class Watching(threading.Thread):
    """`watch` in a thread, that a test looks at while it runs."""

    errors: ClassVar[list[Exception]] = []

    def __init__(self, source, work, **config):
        super().__init__(daemon=True)
        self.stop = threading.Event()
        self.call = lambda: watch(source, work, WatchConfig(**config), self.see, stop=self.stop)
        self.status, self.result = {}, None
        self.errors.clear()
        self.start()

    def see(self, status):
        self.status = status

    def run(self):
        try:
            self.result = self.call()
        except Exception as error:
            self.errors.append(error)

    def end(self, now=True):
        if now:
            self.stop.set()
        self.join(PATIENCE_S)
        assert not self.errors, self.errors
        return self.result


def everything_agrees(work, n_frames=None):
    """Read as a reader should, results before what they are of; every frame of one is in the next."""
    layout, clustering = work.read_layout("features"), work.read_clustering("density")
    vectors, hits, store = work.read_embedding("features"), work.read_hits(), work.frames()
    for ids, more in (
        (layout.frame_id, clustering.frame_id), (clustering.frame_id, vectors.frame_id), (vectors.frame_id, hits.hit_ids),
        (hits.frame_id, store.frame_ids),
    ):  # fmt: skip
        assert (rows_of(more, ids) >= 0).all()
    if n_frames is not None:
        assert len(store) == len(hits.frame_id) == n_frames
        assert len(hits.hit_ids) == len(vectors.frame_id) == len(clustering.frame_id) == len(layout.frame_id)


def results_of(work, ids):
    """What is stored of frames, by id: score, and of hits label, strength and place."""
    hits, found, layout = work.read_hits(), work.read_clustering("density"), work.read_layout("features")
    rows = rows_of(hits.frame_id, ids)
    of_hits = ids[hits.is_hit[rows]]
    at, in_layout = rows_of(found.frame_id, of_hits), rows_of(layout.frame_id, of_hits)
    return hits.score[rows], found.labels[at], found.strength[at], layout.xy[in_layout]


def test_a_file_that_another_process_writes(work, tmp_path):
    frames, _ = frames_of(300, [0, 2], 7)
    np.save(tmp_path / "frames.npy", frames)
    (tmp_path / "live").mkdir()
    watching = Watching(tmp_path / "live", work.path)
    wait_for(lambda: watching.status)
    command = [
        sys.executable,
        "-m",
        "apps.bench.recorder",
        str(tmp_path / "frames.npy"),
        str(tmp_path / "live"),
        "300",
        "2",
    ]
    recorder = subprocess.Popen(command)
    while recorder.poll() is None:
        everything_agrees(work)
        time.sleep(0.1)
    assert recorder.returncode == 0
    wait_for(lambda: watching.status.get("frames") == 600)
    status = watching.end()
    assert status["state"] == "stopped" and status["skipped"] == status["refused"] == 0
    assert status["frames"] == 600 and status["latency_p99_ms"] > 0
    everything_agrees(work, 1000)
    ids = frame_ids("run_0000.h5", "/frames", np.arange(600))
    np.testing.assert_array_equal(work.frames().read(ids), np.concatenate([frames, frames]))
    assert (work.frames().select(ids).columns["written_s"] > 0).all()
    sorter = _frame_sorter(work, WatchConfig(), *open_base(work, "density", None))
    at_once = sorter(ids, np.concatenate([frames, frames]))
    score, labels, strength, xy = results_of(work, ids)
    np.testing.assert_allclose(score, at_once.score, rtol=1e-6)
    np.testing.assert_array_equal(labels, at_once.placement.labels)
    np.testing.assert_allclose(strength, at_once.placement.strength, atol=1e-5)
    np.testing.assert_allclose(xy, at_once.placement.xy, atol=1e-4)
    everything_agrees(work)


def test_new_frames_find_their_cluster(work, tmp_path):
    frames, kind = frames_of(200, [0, 2], 8)
    record(tmp_path / "run42.h5", frames)
    status = watch(tmp_path / "run42.h5", work, QUICK)
    ids = frame_ids("run42.h5", "/frames", np.arange(200))
    found, hits = work.read_clustering("density"), work.read_hits()
    assert (hits.is_hit[rows_of(hits.frame_id, ids)] == (kind >= 0)).all()
    assert status["hits"] == (kind >= 0).sum()
    of_hits = kind >= 0
    labels = found.assigned[rows_of(found.frame_id, ids[of_hits])]
    pairs = {(a, b) for a, b in zip(labels.tolist(), kind[of_hits].tolist()) if a >= 0}
    assert len(pairs) == 2 and (labels < 0).mean() < 0.1
    assert sum(c["hits"] for c in status["clusters"]) + status["unassigned"] == status["hits"]
    out = io.StringIO()
    sys.stdout, before = out, sys.stdout
    try:
        table(work)
    finally:
        sys.stdout = before
    rows = list(csv.DictReader(io.StringIO(out.getvalue())))
    assert len(rows) == 600 and sum(r["hit"] == "true" for r in rows) == len(hits.hit_ids)


def test_called_again_it_goes_on(work, tmp_path):
    frames, _ = frames_of(300, [0, 2], 9)
    live = tmp_path / "live"
    live.mkdir()
    record(live / "a.h5", frames[:100])
    assert watch(live, work, QUICK)["frames"] == 100
    assert watch(live, work, QUICK)["frames"] == 0
    record(live / "a.h5", frames[:150])
    record(live / "b.h5", frames[150:])
    assert watch(live, work, QUICK)["frames"] == 200
    everything_agrees(work, 700)
    assert len(ingest([live / "a.h5", live / "b.h5"], work, OPTIONS)) == 700


@pytest.mark.parametrize("stage", ["frames", "hits", "embeddings"])
def test_a_kill_between_two_writes_costs_nothing(work, tmp_path, stage):
    frames, _ = frames_of(120, [0, 2], 10)
    record(tmp_path / "run42.h5", frames)
    watch(tmp_path / "run42.h5", work, QUICK)
    ids = frame_ids("run42.h5", "/frames", np.arange(120))
    expected = results_of(work, ids)
    n_hits = int(work.read_hits().is_hit.sum())
    work.growing("clusters", "density").keep(n_hits - 15)
    work.growing("layouts", "features").keep(n_hits - 20)
    if stage != "embeddings":
        work.growing("embeddings", "features").keep(n_hits - 10)
    if stage == "frames":
        work.growing("hits", "default").keep(480)
    assert watch(tmp_path / "run42.h5", work, QUICK)["frames"] == 0
    everything_agrees(work, 520)
    for a, b in zip(results_of(work, ids), expected):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_from_a_sorted_run_into_a_new_folder(sorted_run, tmp_path):
    frames, _ = frames_of(150, [0, 2], 11)
    record(tmp_path / "run42.h5", frames)
    config = WatchConfig(start_from=str(sorted_run.path), idle_s=1.0)
    assert watch(tmp_path / "run42.h5", tmp_path / "live", config)["frames"] == 150
    live = WorkFolder.open(tmp_path / "live")
    everything_agrees(live, 152)  # and the medoids, so that clusters have pictures
    medoids = live.read_clustering("density").medoids
    np.testing.assert_array_equal(live.frames().read(medoids), sorted_run.frames().read(medoids))
    assert watch(tmp_path / "run42.h5", tmp_path / "live", config)["frames"] == 0
    assert report(live).stat().st_size > 10_000
    with pytest.raises(WorkFolderError, match="was not begun from"):
        watch(tmp_path / "run42.h5", sorted_run, WatchConfig(start_from=str(live.path)))


def test_report_while_watching(work, tmp_path):
    (tmp_path / "live").mkdir()
    watching = Watching(tmp_path / "live", work.path)
    wait_for(lambda: watching.status)
    record(tmp_path / "live" / "a.h5", frames_of(50, [0, 2], 3)[0])
    wait_for(lambda: watching.status["frames"] == 50)
    assert report(work).exists() and read_status(work.path)["frames"] == 50
    record(tmp_path / "other.h5", frames_of(20, [0, 2], 4)[0])
    with pytest.raises(WorkFolderError, match="in use by shotsort watch"):
        ingest(tmp_path / "other.h5", work, OPTIONS)
    assert watching.end()["state"] == "stopped"


def test_the_source_goes_away_and_comes_back(work, tmp_path, caplog):
    frames, _ = frames_of(90, [0, 2], 12)
    live = tmp_path / "live"
    live.mkdir()
    record(live / "a.h5", frames[:40])
    watching = Watching(live, work.path)
    wait_for(lambda: watching.status.get("frames") == 40)
    live.rename(tmp_path / "gone")
    wait_for(lambda: watching.status["state"] == "waiting" and "no such file" in (watching.status["message"] or ""))
    record(tmp_path / "gone" / "b.h5", frames[40:])
    time.sleep(0.3)  # it looks a few times, and says it once
    (tmp_path / "gone").rename(live)
    wait_for(lambda: watching.status["frames"] == 90)
    said = [r.getMessage() for r in caplog.records if "waiting for it" in r.getMessage() or "is back" in r.getMessage()]
    assert len(said) == 2
    watching.end()
    everything_agrees(work, 490)


def test_what_does_not_fit_is_refused_and_the_rest_sorted(work, tmp_path, caplog):
    live = tmp_path / "live"
    live.mkdir()
    record(live / "a.h5", frames_of(30, [0, 2], 13)[0])
    record(live / "b.h5", np.zeros((20, 16, 16), np.uint16))
    record(live / "c.h5", np.zeros((5, 32, 32), np.float32))
    (live / "broken.h5").write_bytes(b"\x89HDF\r\n\x1a\n and no more")
    status = watch(live, work, WatchConfig(idle_s=1.5))
    assert status["frames"] == 30 and status["refused"] == 25
    said = [r.getMessage() for r in caplog.records if ".h5:" in r.getMessage()]
    assert len(said) == 2 and any("16 x 16" in line and "32 x 32" in line for line in said)


def test_another_mask_is_refused_with_both_sides_named(work, tmp_path, caplog):
    (tmp_path / "live").mkdir()
    for name, columns in (("a", 1), ("b", 16)):
        mask = np.zeros((32, 32), np.uint32)
        mask[:, :columns] = 1
        with h5py.File(record(tmp_path / "live" / f"{name}.h5", frames_of(30, [0, 2], 14)[0]), "r+") as file:
            file["entry_1/instrument_1/detector_1/mask"] = mask
    status = watch(tmp_path / "live", work, QUICK)
    assert status["frames"] == status["refused"] == 30
    assert "takes 32 pixels that the work folder's does not" in caplog.text
    assert "takes 50% of the detector, that of the work folder 0%" in caplog.text


def test_an_open_file_of_a_plain_writer_is_waited_for(work, tmp_path):
    live = tmp_path / "live"
    live.mkdir()
    code = f"""
import h5py, numpy as np, sys
file = h5py.File({str(live / "a.h5")!r}, "w")
file["frames"] = np.zeros((30, 32, 32), np.uint16)
file.flush()
print("open", flush=True)
sys.stdin.readline()
file.close()
"""
    writer = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    writer.stdout.readline()
    watching = Watching(live, work.path)
    wait_for(lambda: watching.status.get("seconds", 0) > 1.5)
    assert watching.status["frames"] == 0
    writer.communicate("\n")
    wait_for(lambda: watching.status["frames"] == 30)
    watching.end()


@pytest.mark.parametrize("counter", [True, False])
def test_a_zarr_that_grows(work, tmp_path, counter):
    frames, _ = frames_of(80, [0, 2], 14)
    group = zarr.open_group(tmp_path / "live.zarr", mode="w")
    array = group.create_array("data", shape=(10, 32, 32), dtype=np.uint16, chunks=(10, 32, 32))
    array[:] = frames[:10]
    if counter:
        group.attrs["n_valid"] = 10
    watching = Watching(tmp_path / "live.zarr", work.path)
    wait_for(lambda: watching.status.get("frames") == 10)
    array.resize((80, 32, 32))
    array[10:] = frames[10:]
    if counter:
        group.attrs["n_valid"] = 80
    wait_for(lambda: watching.status["frames"] == 80)
    watching.end()
    ids = frame_ids("live.zarr", "data", np.arange(80))
    np.testing.assert_array_equal(work.frames().read(ids), frames)


def test_more_than_can_be_kept_up_with(work, tmp_path):
    """A burst far larger than the queue: counted as skipped, shown, and caught up with in the end."""
    (tmp_path / "live").mkdir()
    watching = Watching(tmp_path / "live", work.path, queue=64, batch=64)
    wait_for(lambda: watching.status)
    frames = frames_of(200, [0, 2], 15)[0]
    record(tmp_path / "live" / "a.h5", np.concatenate([frames] * 12))
    wait_for(lambda: watching.status["skipped"] > 1000 or watching.status["frames"] == 2400)
    assert watching.status["catching_up"] == watching.status["skipped"]
    wait_for(lambda: watching.status["frames"] == 2400)
    status = watching.end()
    assert status["skipped"] == status["catching_up"] == 0
    everything_agrees(work, 2800)


def test_strange_hits_are_gathered_and_a_group_proposed(work, tmp_path):
    known, _ = frames_of(150, [0, 2], 16)
    new, _ = frames_of(120, [5], 17, blank_share=0.0)
    record(tmp_path / "a.h5", np.concatenate([known, new]))
    status = watch(tmp_path / "a.h5", work, QUICK)
    new_ids = frame_ids("a.h5", "/frames", np.arange(150, 270))
    found = work.read_clustering(STRANGE)
    assert rows_of(found.frame_id, new_ids).min() >= 0 and len(found.frame_id) == status["strange"] < 135
    assert [p["hits"] for p in status["proposals"]] == np.bincount(found.labels[found.labels >= 0]).tolist()
    largest = found.members(0)
    assert len(largest) > 80 and (rows_of(new_ids, largest) >= 0).mean() > 0.95
    at = work.read_clustering("density")
    assert (at.labels[rows_of(at.frame_id, new_ids)] == -1).all()
    record(tmp_path / "b.h5", frames_of(40, [5], 18, blank_share=0.0)[0])
    watch(tmp_path / "b.h5", work, QUICK)
    again = work.read_clustering(STRANGE)
    assert (rows_of(again.frame_id, found.frame_id) >= 0).all() and len(again.frame_id) >= len(found.frame_id) + 40


def test_names_come_from_labels(work, tmp_path):
    from sorter.curate.label_book import LabelBook

    members = work.read_clustering("density").members(1)
    LabelBook(work.labels_path, "me").add(members[:20], "rod")
    record(tmp_path / "a.h5", frames_of(20, [0, 2], 3)[0])
    status = watch(tmp_path / "a.h5", work, QUICK)
    assert [c["name"] for c in status["clusters"]] == [None, "rod"]


def test_bad_input(work, sorted_run, tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        watch(tmp_path / "nothing", work)
    with pytest.raises(InputError, match="were made with features"):
        watch(tmp_path, work, WatchConfig(model="contrastive"))
    with pytest.raises(MissingResultError, match="has no clusters 'other'"):
        watch(tmp_path, work, WatchConfig(clustering="other"))
    record(tmp_path / "raw.h5", frames_of(30, [0], 3)[0])
    ingest(tmp_path / "raw.h5", tmp_path / "raw", OPTIONS)
    with pytest.raises(MissingResultError, match="sort it first"):
        watch(tmp_path, tmp_path / "raw")
    with pytest.raises(WorkFolderError, match="holds other files"):
        watch(tmp_path / "raw.h5", tmp_path, WatchConfig(start_from=str(sorted_run.path)))
    with pytest.raises(InputError, match="--queue 0"):
        WatchConfig(queue=0)
