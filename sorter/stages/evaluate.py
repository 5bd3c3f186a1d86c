"""Compare a sorted run with its truth."""

from __future__ import annotations

import csv
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.cluster.evaluation import Truth, evaluate_run
from sorter.core.clustering import Clustering
from sorter.core.embedding import Embedding
from sorter.core.errors import InputError, MissingResultError
from sorter.io.workfolder import WorkFolder
from sorter.io.zarr_store import ZarrFrameStore
from sorter.stages.cluster import find_embedding

log = logging.getLogger(__name__)

#: Frames, drawn at random from a longer run, on which the few-label figures stand.
FEW_LABEL_FRAMES = 50_000
_TRUE, _FALSE = {"true", "1", "yes"}, {"false", "0", "no"}


@dataclass(frozen=True)
class EvaluateConfig:
    """truth: CSV file with source_index, class, hit, photons (and source_file for a run of several files); None takes the
    truth that a simulated run carries. embedding: which one the few-label figures use; None takes the one that was
    clustered. clustering: its name. seed: of the draws of labelled frames."""

    truth: str | None = None
    clustering: str = "density"
    embedding: str | None = None
    seed: int = 0


def evaluate(work: str | Path | WorkFolder, config: EvaluateConfig | None = None) -> dict[str, Any]:
    """Figures of a sorted run (keys: `sorter.cluster.evaluation.evaluate_run`), None where something is not there yet.

    Those after a few labels stand on at most FEW_LABEL_FRAMES frames.

    Raises InputError where there is no truth, MissingResultError before the hits were found.
    """
    config = config or EvaluateConfig()
    work = work if isinstance(work, WorkFolder) else WorkFolder.open(work)
    store = work.frames()
    truth = stored_truth(store) if config.truth is None else read_truth(config.truth, store)
    clustering = _clustering(work, config.clustering)
    embedding = _embedding(work, config.embedding, clustering)
    out: dict[str, Any] = {"embedding": None if embedding is None else embedding.name, "clustering": config.clustering}
    return out | evaluate_run(truth, work.read_hits(), clustering, embedding, config.seed)


def stored_truth(store: ZarrFrameStore) -> Truth:
    """The truth that a simulated run carries. Raises InputError for a measured one."""
    table = store.truth
    missing = [name for name in ("class", "hit", "photons") if name not in table]
    if missing:
        raise InputError(f"{store.path}: carries no truth ({', '.join(missing)} missing); give --truth truth.csv")
    photons = np.asarray(table["photons"], np.float64)
    return Truth(store.frame_ids, np.asarray(table["class"], str), np.asarray(table["hit"], bool), photons)


def read_truth(path: str | Path, store: ZarrFrameStore) -> Truth:
    """Truth from a CSV file with source_index, class, hit, photons, and source_file where the run has several files.

    Frames without a row are left out, with a warning. Raises InputError for a file that cannot be read as that, a row that
    names no frame of the run, or two rows for one frame.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as CSV ({error})") from error
    if not rows:
        raise InputError(f"{path}: holds no rows; need columns source_index,class,hit,photons")
    missing = [name for name in ("source_index", "class", "hit", "photons") if name not in rows[0]]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)} (there: {', '.join(k for k in rows[0] if k)})")
    place = _places(path, rows, store)
    if len(np.unique(place)) != len(place):
        raise InputError(f"{path}: two rows for the same frame")
    if len(place) < len(store):
        log.warning("%s: %d of %d frames have no row; they are left out", path, len(store) - len(place), len(store))
    return Truth(
        store.frame_ids[place],
        np.array([row["class"] for row in rows], str),
        np.array([_truth_value(path, row["hit"]) for row in rows]),
        np.array([_number(path, "photons", row["photons"]) for row in rows]),
    )


def _places(path: str | Path, rows: list[dict[str, str]], store: ZarrFrameStore) -> NDArray[np.int64]:
    """Row in the store of each row of the file."""
    sources = store.info.sources
    if "source_file" not in rows[0] and len(sources) > 1:
        raise InputError(f"{path}: the run has {len(sources)} files; add a column source_file")
    number = {source.path: i for i, source in enumerate(sources)}
    for i, source in enumerate(sources):  # a base name will do where it is the only one
        if sum(Path(s.path).name == Path(source.path).name for s in sources) == 1:
            number.setdefault(Path(source.path).name, i)
    lookup = {key: i for i, key in enumerate(zip(store.source_file.tolist(), store.source_index.tolist()))}
    out = []
    for row in rows:
        name = row.get("source_file", sources[0].path if sources else "")
        key = (number.get(name, -1), int(_number(path, "source_index", row["source_index"])))
        if key not in lookup:
            raise InputError(f"{path}: source_index {row['source_index']} of {name}: no such frame in the run")
        out.append(lookup[key])
    return np.array(out, np.int64)


def _number(path: str | Path, column: str, text: str | None) -> float:
    try:
        return float(text or "0") if column == "photons" else float(int(text or ""))
    except ValueError:
        raise InputError(f"{path}: {column} '{text}' is not a number") from None


def _truth_value(path: str | Path, text: str | None) -> bool:
    word = (text or "").strip().lower()
    if word not in _TRUE | _FALSE:
        raise InputError(f"{path}: hit '{text}': use true or false")
    return word in _TRUE


def _clustering(work: WorkFolder, name: str) -> Clustering | None:
    try:
        return work.read_clustering(name)
    except MissingResultError as error:
        log.warning("%s", error)
        return None


def _embedding(work: WorkFolder, name: str | None, clustering: Clustering | None) -> Embedding | None:
    name = name or (clustering.meta.get("embedding") if clustering is not None else "auto")
    if name is None:
        return None
    try:
        return find_embedding(work, name, FEW_LABEL_FRAMES)
    except MissingResultError as error:
        log.warning("%s", error)
        return None
