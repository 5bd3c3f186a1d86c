"""Shards of a run shared out to workers: in this process, to processes of this machine, or to a cluster, by Dask.

A worker gets where the frames are, never the frames; the work folder must lie on a disk that all workers see under the same
path. A worker that dies costs the shards it held: they go to another one.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from sorter.core.config import require
from sorter.core.errors import InputError
from sorter.io.progress import Progress

log = logging.getLogger(__name__)

#: Rows of a part: a multiple of what a shard holds, or the other way round.
PART_ROWS = 4096
#: Tasks that are under way at once per worker.
_AHEAD = 3
_CONNECT_S, _FIRST_WORKER_S = 20, 300


@dataclass(frozen=True)
class WorkersConfig:
    """workers: how many (1: this process alone); scheduler: address of a running Dask scheduler, with the workers it has;
    slurm: let SLURM start them, as dask-jobqueue's own configuration says (queue, cores, memory, walltime)."""

    workers: int = 1
    scheduler: str | None = None
    slurm: bool = False

    def __post_init__(self) -> None:
        require(self.workers >= 1, f"--workers {self.workers}: must be at least 1")
        require(not (self.scheduler and self.slurm), "--scheduler and --slurm: give one of them")


class Pool(Protocol):
    """Calls a function on shards, somewhere; results come in the order of the shards."""

    def parts(self, n: int) -> list[range]:
        """``n`` rows in the parts that suit the workers; one at least."""
        ...

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        """Results of ``function`` for each of ``items``; both travel, so both must pickle. Raises what ``function`` raises."""
        ...


class ThisProcess:
    """One worker: this one."""

    def parts(self, n: int) -> list[range]:
        """All rows in one part."""
        return [range(n)]

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        """Results one by one."""
        return map(function, items)


class DaskPool:
    """The workers of a Dask client."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def parts(self, n: int) -> list[range]:
        """Parts of `PART_ROWS`."""
        return [range(start, min(start + PART_ROWS, n)) for start in range(0, max(n, 1), PART_ROWS)]

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        """Results in order; a few tasks per worker are under way, so that memory stays bounded."""
        under_way: deque[Any] = deque()
        left = iter(items)
        try:
            with Progress("workers", len(items), "parts") as bar:
                while True:
                    most = _AHEAD * max(1, len(self.client.nthreads()))
                    for item in islice(left, max(0, most - len(under_way))):
                        under_way.append(self.client.submit(function, item, pure=False))
                    if not under_way:
                        return
                    yield _result(under_way.popleft())
                    bar.update(1)
        finally:
            self.client.cancel(list(under_way))


def _result(future: Any) -> Any:
    from distributed import KilledWorker

    try:
        return future.result()
    except KilledWorker as error:
        raise InputError(
            f"workers died several times over the same shard ({error.task}); give them more memory, or look into their logs"
        ) from error


@contextmanager
def open_pool(config: WorkersConfig) -> Iterator[Pool]:
    """The workers that a config asks for; they are let go at the end. Raises InputError where they cannot be had."""
    if config.workers == 1 and config.scheduler is None and not config.slurm:
        yield ThisProcess()
        return
    try:
        from distributed import Client
    except ImportError:
        raise InputError("several workers need Dask; pip install 'shotsort[dask]'") from None
    if not log.isEnabledFor(logging.DEBUG):  # it tells of every connection that is made and closed
        logging.getLogger("distributed").setLevel(logging.ERROR)
    with _cluster(config) as target:
        try:
            client = Client(target, timeout=_CONNECT_S, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise InputError(
                f"--scheduler {config.scheduler}: cannot be reached ({error}); check its address"
            ) from error
        with client:
            _wait_for_workers(client, config)
            log.info("%d workers", len(client.nthreads()))
            yield DaskPool(client)


@contextmanager
def _cluster(config: WorkersConfig) -> Iterator[Any]:
    """What a client connects to: an address, or a cluster that lives as long as the block."""
    if config.scheduler is not None:
        yield config.scheduler
    elif config.slurm:
        with _slurm_cluster() as cluster:
            cluster.scale(config.workers)
            yield cluster
    else:
        from distributed import LocalCluster

        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // config.workers)))
        with LocalCluster(
            n_workers=config.workers, threads_per_worker=1, processes=True, dashboard_address=":0",
            silence_logs=logging.CRITICAL,
        ) as cluster:  # fmt: skip
            yield cluster


def _slurm_cluster() -> Any:
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError:
        raise InputError("--slurm needs dask-jobqueue; pip install 'shotsort[dask]'") from None
    try:
        return SLURMCluster()
    except ValueError as error:
        why = str(error).partition(", for example")[0]
        raise InputError(
            f"--slurm: {why}; describe a job in ~/.config/dask/jobqueue.yaml (docs/online.md has an example)"
        ) from error


def _wait_for_workers(client: Any, config: WorkersConfig) -> None:
    try:
        client.wait_for_workers(1, timeout=_FIRST_WORKER_S)
    except TimeoutError:
        where = config.scheduler or ("SLURM" if config.slurm else "this machine")
        raise InputError(f"no worker came up on {where} within {_FIRST_WORKER_S} s; look into their logs") from None
