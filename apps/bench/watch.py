"""Sorting while recording, measured: sustained rate, latency, and what happens at twice the rate that can be kept up with."""

from __future__ import annotations

import argparse
import logging
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from sorter.core.config import require
from sorter.online.queue import Parcel

log = logging.getLogger(__name__)

HELP = "Frames that another process records, sorted while they come: rate, latency, skipped frames; then twice the possible rate."
EXAMPLE = """  shotsort bench watch
  shotsort bench watch --rate 500 --seconds 120 --json
  shotsort bench watch --from run41/ --sources folder
"""
SOURCES = ("folder", "stream", "zarr")
#: After the recorder has ended, what waits is given this long.
_DRAIN_S = 3.0
#: More than can be sorted in the time for which `possible_rate` looks.
_BACKLOG = 50_000


@dataclass(frozen=True)
class WatchBenchConfig:
    """rate, seconds: of the recording; sources: some of SOURCES; start_from: sorted work folder (None: a simulated run of
    ``frames`` frames is sorted first); overload_s: length of the recording at twice the possible rate (0: left out)."""

    rate: float = 500.0
    seconds: float = 120.0
    sources: tuple[str, ...] = SOURCES
    start_from: str | None = None
    frames: int = 4000
    overload_s: float = 30.0
    folder: str | None = None

    def __post_init__(self) -> None:
        require(self.rate > 0 and self.seconds > 0, "--rate and --seconds must be positive")
        require(self.frames >= 500, f"--frames {self.frames}: must be at least 500")
        require(self.overload_s >= 0, f"--overload {self.overload_s}: must be 0 or more")


def bench_watch(config: WatchBenchConfig) -> dict[str, Any]:
    """All figures, JSON-ready; latencies in milliseconds from the moment at which the writer let a frame be read (of a stream:
    at which its train was received) until its results were stored."""
    with _folder(config.folder) as folder:
        base = config.start_from or str(prepare(folder, config.frames))
        frames = folder / "frames.npy"
        np.save(frames, _frames_of(base))
        result: dict[str, Any] = {"rate_frames_per_s": config.rate, "seconds": config.seconds, "runs": []}
        for kind in config.sources:
            log.info("%s, %.0f frames per second for %.0f s", kind, config.rate, config.seconds)
            result["runs"].append(_measure(folder, base, frames, kind, config.rate, config.seconds))
        if config.overload_s:
            result["possible_frames_per_s"] = rate = possible_rate(folder, base, frames)
            log.info("folder, twice the possible rate: %.0f frames per second", 2 * rate)
            result["runs"].append(_measure(folder, base, frames, "folder", 2 * rate, config.overload_s))
    return result


@contextmanager
def _folder(given: str | None) -> Iterator[Path]:
    if given is not None:
        Path(given).mkdir(parents=True, exist_ok=True)
        yield Path(given)
        return
    with tempfile.TemporaryDirectory(prefix="shotsort-watch-") as made:
        yield Path(made)


def prepare(folder: Path, n_frames: int) -> Path:
    """A simulated run sorted as by default."""
    from sim.run import simulate
    from sorter.stages.cluster import cluster
    from sorter.stages.embed import embed
    from sorter.stages.hits import find_hits
    from sorter.stages.ingest import ingest

    work = folder / "base"
    if not (folder / "run.h5").exists():
        simulate("clusters", n_frames, 0, folder / "run.h5", {"vary": 256}, workers=2)
    ingest(folder / "run.h5", work)
    find_hits(work)
    embed(work)
    cluster(work)
    return work


def _frames_of(work: str, most: int = 2000) -> NDArray:
    from sorter.io.workfolder import WorkFolder

    store = WorkFolder.open(work).frames()
    return store.read(store.frame_ids[:most])


def possible_rate(folder: Path, base: str, frames: Path, seconds: float = 8.0) -> float:
    """Frames per second that are sorted when there are always more: a folder of _BACKLOG frames that was recorded before."""
    from apps.bench.recorder import record_folder

    live = folder / "backlog"
    record_folder(live, np.load(frames), 1e9, _BACKLOG / 1e9, block=100)
    run = _Run(folder, base, str(live), "backlog")
    status = run.watch(seconds)
    return round(status["frames"] / status["seconds"], 1)


