"""Sort frames while they are recorded: append their hits, embeddings and clusters to a work folder, and tell how it goes."""

from __future__ import annotations

import contextlib
import logging
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sorter.cluster.base import Base
from sorter.cluster.reduce import Projection
from sorter.core.config import config_to_dict, require
from sorter.io.progress import Progress
from sorter.io.workfolder import WorkFolder
from sorter.io.zarr_store import Source
from sorter.io.zarr_writer import FrameBlock
from sorter.online.appending import LiveResults
from sorter.online.karabo import PATTERNS
from sorter.online.queue import Parcel, ParcelQueue, SourceAway
from sorter.online.sorting import FrameSorter, Part, Sorted
from sorter.online.status import LiveStatus, Stored
from sorter.stages.base import BaseInfo, background_of, open_base, start_from
from sorter.stages.embed import EmbedConfig, encoder_of
from sorter.stages.incoming import Incoming, is_stream
from sorter.stages.sampling import block_length
from sorter.stages.strange import STRANGE, StrangeHits
from sorter.stages.train import resolve_device
from sorter.train.config import DEVICES

__all__ = ["STRANGE", "WatchConfig", "watch"]

log = logging.getLogger(__name__)

#: Parcels, their frames with the source of each block, and what was found of them.
_Batch = tuple[list[Parcel], list[tuple[Source, FrameBlock]], Sorted]
_POLL_S, _STATUS_S = 0.02, 1.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0


@dataclass(frozen=True)
class WatchConfig:
    """Settings of `shotsort watch`.

    start_from: sorted work folder to go on from, in a new one. clustering: that frames are sorted into. model: embedding that
    is expected, None: that of the clustering. dataset: of the frames (HDF5 path; SOURCE/KEY of a stream). pattern: one of
    karabo.PATTERNS. queue: frames that may wait. batch: frames that are sorted together at most. seconds: end after so long;
    idle_s: end when nothing has come for so long and nothing waits; None: go on until interrupted.
    """

    start_from: str | None = None
    clustering: str = "density"
    model: str | None = None
    dataset: str | None = None
    pattern: str = "REQ"
    queue: int = 2048
    batch: int = 256
    seconds: float | None = None
    idle_s: float | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        require(self.pattern in PATTERNS, f"--socket {self.pattern}: choose one of {', '.join(PATTERNS)}")
        require(self.queue >= 1, f"--queue {self.queue}: must be at least 1")
        require(self.batch >= 1, f"--batch {self.batch}: must be at least 1")
        require(self.device in DEVICES, f"--device {self.device}: choose one of {', '.join(DEVICES)}")
        for name, value in (("--seconds", self.seconds), ("--until-idle", self.idle_s)):
            require(value is None or value > 0, f"{name} {value}: must be positive")


def watch(
    source: str | Path,
    work: str | Path | WorkFolder,
    config: WatchConfig | None = None,
    show: Callable[[dict[str, Any]], None] | None = None,
    stored: Callable[[list[Parcel], float], None] | None = None,
    stop: threading.Event | None = None,
) -> dict[str, Any]:
    """Sort the frames of ``source`` while they are recorded, until interrupted; returns the last live status.

    source: a folder in which HDF5 or CXI files appear and grow, one such file, a zarr group that grows, or the address
    tcp://HOST:PORT of a Karabo bridge. Frames and results are appended to the sorted work folder ``work``
    (`sorter.online.status` describes ``live.json`` in it, which ``show`` gets as well, once a second). ``stored`` is called
    after each commit with its frames and the monotonic time; setting ``stop`` ends it as Ctrl-C does. Called again it goes on;
    no frame is taken twice.

    Raises MissingResultError where the work folder was not sorted, InputError for a source that is no such thing or a model
    that does not fit.
    """
    config = config or WatchConfig()
    path = work.path if isinstance(work, WorkFolder) else Path(work)
    if not is_stream(source):
        require(Path(source).exists(), f"{source}: no such file or folder; check the name, or make the folder first")
    if config.start_from is None:
        folder = WorkFolder.open(path)
    else:
        folder = start_from(WorkFolder.open(config.start_from), path, config.clustering)
    info, base, projection = open_base(folder, config.clustering, config.model)
    with folder.stage("watch", config_to_dict(config), None, {"source": str(source), "base": info.run}) as record:
        live = _Watch(folder, str(source), config, info, base, projection, show, stored, stop or threading.Event())
        status = live.run()
        record.outputs.update(frames=status["frames"], hits=status["hits"], clustering=config.clustering)
        record.metrics.update({f"watch/{k}": status[k] for k in ("hit_share_all", "skipped", "refused", "strange")})
    return status


