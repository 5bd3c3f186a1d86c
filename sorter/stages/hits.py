"""Find the frames that hold a particle."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.core.config import config_to_dict, require
from sorter.core.errors import InputError, MissingResultError
from sorter.core.hits import Hits
from sorter.io.progress import Progress
from sorter.io.workfolder import WorkFolder
from sorter.io.zarr_store import ZarrFrameStore
from sorter.preprocess.hits import SAMPLE_FRAMES, Background, BackgroundSample
from sorter.preprocess.threshold import EMPTY_SCORE, ThresholdFit, find_threshold, histogram
from sorter.stages.sampling import sample_blocks
from sorter.stages.workers import Pool, ThisProcess

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HitsConfig:
    """hits: "auto" finds the threshold, "all" takes every frame, a number is a threshold on the score."""

    hits: str | float = "auto"

    def __post_init__(self) -> None:
        if self.hits not in ("auto", "all"):
            try:
                object.__setattr__(self, "hits", float(self.hits))
            except ValueError:
                require(False, f"hits '{self.hits}': give auto, all, or a number (a threshold on the score)")
            require(np.isfinite(self.hits), f"hits {self.hits}: the threshold must be finite")  # type: ignore[arg-type]


def find_hits(
    work: str | Path | WorkFolder, config: HitsConfig | None = None, force: bool = False, pool: Pool | None = None
) -> Hits:
    """Score all frames of a work folder against the run's own background and say which are hits; stores and returns them.

    The frames are shared out to ``pool``.

    Called again with the same frames and config it returns what is there, unless ``force``. `Hits.meta` holds the config,
    ``fit`` (threshold, populations, a statement for a person, the blanks' peak), ``histogram`` (edges, counts) of the score, and
    the ``background`` by which frames that come later can be scored.
    Raises WorkFolderError before anything was ingested, MissingResultError where an ingest was interrupted, InputError where
    every pixel is masked.
    """
    config = config or HitsConfig()
    folder = work if isinstance(work, WorkFolder) else WorkFolder.open(work)
    store = folder.frames()
    if not store.info.complete:
        raise MissingResultError(
            f"{folder.path}: ingest was interrupted after {len(store)} frames; call it again first"
        )
    if store.bad_pixels.all():
        raise InputError(
            f"{folder.path}: every pixel is masked, so no frame can be judged; ingest into a new work folder with another"
            " mask or convention (--mask, --mask-convention)"
        )
    inputs = {"frames": len(store), "mask_sha256": hashlib.sha256(store.bad_pixels.tobytes()).hexdigest()[:16]}
    if not force and "default" in folder.result_names("hits"):
        known = folder.read_hits()
        if known.meta.get("inputs") == inputs and known.meta.get("config") == config_to_dict(config):
            log.info("hits: up to date, %d of %d frames", known.is_hit.sum(), len(known.frame_id))
            return known
    with folder.stage("hits", config_to_dict(config), None, inputs) as record:
        hits = _find(store, config, inputs, pool or ThisProcess())
        folder.write_hits(hits)
        record.outputs.update(hits=int(hits.is_hit.sum()), frames=len(hits.frame_id), **hits.meta["fit"])
        record.metrics["hits/hit_share"] = float(hits.is_hit.mean()) if len(hits.is_hit) else None
    log.info("hits: %s", hits.meta["fit"]["statement"])
    return hits


def find_background(store: ZarrFrameStore) -> Background:
    """What the run looks like without a particle, from frames spread over it."""
    sample = BackgroundSample(store.bad_pixels, store.unit)
    for frames in sample_blocks(store, SAMPLE_FRAMES):
        sample.update(frames)
    return sample.finish()


def _find(store: ZarrFrameStore, config: HitsConfig, inputs: dict[str, Any], pool: Pool) -> Hits:
    background = find_background(store)
    task = partial(_score, store.path.resolve(), background)
    photons, score = (np.concatenate(part) for part in zip(*pool.map(task, pool.parts(len(store)))))
    seen = np.isfinite(photons)
    fit = _decide(config, score[seen], photons[seen], background.score_sigma)
    meta = {
        "config": config_to_dict(config),
        "inputs": inputs,
        "rule": "log10 of chi2 per tile against the run's own background",
        "fit": fit.to_dict(),
        "histogram": histogram(score[seen]),
        "background": background.to_dict(),
        "unreadable_frames": int((~seen).sum()),
    }
    return Hits(store.frame_ids, photons, score, seen & (score > fit.threshold), fit.threshold, meta)


def _decide(config: HitsConfig, score: NDArray, photons: NDArray, blank_sigma: float) -> ThresholdFit:
    if config.hits == "all":
        return ThresholdFit(-np.inf, "not looked for", f"all {len(score)} frames are taken as hits, as asked")
    if config.hits == "auto":
        return find_threshold(score, photons, blank_sigma)
    above = int((score > float(config.hits)).sum())
    text = f"{above} of {len(score)} frames are above the given threshold {config.hits:g}"
    return ThresholdFit(float(config.hits), "not looked for", text)


def _score(path: Path, background: Background, rows: range) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Photons and score of some rows of the store at ``path``, what a worker does; NaN, and the score of an empty frame, where
    one cannot be read."""
    store = ZarrFrameStore(path, np.arange(rows.start, rows.stop))
    photons, score = np.full(len(rows), np.nan), np.full(len(rows), EMPTY_SCORE, np.float32)
    done = 0

    def leave_out(ids: NDArray[np.uint64], why: str) -> None:
        nonlocal done
        done += len(ids)
        log.warning("%d frames are left out: %s", len(ids), why)

    with Progress("hits", len(rows), "frames") as bar:
        for ids, frames in store.blocks(leave_out):
            sums = background.tiles.sums(frames)
            place = slice(done, done + len(ids))
            photons[place], score[place] = sums.sum(1), background.score(sums)
            done += len(ids)
            bar.update(len(ids))
    return photons, score