def _measure(folder: Path, base: str, frames: Path, kind: str, rate: float, seconds: float) -> dict[str, Any]:
    """Watch what a recorder, a process of its own, makes."""
    from apps.bench.recorder import new_zarr

    name = f"{kind}_{rate:.0f}"
    source = f"tcp://127.0.0.1:{_free_port()}" if kind == "stream" else str(folder / name)
    if kind == "folder":
        Path(source).mkdir()
    elif kind == "zarr":  # what is watched must be there
        source += ".zarr"
        new_zarr(Path(source), np.load(frames), int(rate * seconds))
    run = _Run(folder, base, source, name)
    run.command = [sys.executable, "-m", "apps.bench.recorder", str(frames), source, str(rate), str(seconds)]
    used = resource.getrusage(resource.RUSAGE_SELF)
    status = run.watch(None)
    spent = resource.getrusage(resource.RUSAGE_SELF)
    latency = run.latency_s() * 1e3
    return {
        "source": kind,
        "rate_frames_per_s": round(rate, 1),
        "seconds": seconds,
        "frames_recorded": int(rate * seconds),
        "frames_sorted_in_time": len(latency),
        "frames_sorted": status["frames"],
        "frames_skipped": status["skipped"],
        "hit_share": status["hit_share_all"],
        "latency_p50_ms": _percentile(latency, 50),
        "latency_p99_ms": _percentile(latency, 99),
        "latency_max_ms": _percentile(latency, 100),
        "cpu_s_per_s": round((spent.ru_utime + spent.ru_stime - used.ru_utime - used.ru_stime) / status["seconds"], 2),
    }


class _Run:
    """One call of `watch`; starts the recorder when everything is ready, ends soon after it has ended."""

    def __init__(self, folder: Path, base: str, source: str, name: str) -> None:
        self._base, self._source, self._work = base, source, folder / f"{name}_work"
        self.command: list[str] = []
        self._recorder: subprocess.Popen[bytes] | None = None
        self._stop, self._ended_s = threading.Event(), None
        self._stored: list[tuple[Parcel, float]] = []

    def watch(self, seconds: float | None) -> dict[str, Any]:
        """The last status."""
        from sorter.stages.watch import WatchConfig, watch

        config = WatchConfig(start_from=self._base, seconds=seconds)
        try:
            return watch(self._source, self._work, config, self._look, self._note, self._stop)
        finally:
            if self._recorder is not None:
                self._recorder.terminate()
                self._recorder.wait()

    def _look(self, status: dict[str, Any]) -> None:
        if not self.command or status["state"] == "stopped":
            return
        if self._recorder is None:
            self._recorder = subprocess.Popen(self.command)
        elif self._recorder.poll() is not None:
            self._ended_s = self._ended_s or time.monotonic()
            if status["queue"] == 0 or time.monotonic() - self._ended_s > _DRAIN_S:
                self._stop.set()

    def _note(self, parcels: list[Parcel], now: float) -> None:
        self._stored += [(parcel, now) for parcel in parcels if parcel.available_s is not None]

    def latency_s(self) -> NDArray[np.float64]:
        """Of each frame that was sorted in time: from when it could be read until its results were stored."""
        files: dict[str, NDArray[np.float64]] = {}
        ages = []
        for parcel, now in self._stored:
            path = parcel.origin.source.path
            if "://" in path:
                ages.append(np.full(parcel.n_frames, now - (parcel.available_s or now)))
                continue
            if path not in files:
                files[path] = _written_s(path)
            ages.append(now - files[path][parcel.start : parcel.stop])
        return np.concatenate(ages) if ages else np.empty(0)


def _written_s(path: str) -> NDArray[np.float64]:
    """When each frame of a recorded file could be read."""
    if path.endswith(".zarr"):
        import zarr

        return np.asarray(zarr.open_group(path, mode="r")["written_s"][:])
    with h5py.File(path, "r") as file:
        return file["written_s"][:]


def _percentile(values: NDArray[np.float64], q: float) -> float | None:
    return round(float(np.percentile(values, q)), 1) if len(values) else None


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the bench."""
    from apps.cli.output import add_json

    parser.add_argument("--rate", type=float, default=500.0, help="frames per second (default: 500)")
    parser.add_argument("--seconds", type=float, default=120.0, help="length of each recording (default: 120)")
    parser.add_argument(
        "--sources", nargs="+", choices=SOURCES, default=list(SOURCES), help="what is watched (default: all)"
    )
    parser.add_argument("--from", dest="start_from", metavar="SORTED", help="sorted work folder (default: one is made)")
    parser.add_argument(
        "--frames", type=int, default=4000, help="of the run that is made and sorted first (default: 4000)"
    )
    parser.add_argument(
        "--overload", type=float, default=30.0, metavar="S", help="seconds at twice the possible rate (0: leave out)"
    )
    parser.add_argument(
        "--folder", metavar="DIR", help="where recordings and work folders go, and stay (default: temporary)"
    )
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Run the bench and print its table."""
    from apps.cli.output import print_json, print_text

    config = WatchBenchConfig(
        args.rate, args.seconds, tuple(args.sources), args.start_from, args.frames, args.overload, args.folder
    )
    result = bench_watch(config)
    if args.json:
        print_json(result)
        return 0
    for run in result["runs"]:
        print_text(
            "{source}, {rate_frames_per_s:.0f} frames/s for {seconds:.0f} s: {frames_sorted_in_time} of {frames_recorded} sorted"
            " in time, {frames_skipped} skipped at the end; latency p50 {latency_p50_ms} ms, p99 {latency_p99_ms} ms, longest"
            " {latency_max_ms} ms; {cpu_s_per_s} cores".format(**run)
        )
    if "possible_frames_per_s" in result:
        print_text(f"possible rate: {result['possible_frames_per_s']} frames/s")
    return 0