class _Watch:
    """One call of `watch`: the source feeds a queue in one thread, this one sorts, a third one writes."""

    def __init__(
        self, work: WorkFolder, source: str, config: WatchConfig, info: BaseInfo, base: Base, projection: Projection,
        show: Callable[[dict[str, Any]], None] | None, stored: Callable[[list[Parcel], float], None] | None,
        stop: threading.Event,
    ) -> None:  # fmt: skip
        self._work, self._config, self._show, self._stored = work, config, show, stored
        self._store = work.frames()
        self._sorter = _frame_sorter(work, config, info, base, projection)
        self._results = LiveResults(work, info.parts, info.clustering, info.layout, info.unclustered)
        self._status = LiveStatus(
            source, info.embedding, info.clustering, info.names, self._results.n_stored, time.monotonic
        )
        self._queue = ParcelQueue(config.queue)
        self._said: set[str] = set()
        self._strange = StrangeHits(work, info, projection, self._status, self._say)
        self._stop = stop
        self._ready: queue.Queue[_Batch | None] = queue.Queue(1)
        self._failed: BaseException | None = None
        self._incoming = Incoming(source, self._store, self._results, self._refuse, config.dataset, config.pattern)

    # -- the three threads -----------------------------------------------------------------------------------------------
    def run(self) -> dict[str, Any]:
        """Sort until interrupted, or as long as the config says; returns the last status."""
        feeder, writer = (threading.Thread(target=self._guarded, args=(work,)) for work in (self._feed, self._write))
        with _ends_softly(self._stop):
            try:
                self._sort_what_is_unsorted()
                feeder.start()
                writer.start()
                self._sort()
            finally:
                self._stop.set()
                if writer.ident is not None:
                    self._hand_over(None)
                    writer.join()
                if feeder.ident is not None:
                    feeder.join()
                self._incoming.source.close()
        if self._failed is not None:
            raise self._failed
        self._strange.finish()
        return self._tell(stopped=True)

    def _hand_over(self, item: _Batch | None) -> None:
        """Give the writer its next piece of work; a writer that failed gets none."""
        while self._failed is None:
            with contextlib.suppress(queue.Full):
                self._ready.put(item, timeout=_POLL_S)
                return

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self._failed = self._failed or error
            self._stop.set()

    def _feed(self) -> None:
        """Look for new frames; wait, longer each time, for a source that is away."""
        pause = _FIRST_PAUSE_S
        while not self._stop.is_set():
            try:
                found = self._incoming.source.poll()
            except SourceAway as away:
                if not self._status.away:
                    self._say(f"{away}; waiting for it")
                self._status.away = True
                self._stop.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
                continue
            if self._status.away and (found or not is_stream(self._status.source)):
                self._say(f"{self._status.source}: is back")
                self._status.away = False
                pause = _FIRST_PAUSE_S
            self._queue.put(found)
            if not found:
                self._stop.wait(_POLL_S)

    def _sort(self) -> None:
        began = told = idle_since = time.monotonic()
        while not self._stop.is_set():
            taken = self._queue.take(self._config.batch, _POLL_S)
            if taken:
                self._sort_parcels(taken)
                idle_since = time.monotonic()
            now = time.monotonic()
            if now - told >= _STATUS_S:
                self._tell()
                told = now
            idle = self._config.idle_s is not None and now - idle_since > self._config.idle_s and self._queue.empty
            if idle or (self._config.seconds is not None and now - began > self._config.seconds):
                break
        while self._failed is None and (taken := self._queue.take(self._config.batch, 0, late=False)):
            self._sort_parcels(taken)

    def _write(self) -> None:
        while (item := self._ready.get()) is not None:
            taken, blocks, found = item
            self._results.append_frames(blocks)
            self._results.append_results(found)
            now = time.monotonic()
            ages = [np.full(p.n_frames, now - p.available_s) for p in taken if p.available_s is not None]
            latency = np.concatenate(ages) if ages else np.empty(0)
            at = found.placement
            self._status.update(Stored(now, len(found.frame_id), at.assigned, int(at.far.sum()), latency))
            if self._stored is not None:
                self._stored(taken, now)

    # -- frames ----------------------------------------------------------------------------------------------------------
    def _sort_parcels(self, taken: list[Parcel]) -> None:
        kept, blocks = self._incoming.read(taken)
        if not blocks:
            return
        ids = np.concatenate([block.frame_id for _, block in blocks])
        found = self._sorter(ids, np.concatenate([block.frames for _, block in blocks]))
        self._strange.add(found)
        self._hand_over((kept, blocks, found))

    def _sort_what_is_unsorted(self) -> None:
        """Frames of the store that have no results: a kill came between, or they were ingested since."""
        ids = self._store.frame_ids[self._results.n_sorted :]
        n = min(block_length(self._store), self._config.batch)
        with Progress("sort stored frames", len(ids), "frames") as bar:
            for start in range(0, len(ids), n):
                if self._stop.is_set():
                    return
                some = ids[start : start + n]
                found = self._sorter(some, self._store.read(some))
                self._results.append_results(found)
                bar.update(len(some))

    def _refuse(self, n_frames: int, why: str) -> None:
        self._queue.refuse(n_frames)
        if why not in self._said:
            self._said.add(why)
            self._say(why)

    def _say(self, line: str) -> None:
        self._status.message = line
        log.warning("%s", line)

    def _tell(self, stopped: bool = False) -> dict[str, Any]:
        values = self._status.write(self._work.path, self._queue.counts(), stopped)
        if self._show is not None:
            self._show(values)
        return values


@contextlib.contextmanager
def _ends_softly(stop: threading.Event) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM) sets ``stop``, a second one interrupts as usual."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def first(number: int, _frame: object) -> None:
        log.info("ending: what was taken is stored first")
        stop.set()
        for known, handler in before.items():
            signal.signal(known, handler)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, first)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _frame_sorter(
    work: WorkFolder, config: WatchConfig, info: BaseInfo, base: Base, projection: Projection
) -> FrameSorter:
    store, device = work.frames(), resolve_device(config.device)
    parts = []
    for name in info.parts:
        settings = EmbedConfig(model=name, device=config.device)
        polar, encoder, _ = encoder_of(work, name, store, settings, work.read_embedding(name).meta)
        parts.append(Part(name, polar, encoder))
    return FrameSorter(background_of(work), work.read_hits().threshold, parts, projection, base, device)
