"""Runs with truth for the benches: simulate, ingest, find hits, train, embed; and what is worked out on them, kept in files."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from apps.bench.methods import BASELINES
from sorter.core.config import require
from sorter.core.embedding import Embedding
from sorter.core.hits import Hits
from sorter.core.identity import rows_of
from sorter.io.whole import whole_file, write_text_whole
from sorter.io.workfolder import WorkFolder

log = logging.getLogger(__name__)


@contextmanager
def peak_memory() -> Iterator[dict[str, float | None]]:
    """Largest resident memory of this process inside the block, as {"peak_memory_mb"} filled at its end; None off Linux."""
    found: dict[str, float | None] = {"peak_memory_mb": None}
    reset = Path("/proc/self/clear_refs")
    try:
        reset.write_text("5")
    except OSError:
        reset = None  # type: ignore[assignment]
    yield found
    if reset is not None:
        lines = Path("/proc/self/status").read_text().splitlines()
        found["peak_memory_mb"] = round(
            next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024, 1
        )


def kept(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What an earlier call left in a JSON file, else what ``make`` returns, which is left there."""
    if path.exists():
        return json.loads(path.read_text())
    made = make()
    write_text_whole(path, json.dumps(made, allow_nan=False) + "\n")
    return made


def short_hash(value: Any) -> str:
    """16 hex digits that stand for a JSON-ready value in a file name."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def given_runs(runs: Iterable[str]) -> tuple[str, ...]:
    """Labelled files or work folders that a person named. Raises InputError for one that is not there."""
    for run in runs:
        require(Path(run).exists(), f"{run}: no such file or work folder")
    return tuple(runs)


def simulated_run(recipe: str, frames: int, seed: int, folder: Path, options: dict[str, object] | None = None) -> Path:
    """The file of a simulated run in ``folder``, made where it is not there yet; options of the recipe that are not its defaults
    give it a name of its own."""
    from sim.run import simulate

    other = f"-{short_hash(options)[:8]}" if options else ""
    path = folder / f"{recipe}-{frames}-{seed}{other}.h5"
    if not path.exists():
        simulate(recipe, frames, seed, str(path), options)
    return path


def prepared(source: Path, folder: Path, models: list[str], steps: int = 0) -> WorkFolder:
    """The work folder in ``folder`` of a recorded file: ingested, hits found, ``models`` trained for ``steps`` weight updates
    (0: their default) and embedded if need be."""
    from sorter.stages.embed import UNTRAINED, EmbedConfig, embed
    from sorter.stages.hits import find_hits
    from sorter.stages.ingest import ingest
    from sorter.stages.train import TrainConfig, train

    path = folder / f"{source.stem}.work"
    if not (path / "results.zarr" / "hits").exists():
        ingest(str(source), path)
        find_hits(path)
    work = WorkFolder.open(path)
    for name in models:
        there = name in work.result_names("embeddings") and _trained_for(work, name) in (None, steps)
        if there and name not in UNTRAINED:
            continue
        with peak_memory() as memory:
            if name not in UNTRAINED:
                train(work, TrainConfig(model=name, steps=steps))
            embed(work, EmbedConfig(model=name))  # rests unless the shipped weights have changed
        if not there:
            write_text_whole(folder / f"{source.stem}__{name}__memory.json", json.dumps(memory) + "\n")
    return work


def _trained_for(work: WorkFolder, name: str) -> int | None:
    """The weight updates that were asked for when ``name`` was trained last; None where it never was."""
    asked = [m["config"]["steps"] for m in work.manifests("train") if m["outputs"].get("model") == name]
    return asked[-1] if asked else None


def vectors_of_hits(work: WorkFolder, name: str, folder: Path) -> tuple[Embedding, Hits]:
    """The embedding ``name`` (parts joined by "+") of the hits, rows in order of the hits, and the hits.

    Baselines are worked out on the spot and kept in ``folder``; the other parts must be in the work folder.
    """
    from sorter.cluster.reduce import concatenate

    hits = work.read_hits()
    parts = [
        baseline(work, hits, part, folder) if part in BASELINES else work.read_embedding(part)
        for part in name.split("+")
    ]
    whole = concatenate(parts)
    rows = rows_of(whole.frame_id, hits.hit_ids)
    require(bool((rows >= 0).all()), f"{work.path}: embedding {name} lacks some hits; run 'shotsort embed' again")
    return Embedding(name, hits.hit_ids, whole.vectors[rows]), hits


def baseline(work: WorkFolder, hits: Hits, name: str, folder: Path) -> Embedding:
    """The embedding of an earlier sorter, kept in ``folder`` with what it took."""
    stem = f"{work.path.stem}__{name}__{hashlib.sha256(hits.hit_ids.tobytes()).hexdigest()[:16]}"
    path = folder / f"{stem}.npy"
    if not path.exists():
        started = time.perf_counter()
        with peak_memory() as memory:
            made = BASELINES[name](work.frames().select(hits.hit_ids))
        seconds = time.perf_counter() - started
        write_text_whole(folder / f"{stem}.cost.json", json.dumps({"train_seconds": seconds, **memory}) + "\n")
        with whole_file(path) as partial, open(partial, "wb") as file:
            np.save(file, made.vectors)
    return Embedding(name, hits.hit_ids, np.load(path))


def cost_of(work: WorkFolder, hits: Hits, name: str, folder: Path) -> dict[str, float | None]:
    """What an embedding took: train_seconds (training and embedding of all parts), embed_frames_per_s (of the slowest part, None
    for baselines, which are not taken apart), peak_memory_mb (of the largest part; None where it was not measured)."""
    seconds, rates, memory = 0.0, [], []
    for part in name.split("+"):
        if part in BASELINES:
            digest = hashlib.sha256(hits.hit_ids.tobytes()).hexdigest()[:16]
            cost = json.loads((folder / f"{work.path.stem}__{part}__{digest}.cost.json").read_text())
            seconds, memory = seconds + cost["train_seconds"], [*memory, cost["peak_memory_mb"]]
            continue
        for stage, output in (("train", "model"), ("embed", "embedding")):
            runs = [m for m in work.manifests(stage) if m["outputs"].get(output) == part]
            seconds += runs[-1]["seconds"] if runs else 0.0
            if runs and stage == "embed":
                rates.append(runs[-1]["metrics"]["embed/frames_per_s"])
        path = folder / f"{work.path.stem}__{part}__memory.json"
        memory.append(json.loads(path.read_text())["peak_memory_mb"] if path.exists() else None)
    largest = None if any(m is None for m in memory) else max(memory)
    return {"train_seconds": seconds, "embed_frames_per_s": min(rates, default=None), "peak_memory_mb": largest}
