"""The command itself, in a process of its own: Ctrl-C, kill -9, and what it says to a person."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from apps.cli.__main__ import main
from apps.cli.watch import lines
from sorter.core.identity import frame_ids
from sorter.online.status import read_status
from sorter.stages.watch import WatchConfig, watch
from tests.sorter.online.conftest import frames_of, record
from tests.sorter.online.test_watch import everything_agrees, wait_for


def start(*arguments):
    command = [sys.executable, "-m", "apps.cli", "watch", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def sorted_frames(work):
    status = read_status(work.path)
    return 0 if status is None else status["frames"]


def test_ctrl_c_ends_it_and_json_sums_up(work, tmp_path):
    (tmp_path / "live").mkdir()
    record(tmp_path / "live" / "a.h5", frames_of(40, [0, 2], 30)[0])
    process = start(tmp_path / "live", "-w", work.path, "--json")
    wait_for(lambda: sorted_frames(work) == 40 or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate()
    assert process.returncode == 0, error
    summary = json.loads(out)
    assert summary["frames"] == 40 and summary["state"] == "stopped" and "ending" in error and "Traceback" not in error
    everything_agrees(work, 440)


def test_kill_9_while_frames_come(work, tmp_path):
    frames, _ = frames_of(300, [0, 2], 31)
    np.save(tmp_path / "frames.npy", frames)
    (tmp_path / "live").mkdir()
    command = [sys.executable, "-m", "apps.bench.recorder", tmp_path / "frames.npy", tmp_path / "live", "100", "3"]
    recorder = subprocess.Popen([str(part) for part in command])
    while recorder.poll() is None:
        process = start(tmp_path / "live", "-w", work.path, "-q")
        before = len(work.frames())
        wait_for(lambda before=before: len(work.frames()) > before or recorder.poll() is not None)
        time.sleep(np.random.default_rng(before).uniform(0, 0.1))  # somewhere in the middle of a commit
        process.kill()
        process.communicate()
        everything_agrees(work)
    watch(tmp_path / "live", work, WatchConfig(idle_s=1.0))
    everything_agrees(work, 700)
    ids = frame_ids("run_0000.h5", "/frames", np.arange(300))
    np.testing.assert_array_equal(work.frames().read(ids), frames)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nosuch/"], "no such file or folder"),
        (["tcp://nowhere:x"], "give tcp://HOST:PORT"),
        ([".", "--model", "contrastive"], "were made with features"),
        ([".", "--queue", "0"], "at least 1"),
        ([".", "--socket", "PUB"], "choose one of REQ, SUB, PULL"),
        ([".", "--from", "nosuch"], "no such work folder"),
        ([".", "--until-idle", "-1"], "must be positive"),
    ],
)
def test_bad_input_is_one_line(arguments, says, work, capsys):
    assert main(["watch", *arguments, "-w", str(work.path)]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1


def test_what_a_person_sees(work, tmp_path):
    record(tmp_path / "a.h5", frames_of(60, [0, 2], 32)[0])
    shown = lines(watch(tmp_path / "a.h5", work, WatchConfig(idle_s=0.5)))
    assert "60 frames" in shown[0] and "skipped 0" in shown[1] and "hits by cluster: " in shown[2]
    assert all(len(line) < 200 for line in shown)
