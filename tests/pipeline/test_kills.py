"""Every stage killed 20 times at random moments: what it leaves in the end equals what it leaves when nobody kills it.

Slow (``pytest -m slow tests/pipeline/test_kills.py``). Each start of a stage is a process of its own, killed after a random part
of the time that the stage needs; the next start goes on in the same folder. A start that ends before its kill begins anew from
the folder as it was before the stage.
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

KILLS = int(os.environ.get("SHOTSORT_KILLS", "20"))
STAGES = {
    "ingest": ["ingest", "RUN", "-w", "WORK"],
    "train": ["train", "WORK", "--model", "contrastive", "--steps", "40"],
    "embed": ["embed", "WORK", "--model", "pretrained+contrastive+features"],
    "cluster": ["cluster", "WORK"],
    "report": ["report", "WORK"],
}


def start(stage, run, work):
    names = {"RUN": str(run), "WORK": str(work)}
    argv = [sys.executable, "-m", "apps.cli", *(names.get(word, word) for word in STAGES[stage]), "-q"]
    settings = {"env": {**os.environ, "OMP_NUM_THREADS": "1"}, "start_new_session": True}
    return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **settings)


def finish(stage, run, work):
    began = time.monotonic()
    process = start(stage, run, work)
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
        process = start(stage, run, work)
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
