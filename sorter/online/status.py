"""What a person who watches a run wants to know now, as one small JSON file: ``WORK/live.json``.

The file is replaced as a whole about once a second, so a reader never sees half of it; it stays behind with the state
"stopped" when the watching ends. A state other than that with an ``updated`` older than ten seconds means that the process
was killed. Its keys (recent: over the last `RECENT_S` seconds; a rate or share that nothing is known of is null):

schema_version       1
state                "watching" (frames come in), "waiting" (the source is away, or silent for 5 s), "stopped"
message              the last line worth a person's eye (the source went away, frames were refused ...), or null
source, started, updated, seconds
                     what is watched; ISO 8601 times in UTC; length of this call
embedding, clustering
                     names of the results that grow in the work folder
frames, hits         sorted and stored in this call
frames_total         in the work folder, with those from before
frames_per_s, hit_share, latency_p50_ms, latency_p99_ms
                     recent; latency: from the moment a frame can be read until all its results are stored
hit_share_all        of all frames of this call
clusters             list of {cluster, name, hits, share}, largest cluster first: number in the clustering; its label, or null;
                     hits of this call assigned to it; its recent share of the hits
unassigned, unassigned_share
                     hits of this call that belong to no cluster; their recent share of the hits
strange              hits of this call that are far from everything, in all
proposals            list of {clustering, cluster, hits}: groups found among the strange hits, stored as that clustering
queue, queue_limit   frames that wait to be sorted, and how many may
skipped              frames of this call that could not be kept up with and are not sorted (yet)
catching_up          frames that can still be read and will be when there is time: skipped ones (of files, not of streams) and
                     those recorded before the watching began
refused              frames that do not fit (shape, type); ``message`` says why
history              {"seconds": [...], "frames_per_s": [...], "hit_share": [...], "skipped_per_s": [...]}: one entry per
                     `HISTORY_STEP_S`, the last `HISTORY_LENGTH`; seconds since ``started``, at the end of each step
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.core.errors import InputError
from sorter.core.manifest import utc_now
from sorter.io.whole import write_text_whole

SCHEMA_VERSION = 1
#: Name of the clustering of the strange hits: its clusters are proposals for new groups.
STRANGE = "strange"
RECENT_S = 30.0
HISTORY_STEP_S, HISTORY_LENGTH = 10.0, 360
#: A source that has given nothing for so long is waited for.
SILENT_S = 5.0
#: A status that is older, and does not say "stopped", is that of a process that was killed.
GONE_S = 10.0


def seconds_old(status: dict[str, Any]) -> float:
    """Age of a live status; infinite where it does not say."""
    try:
        return (datetime.now(UTC) - datetime.fromisoformat(str(status["updated"]))).total_seconds()
    except (KeyError, ValueError):
        return math.inf


def status_path(work: Path) -> Path:
    """Where the live status of a work folder is."""
    return work / "live.json"


def read_status(work: Path) -> dict[str, Any] | None:
    """The live status of a work folder; None where nothing was ever watched. Raises InputError for a damaged or newer one."""
    path = status_path(work)
    try:
        values = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); 'shotsort watch' writes it anew") from error
    if values.get("schema_version", 0) > SCHEMA_VERSION:
        raise InputError(f"{path}: written by a newer shotsort; update shotsort")
    return values


@dataclass(frozen=True)
class Stored:
    """What one commit stored: time of the commit; n frames; n_hits; assigned (n_hits,) int32 clusters, -1 none; strange: number
    of them; latency_s (n live frames,): age of each frame at the commit (frames read late to catch up are not among them)."""

    time_s: float
    frames: int
    assigned: NDArray[np.int32]
    strange: int
    latency_s: NDArray[np.float64]

    @property
    def hits(self) -> int:
        """Number of hits."""
        return len(self.assigned)


@dataclass(frozen=True)
class Backlog:
    """Counts of frames: waiting in the queue, which holds at most ``limit``; skipped; to be read when there is time; refused."""

    waiting: int = 0
    limit: int = 0
    skipped: int = 0
    catching_up: int = 0
    refused: int = 0


@dataclass
class LiveStatus:
    """Takes in what was stored and tells the state of the watching, each from a thread of its own. names: label of each cluster,
    or None."""

    source: str
    embedding: str
    clustering: str
    names: Sequence[str | None]
    frames_before: int = 0
    clock: Callable[[], float] = time.monotonic
    message: str | None = None
    proposals: list[dict[str, Any]] = field(default_factory=list)
    away: bool = False

    def __post_init__(self) -> None:
        self._started, self._begin = utc_now(), self.clock()
        self._lock = threading.Lock()
        self._last_frame = self._begin
        self._recent: deque[Stored] = deque()
        self._frames = self._hits = self._strange = self._unassigned = 0
        self._per_cluster = np.zeros(len(self.names), np.int64)
        self._steps: deque[tuple[float, float, float | None, float]] = deque(maxlen=HISTORY_LENGTH)
        self._step = (self._begin, 0, 0, 0)

    def update(self, stored: Stored) -> None:
        """Take in one commit."""
        with self._lock:
            self._recent.append(stored)
            self._last_frame = stored.time_s
            self._frames += stored.frames
            self._hits += stored.hits
            self._strange += stored.strange
            self._per_cluster += _counts(stored.assigned, len(self.names))
            self._unassigned += int((stored.assigned < 0).sum())

    def to_dict(self, backlog: Backlog, stopped: bool = False) -> dict[str, Any]:
        """The values of ``live.json`` now."""
        with self._lock:
            return self._values(backlog, stopped)

    def _values(self, backlog: Backlog, stopped: bool) -> dict[str, Any]:
        now = self.clock()
        self._note_history(now, backlog.skipped)
        while self._recent and self._recent[0].time_s < now - RECENT_S:
            self._recent.popleft()
        span = max(min(RECENT_S, now - self._begin), 1e-9)
        frames, hits = sum(s.frames for s in self._recent), sum(s.hits for s in self._recent)
        latency = np.concatenate([s.latency_s for s in self._recent]) * 1e3 if self._recent else np.empty(0)
        silent = self.away or now - self._last_frame > SILENT_S
        return {
            "schema_version": SCHEMA_VERSION,
            "state": "stopped" if stopped else "waiting" if silent else "watching",
            "message": self.message,
            "source": self.source,
            "started": self._started,
            "updated": utc_now(),
            "seconds": round(now - self._begin, 1),
            "embedding": self.embedding,
            "clustering": self.clustering,
            "frames": self._frames,
            "hits": self._hits,
            "frames_total": self.frames_before + self._frames,
            "frames_per_s": round(frames / span, 1),
            "hit_share": _share(hits, frames),
            "hit_share_all": _share(self._hits, self._frames),
            "latency_p50_ms": _percentile(latency, 50),
            "latency_p99_ms": _percentile(latency, 99),
            **self._classes(hits),
            "strange": self._strange,
            "proposals": self.proposals,
            "queue": backlog.waiting,
            "queue_limit": backlog.limit,
            "skipped": backlog.skipped,
            "catching_up": backlog.catching_up,
            "refused": backlog.refused,
            "history": self._history(),
        }

    def write(self, work: Path, backlog: Backlog, stopped: bool = False) -> dict[str, Any]:
        """Replace ``live.json`` and return what it holds."""
        values = self.to_dict(backlog, stopped)
        write_text_whole(status_path(work), json.dumps(values, indent=1, allow_nan=False) + "\n")
        return values

    def _classes(self, recent_hits: int) -> dict[str, Any]:
        recent = sum((_counts(s.assigned, len(self.names)) for s in self._recent), np.zeros_like(self._per_cluster))
        clusters = [
            {
                "cluster": number,
                "name": name,
                "hits": int(self._per_cluster[number]),
                "share": _share(int(recent[number]), recent_hits),
            }
            for number, name in enumerate(self.names)
        ]
        loose = recent_hits - int(recent.sum())
        return {
            "clusters": clusters,
            "unassigned": self._unassigned,
            "unassigned_share": _share(loose, recent_hits),
        }

    def _note_history(self, now: float, skipped: int) -> None:
        begin, frames, hits, before = self._step
        if now - begin < HISTORY_STEP_S:
            return
        new, span = self._frames - frames, now - begin
        rates = (new / span, _share(self._hits - hits, new), max(0, skipped - before) / span)
        self._steps.append((now - self._begin, *rates))
        self._step = (now, self._frames, self._hits, skipped)

    def _history(self) -> dict[str, list[float | None]]:
        names = ("seconds", "frames_per_s", "hit_share", "skipped_per_s")
        columns = zip(*self._steps) if self._steps else ([], [], [], [])
        return {name: [None if v is None else round(v, 4) for v in column] for name, column in zip(names, columns)}


def _counts(assigned: NDArray[np.int32], n: int) -> NDArray[np.int64]:
    return np.bincount(assigned[assigned >= 0], minlength=n)[:n].astype(np.int64)


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _percentile(values: NDArray[np.float64], q: float) -> float | None:
    found = float(np.percentile(values, q)) if len(values) else math.nan
    return None if math.isnan(found) else round(found, 1)
