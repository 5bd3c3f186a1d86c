"""Simulate a run: blocks of frames, computed in parallel, streamed to a file that appears when it is whole."""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sim.memory import keep_freed_memory
from sim.output import Output, output_for
from sim.recipes import make_recipe
from sim.recipes.base import Block, Recipe
from sorter.core.config import require
from sorter.core.errors import InputError
from sorter.io.progress import Progress

_log = logging.getLogger(__name__)


def simulate(
    recipe: str,
    n_frames: int,
    seed: int,
    to: str | Path,
    options: dict[str, Any] | None = None,
    *,
    workers: int | None = None,
    overwrite: bool = False,
    device: str = "cpu",
) -> str:
    """Simulate ``n_frames`` frames of ``recipe`` into ``to`` (.h5, .cxi or .zarr).

    options: of the recipe, dotted names reach into its parts ({"detector.blur_px": 1.0}); workers: processes (default: one per
    core, one for a GPU; 1 computes in this process). Returns "complete" where the same run was already there, "resumed" or
    "written".
    Raises InputError for an unknown recipe or option, impossible values, or something else at ``to``.
    """
    require(n_frames >= 1, f"frames = {n_frames}: need at least 1")
    require(workers is None or workers >= 1, f"workers = {workers}: need at least 1")
    made = make_recipe(recipe, options, seed, device)
    output = output_for(Path(to), made.recording, {**made.describe(), "n_frames": int(n_frames)}, made.BLOCK_FRAMES)
    state = output.begin(overwrite)
    if state == "complete":
        return state
    unit = output.unit_frames
    done = output.done()
    todo = [start for start in range(0, n_frames, unit) if start not in done]
    workers = min(workers or (1 if made.device.type == "cuda" else os.cpu_count()) or 1, max(len(todo), 1))
    task = _Task(recipe, options, seed, device, output, unit)
    n_done = sum(min(unit, n_frames - s) for s in done)
    try:
        with Progress(f"sim {recipe}", n_frames, "frames", n_done) as bar:
            for start in _run(task, todo, workers):
                bar.update(min(unit, n_frames - start))
    except OSError as error:
        raise InputError(
            f"{to}: cannot write ({error.strerror or error}); what is done is kept, call again to go on"
        ) from error
    output.finish()
    return "resumed" if state == "partial" else "written"


class _Task:
    """Compute and write one unit; sent to the workers, each of which makes the recipe once."""

    def __init__(
        self, recipe: str, options: dict[str, Any] | None, seed: int, device: str, output: Output, unit: int
    ) -> None:
        self.make: Callable[[], Recipe] = _Maker(recipe, options, seed, device)
        self.output, self.unit = output, unit

    def __call__(self, start: int) -> int:
        self.output.write(unit_of_frames(_cached(self.make), start, self.unit, self.output.n_frames))
        return start


class _Maker:
    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __call__(self) -> Recipe:
        return make_recipe(*self.arguments)


_made: dict[str, Recipe] = {}


def _cached(make: Callable[[], Recipe]) -> Recipe:
    """The recipe of this process: what it prepares (grids, masks, transforms) serves all its blocks."""
    key = repr(getattr(make, "arguments", make))
    if key not in _made:
        _made.clear()
        _made[key] = make()
    return _made[key]


def unit_of_frames(recipe: Recipe, start: int, unit: int, n_frames: int) -> Block:
    """Frames start .. start + unit (not beyond n_frames) from whole blocks."""
    stop = min(start + unit, n_frames)
    size = recipe.BLOCK_FRAMES
    blocks = [recipe.block(number) for number in range(start // size, -(-stop // size))]
    frames = np.concatenate([b.frames for b in blocks])
    truth = {name: np.concatenate([b.truth[name] for b in blocks]) for name in blocks[0].truth}
    return Block(start, frames, truth).head(stop - start)


def _run(task: _Task, starts: list[int], workers: int) -> Iterator[int]:
    if workers == 1:
        keep_freed_memory()
        yield from map(task, starts)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)
    waiting: set[Future[int]] = set()
    try:
        for start in starts:
            waiting.add(pool.submit(task, start))
            if len(waiting) >= 2 * workers:
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (f.result() for f in finished)
        while waiting:
            finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (f.result() for f in finished)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    keep_freed_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the parent, which ends the pool after the units at work
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
