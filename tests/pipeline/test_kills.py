"""Every stage, and `watch`, killed 20 times at random moments: what is left in the end equals what is left when nobody kills it.

Slow (``pytest -m slow tests/pipeline/test_kills.py``; SHOTSORT_KILLS=N kills N times). Each start is a process of its own,
killed after a random part of the time that its stage needs; the next start goes on in the same folder. A start that ends before
its kill begins anew from the folder as it was before the stage.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import zarr

from sim.run import simulate
from sorter.core.identity import rows_of
from sorter.io.workfolder import WorkFolder
from sorter.online.status import read_status

KILLS = int(os.environ.get("SHOTSORT_KILLS", "20"))
STAGES = {
    "ingest": ["ingest", "RUN", "-w", "WORK"],
    "train": ["train", "WORK", "--model", "contrastive", "--steps", "40"],
    "embed": ["embed", "WORK", "--model", "pretrained+contrastive+features"],
    "cluster": ["cluster", "WORK"],
    "report": ["report", "WORK"],
}


def start(words, run, work):
    names = {"RUN": str(run), "WORK": str(work)}
    argv = [sys.executable, "-m", "apps.cli", *(names.get(word, word) for word in words), "-q"]
    settings = {"env": {**os.environ, "OMP_NUM_THREADS": "1"}, "start_new_session": True}
    return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **settings)


def finish(stage, run, work):
    began = time.monotonic()
    process = start(STAGES[stage], run, work)
    said = process.communicate()[1]
    assert process.returncode == 0, said.decode()
    return time.monotonic() - began


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The recorded file, the folder before and after each stage, and the seconds that each took."""
    top = tmp_path_factory.mktemp("whole")
    run, work, before, after, seconds = top / "run.h5", top / "work", {}, {}, {}
    simulate("clusters", 3000, 5, run, {"layout.n_px": 64, "max_radius_nm": 100, "vary": 64}, workers=1)
    for stage in STAGES:
        before[stage], after[stage] = work, top / f"after-{stage}"
        if work.exists():
            shutil.copytree(work, after[stage])
        work = after[stage]
        seconds[stage] = finish(stage, run, work)
    return run, before, after, seconds


def arrays(folder: Path):
    """Every array of the folder's stores, and the weights of its models."""
    found = {}
    for store in ("frames.zarr", "results.zarr"):
        for path in sorted((folder / store).rglob("zarr.json")):
            node = zarr.open(path.parent, mode="r")
            if isinstance(node, zarr.Array):
                found[str(path.parent.relative_to(folder))] = node[:]
    for path in sorted((folder / "models").rglob("weights.safetensors")):
        found[str(path.relative_to(folder))] = np.frombuffer(path.read_bytes(), np.uint8)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_killed_again_and_again_comes_to_the_same_result(stage, whole, tmp_path):
    run, before, after, seconds = whole
    dice, work, kills = random.Random(stage), tmp_path / "work", 0

    def renew():
        shutil.rmtree(work, ignore_errors=True)
        if before[stage].exists():
            shutil.copytree(before[stage], work)

    renew()
    while kills < KILLS:
        process = start(STAGES[stage], run, work)
        try:
            process.wait(timeout=dice.uniform(0.1, 1.0) * seconds[stage])
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        else:
            renew()
        process.communicate()
    finish(stage, run, work)
    expected, found = arrays(after[stage]), arrays(work)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-4, err_msg=name)
        else:
            np.testing.assert_array_equal(found[name], values, err_msg=name)
    assert (work / "report.html").is_file() == (stage == "report")


WATCH = ["watch", "RUN", "-w", "WORK"]
PATIENCE_S = 300


def agrees(work):
    """What a reader sees, results before what they are of: frames once each, and every one with all its results or none."""
    layout, found = work.read_layout(*work.result_names("layouts")), work.read_clustering("density")
    hits, store = work.read_hits(), work.frames()
    assert len(np.unique(store.frame_ids)) == len(store)
    for ids, more in (
        (layout.frame_id, found.frame_id),
        (found.frame_id, hits.hit_ids),
        (hits.frame_id, store.frame_ids),
    ):
        assert len(np.unique(ids)) == len(ids) and (rows_of(more, ids) >= 0).all()
    return len(store)


@pytest.mark.slow
def test_a_watcher_killed_again_and_again_loses_no_frame_and_takes_none_twice(whole, tmp_path):
    _, _, after, _ = whole
    dice, live, work = random.Random("watch"), tmp_path / "live", WorkFolder(tmp_path / "work")
    for name in ("work", "expected"):
        shutil.copytree(after["cluster"], tmp_path / name)
    before = work.frames()
    np.save(tmp_path / "frames.npy", before.read(before.frame_ids))
    argv = [sys.executable, "-m", "apps.bench.recorder", str(tmp_path / "frames.npy"), str(live), "60", str(10 * KILLS)]
    live.mkdir()
    recorder = subprocess.Popen(argv)
    try:
        for _ in range(KILLS):
            told, process = len(work.frames()), start(WATCH, live, work.path)
            deadline = time.monotonic() + dice.choice(
                [PATIENCE_S, PATIENCE_S, PATIENCE_S, 8]
            )  # some are killed as they start
            while len(work.frames()) == told and time.monotonic() < deadline:
                assert process.poll() is None, process.communicate()[1].decode()
                time.sleep(0.1)
            time.sleep(dice.uniform(0, 2))
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            status = read_status(work.path)
            assert agrees(work) >= (told if status is None else max(told, status["frames_total"]))
        recorder.wait(PATIENCE_S)
    finally:
        recorder.kill()
    for folder in (work.path, tmp_path / "expected"):
        last = start([*WATCH, "--until-idle", "5"], live, folder)
        said = last.communicate()[1]
        assert last.returncode == 0, said.decode()
    expected = WorkFolder(tmp_path / "expected")
    assert agrees(work) == agrees(expected) == len(before) + 600 * KILLS
    compare_by_id(work, expected)


def compare_by_id(work, expected):
    """Frames, scores and results are the same, in whatever order they were taken."""
    ids = expected.frames().frame_ids
    some = ids[:: max(1, len(ids) // 2000)]
    np.testing.assert_array_equal(work.frames().read(some), expected.frames().read(some))
    for read, names in (
        (WorkFolder.read_hits, ("photons", "score", "is_hit")),
        (lambda folder: folder.read_clustering("density"), ("labels", "strength", "assigned")),
        (lambda folder: folder.read_layout(*folder.result_names("layouts")), ("xy",)),
        (
            lambda folder: folder.read_embedding(folder.meta("clusters", "density")["embedding"].split("+")[0]),
            ("vectors",),
        ),
    ):
        a, b = read(work), read(expected)
        rows = rows_of(a.frame_id, b.frame_id)
        assert len(a.frame_id) == len(b.frame_id) and (rows >= 0).all()
        for name in names:
            np.testing.assert_allclose(getattr(a, name)[rows], getattr(b, name), rtol=1e-4, atol=1e-4, err_msg=name)
