"""Plays frames as a beam line records them: a process of its own that writes files, or serves a stream, at a given rate."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

#: Frames per file of a folder, and per train of a stream.
FRAMES_PER_FILE, FRAMES_PER_TRAIN = 5000, 50
SOURCE, KEY = "SIM_DET/CAL/APPEND_CORRECTED", "image.data"


def paced(frames: NDArray, rate: float, seconds: float, block: int) -> Iterator[tuple[int, NDArray]]:
    """Blocks of frames, over and over, ``rate`` frames per second: (index of the first, frames); late where it must."""
    start = time.monotonic()
    for first in range(0, int(rate * seconds), block):
        wait = start + (first + block) / rate - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        rows = np.arange(first, min(first + block, int(rate * seconds))) % len(frames)
        yield first, frames[rows]


def record_folder(folder: Path, frames: NDArray, rate: float, seconds: float, block: int = 10) -> None:
    """Write HDF5 files in SWMR mode, each frame with the time at which it could be read (``written_s``, monotonic)."""
    folder.mkdir(parents=True, exist_ok=True)
    file: h5py.File | None = None
    for first, some in paced(frames, rate, seconds, block):
        if first % FRAMES_PER_FILE == 0:
            if file is not None:
                file.close()
            file = _new_file(folder / f"run_{first // FRAMES_PER_FILE:04d}.h5", frames)
        assert file is not None
        n = len(file["written_s"])
        file["written_s"].resize(n + len(some), axis=0)
        file["frames"].resize(n + len(some), axis=0)
        file["frames"][n:] = some
        file["frames"].flush()
        file["written_s"][n:] = time.monotonic()
        file["written_s"].flush()
    if file is not None:
        file.close()


def _new_file(path: Path, frames: NDArray) -> h5py.File:
    ny, nx = frames.shape[1:]
    file = h5py.File(path, "w", libver="latest")
    file.create_dataset("frames", (0, ny, nx), frames.dtype, maxshape=(None, ny, nx), chunks=(1, ny, nx))
    file.create_dataset("written_s", (0,), np.float64, maxshape=(None,), chunks=(1024,))
    file.swmr_mode = True
    return file


def new_zarr(path: Path, frames: NDArray, n: int, block: int = 10) -> None:
    """A zarr group with room for ``n`` such frames, whose ``n_valid`` says that none is there yet."""
    import zarr

    ny, nx = frames.shape[1:]
    group = zarr.open_group(path, mode="w")
    group.create_array("frames", shape=(n, ny, nx), dtype=frames.dtype, chunks=(block, ny, nx))
    group.create_array("written_s", shape=(n,), dtype=np.float64, chunks=(block,))
    group.attrs["n_valid"] = 0


def record_zarr(path: Path, frames: NDArray, rate: float, seconds: float) -> None:
    """Fill a group of `new_zarr`, each frame with the time at which it could be read, as in `record_folder`."""
    import zarr

    group = zarr.open_group(path, mode="r+")
    stack, times = group["frames"], group["written_s"]
    for first, some in paced(frames, rate, seconds, stack.chunks[0]):
        stack[first : first + len(some)] = some
        times[first : first + len(some)] = np.full(len(some), time.monotonic())
        group.attrs["n_valid"] = first + len(some)


def serve_stream(endpoint: str, frames: NDArray, rate: float, seconds: float) -> None:
    """Serve trains in the Karabo bridge protocol, as a bridge does: what nobody fetches in time is dropped."""
    import queue

    from karabo_bridge.server import ServerInThread

    with ServerInThread(endpoint, maxlen=10) as server:
        for first, some in paced(frames, rate, seconds, FRAMES_PER_TRAIN):
            train = 1_000_000 + first // FRAMES_PER_TRAIN
            data = {SOURCE: {KEY: some, "image.pulseId": np.arange(len(some), dtype=np.uint64)}}
            meta = {SOURCE: {"source": SOURCE, "timestamp.tid": train, "timestamp": time.time()}}
            try:
                server.feed(data, meta, block=False)
            except queue.Full:
                continue
        while not server.buffer.empty():
            time.sleep(0.05)


def main(argv: list[str] | None = None) -> None:
    """``python -m apps.bench.recorder FRAMES.npy (FOLDER | GROUP.zarr | tcp://HOST:PORT) RATE SECONDS``"""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("frames")
    parser.add_argument("to")
    parser.add_argument("rate", type=float)
    parser.add_argument("seconds", type=float)
    args = parser.parse_args(argv)
    frames = np.load(args.frames)
    if "://" in args.to:
        serve_stream(args.to, frames, args.rate, args.seconds)
    elif args.to.endswith(".zarr"):
        record_zarr(Path(args.to), frames, args.rate, args.seconds)
    else:
        record_folder(Path(args.to), frames, args.rate, args.seconds)


if __name__ == "__main__":
    main()
