"""One vector per frame, in one pass over the store, with reading and polar maps done ahead in a thread."""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sorter.core.frames import FrameStore, OnDamage, regroup
from sorter.io.progress import Progress
from sorter.models.polar_model import PolarModel
from sorter.preprocess.features import rotation_invariant_features
from sorter.preprocess.polar import PolarGrid, PolarMap
from sorter.preprocess.scaling import log_scaled, polar_picture

log = logging.getLogger(__name__)

#: From sector counts (B, S) and areas (S,) to vectors (B, d).
Encoder = Callable[[Tensor, Tensor], Tensor]

_AHEAD = 2


def features_encoder(grid: PolarGrid, softening: float) -> Encoder:
    """The hand-made features as an encoder."""
    index = torch.from_numpy(grid.expand)

    def encode(counts: Tensor, area: Tensor) -> Tensor:
        rate, weight = polar_picture(counts, area, index.to(counts.device))
        return rotation_invariant_features(log_scaled(rate, weight, softening), weight)

    return encode


def model_encoder(model: PolarModel, device: torch.device) -> Encoder:
    """A trained model as an encoder on ``device``."""
    return model.to(device).eval()


def read_ahead(
    store: FrameStore, polar: PolarMap, batch: int, on_damage: OnDamage | None = None
) -> Iterator[tuple[NDArray[np.uint64], Tensor]]:
    """Pairs (ids, sector counts (B, S)) in storage order; a thread reads and maps up to two batches ahead.

    The thread maps each stored block while it is in the processor's cache, and calls no torch, whose own threads would get
    in the way of the network's. What goes wrong in it is raised here.
    """
    ready: queue.Queue[Any] = queue.Queue(_AHEAD)
    stopped = threading.Event()

    def put(item: Any) -> bool:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        mapped = ((ids, polar(frames).numpy()) for ids, frames in store.blocks(on_damage))
        try:
            for ids, counts in regroup(mapped, batch):
                if not put((ids, torch.from_numpy(counts))):
                    return
            put(None)
        except BaseException as error:
            put(error)

    thread = threading.Thread(target=work, name="read-ahead", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        thread.join()


def side_by_side(
    batches: Iterator[tuple[NDArray[np.uint64], Tensor]], encoder: Callable[[Tensor], NDArray[np.float32]], n: int
) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.float32]]]:
    """Pairs (ids, vectors) of ``batches``, in their order; ``n`` of them are encoded at once, with one thread of torch each.

    Threads that share one batch wait for each other at every layer: on two cores batches side by side are a third faster.
    """
    before = torch.get_num_threads()
    waiting: deque[tuple[NDArray[np.uint64], Future[NDArray[np.float32]]]] = deque()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(n, "encode", torch.set_num_threads, (1,)) as pool:
            for ids, counts in batches:
                waiting.append((ids, pool.submit(encoder, counts)))
                if len(waiting) > n:
                    first, found = waiting.popleft()
                    yield first, found.result()
            for first, found in waiting:
                yield first, found.result()
    finally:
        torch.set_num_threads(before)


def encode(
    store: FrameStore, polar: PolarMap, encoder: Encoder, batch: int = 512, device: str = "cpu", name: str = ""
) -> tuple[NDArray[np.uint64], NDArray[np.float32]]:
    """Ids (N,) and vectors (N, d) float32 of all frames of ``store`` that can be read; a warning names the others.

    A frame's vector depends on that frame, the mask and the geometry alone, not on the batch it came in.
    """
    area = polar.area.to(device)

    @torch.inference_mode()
    def vectors_of(counts: Tensor) -> NDArray[np.float32]:
        return encoder(counts.to(device), area).cpu().numpy()

    n_at_once = torch.get_num_threads() if device == "cpu" else 1
    vectors: NDArray[np.float32] | None = None
    n, done = len(store.frame_ids), 0
    embedded: list[NDArray[np.uint64]] = []
    with Progress(f"embed {name}", n, "frames") as bar:
        for ids, part in side_by_side(read_ahead(store, polar, batch, warn_of_damage), vectors_of, n_at_once):
            if vectors is None:
                vectors = np.empty((n, part.shape[1]), np.float32)
            vectors[done : done + len(ids)] = part
            embedded.append(ids)
            done += len(ids)
            bar.update(len(ids))
    if vectors is None:
        return store.frame_ids[:0], np.empty((0, 0), np.float32)
    return np.concatenate(embedded), vectors[:done]


def warn_of_damage(ids: NDArray[np.uint64], why: str) -> None:
    """Say that frames are left out."""
    log.warning("%d frames are left out: %s", len(ids), why)
