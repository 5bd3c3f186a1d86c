"""Shards shared out to workers: the same results as one worker's, also when one of them is killed."""

import logging
import os
import shutil
import signal

import numpy as np
import pytest

from sorter.core.errors import InputError
from sorter.io.workfolder import WorkFolder
from sorter.stages import workers
from sorter.stages.embed import EmbedConfig, embed
from sorter.stages.hits import find_hits
from sorter.stages.ingest import ingest
from sorter.stages.workers import DaskPool, ThisProcess, WorkersConfig, open_pool
from tests.sorter.online.conftest import OPTIONS, frames_of, record

distributed = pytest.importorskip("distributed", reason="needs the extra 'dask'")


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A run with hits and embedding, made in this process."""
    folder = tmp_path_factory.mktemp("alone")
    record(folder / "run.h5", frames_of(500, [0, 1, 2], 30)[0])
    ingest(folder / "run.h5", folder / "work", OPTIONS)
    find_hits(folder / "work")
    embed(folder / "work", EmbedConfig("features"))
    return WorkFolder.open(folder / "work")


@pytest.fixture(scope="module")
def pool():
    """Two workers, in processes of their own."""
    with open_pool(WorkersConfig(workers=2)) as pool:
        yield pool


@pytest.fixture
def again(alone, tmp_path, monkeypatch):
    """The same frames without results; parts so small that there are many."""
    monkeypatch.setattr(workers, "PART_ROWS", 64)
    work = WorkFolder.open(shutil.copytree(alone.path, tmp_path / "again"))
    shutil.rmtree(work.path / "results.zarr" / "hits")
    shutil.rmtree(work.path / "results.zarr" / "embeddings")
    return work


def agree(a, b):
    one, two = a.read_hits(), b.read_hits()
    for name in ("frame_id", "photons", "score", "is_hit"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert one.threshold == two.threshold and one.meta == two.meta
    one, two = a.read_embedding("features"), b.read_embedding("features")
    np.testing.assert_array_equal(one.frame_id, two.frame_id)
    np.testing.assert_allclose(one.vectors, two.vectors, atol=1e-5)
    assert one.meta == two.meta


def test_two_workers_give_the_same(alone, again, pool):
    find_hits(again, pool=pool)
    embed(again, EmbedConfig("features"), pool=pool)
    agree(alone, again)


def test_a_killed_worker_costs_its_parts_not_the_result(alone, again, tmp_path):
    with open_pool(WorkersConfig(workers=2)) as pool:
        victim = next(iter(pool.client.scheduler_info()["workers"]))
        pid = pool.client.run(os.getpid, workers=[victim])[victim]
        killing = KillOnce(pid, after=2)
        find_hits(again, pool=Watched(pool, killing))
        assert killing.done
        embed(again, EmbedConfig("features"), pool=pool)
    agree(alone, again)


class KillOnce:
    """Kills a process when so many results have come."""

    def __init__(self, pid, after):
        self.pid, self.left, self.done = pid, after, False

    def __call__(self):
        self.left -= 1
        if self.left == 0:
            os.kill(self.pid, signal.SIGKILL)
            self.done = True


class Watched:
    """A pool that tells when a result has come."""

    def __init__(self, pool, tell):
        self.pool, self.parts, self.tell = pool, pool.parts, tell

    def map(self, function, items):
        for result in self.pool.map(function, items):
            self.tell()
            yield result


def fail(item):
    raise InputError(f"shard {item}: broken; mend it")


def test_what_a_worker_raises_is_raised_here(pool):
    with pytest.raises(InputError, match="shard 0: broken"):
        list(pool.map(fail, [0, 1]))
    assert list(pool.map(abs, [-1, -2])) == [1, 2]


def test_a_scheduler_that_runs_already(pool, again, alone):
    address = pool.client.scheduler.address
    with open_pool(WorkersConfig(scheduler=address)) as other:
        assert isinstance(other, DaskPool)
        find_hits(again, pool=other)
        embed(again, EmbedConfig("features"), pool=other)
    agree(alone, again)


def test_one_worker_needs_no_dask():
    with open_pool(WorkersConfig()) as pool:
        assert isinstance(pool, ThisProcess)
        assert pool.parts(7) == [range(7)] and list(pool.map(abs, [-3])) == [3]


@pytest.mark.parametrize("n", [0, 1, 64, 65])
def test_parts_cover_all_rows(pool, n, monkeypatch):
    monkeypatch.setattr(workers, "PART_ROWS", 64)
    assert [row for part in pool.parts(n) for row in part] == list(range(n)) and len(pool.parts(n)) >= 1


def test_bad_input():
    with pytest.raises(InputError, match="--workers 0"):
        WorkersConfig(workers=0)
    with pytest.raises(InputError, match="give one of them"):
        WorkersConfig(scheduler="tcp://a:1", slurm=True)
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with (
        pytest.raises(InputError, match="cannot be reached"),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(workers, "_CONNECT_S", 0.5)
        with open_pool(WorkersConfig(scheduler="tcp://127.0.0.1:9")):
            pass


def test_slurm_says_what_it_lacks():
    pytest.importorskip("dask_jobqueue", reason="needs the extra 'dask'")
    with pytest.raises(InputError, match=r"jobqueue\.yaml"), open_pool(WorkersConfig(slurm=True)):
        pass


def test_slurm_submits_the_job_that_its_configuration_describes():
    jobqueue = pytest.importorskip("dask_jobqueue", reason="needs the extra 'dask'")
    with jobqueue.SLURMCluster(queue="upex", cores=4, processes=4, memory="32GB", walltime="02:00:00") as cluster:
        script = cluster.job_script()
    assert "#SBATCH -p upex" in script and "#SBATCH -t 02:00:00" in script and "--nworkers 4" in script
