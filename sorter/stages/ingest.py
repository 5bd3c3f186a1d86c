"""Read recorded files into the frame store of a work folder; called again, it adds what is new."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.core.config import config_from_dict, config_to_dict, require
from sorter.core.errors import InputError
from sorter.core.geometry import Geometry
from sorter.core.identity import frame_ids
from sorter.io.adapters import adapter
from sorter.io.progress import Progress
from sorter.io.recording import Reader, ReadOptions
from sorter.io.survey import Surveyed, survey
from sorter.io.workfolder import WorkFolder
from sorter.io.zarr_store import StoreInfo, ZarrFrameStore
from sorter.io.zarr_writer import FrameBlock, FrameWriter, create_store
from sorter.preprocess.center import FRAMES, estimate_center
from sorter.preprocess.statistics import PixelStatistics, RunningStatistics
from sorter.stages.conditioning import Conditioner, make_conditioner
from sorter.stages.ingest_config import IngestConfig
from sorter.stages.sampling import block_length, brightest_frames

log = logging.getLogger(__name__)

_READ_BYTES = 16 << 20
_CENTER_SAMPLE = 1024

#: What cannot change once frames are stored, because the stored values depend on it.
_FIXED = ("dark", "gain", "common_mode", "unit", "bin")


def ingest(
    sources: str | Path | Sequence[str | Path], work: str | Path | WorkFolder, config: IngestConfig | None = None
) -> ZarrFrameStore:
    """Ingest recorded files (or folders of images, or run directories) into a work folder, made where there is none.

    Frames that are there already are not read again, so a call that was interrupted goes on, and one with more files (or longer
    ones) adds what is new. Raises InputError for files that cannot be read as frames of one run, WorkFolderError where the
    folder cannot be written.
    """
    given = [sources] if isinstance(sources, str | Path) else list(sources)
    require(bool(given), "no files given; name at least one recorded file")
    config = config or IngestConfig()
    path = work.path if isinstance(work, WorkFolder) else Path(work)
    stored = _stored_frames(path)
    if stored is not None:
        config = _merge(config, stored.info, path)
    own_convention = config.mask_convention if config.mask is None else None  # else it speaks of the extra mask
    surveyed = survey(given, ReadOptions(config.dataset, own_convention))
    conditioner = make_conditioner(surveyed, config, stored)
    new = _new_frames(surveyed, stored)
    if stored is not None and stored.info.complete and new == 0 and stored.info.ingest["config"] == _plain(config):
        log.info("ingest: up to date, %d frames", len(stored))
        return stored
    folder = WorkFolder.create(path)
    with folder.stage("ingest", config_to_dict(config), None, {"sources": [str(p) for p in given]}) as record:
        writer = _open_writer(folder, conditioner, config, stored)
        _append_all(writer, surveyed, conditioner, new)
        _finish(folder, writer, conditioner, config)
        store = folder.frames()
        record.outputs.update(frames=len(store), new_frames=new, shape_px=list(store.shape_px))
    log.info("ingest: %d new frames, %d in all, in %s", new, len(store), folder.frames_path)
    return store


def _plain(config: IngestConfig) -> dict[str, Any]:
    values = config_to_dict(config)
    return values | {"center_px": None if config.center_px is None else list(config.center_px)}


def _stored_frames(path: Path) -> ZarrFrameStore | None:
    """What the work folder holds already; None where there are no frames yet."""
    if not (path / "shotsort.json").exists():
        return None
    folder = WorkFolder.open(path)
    store = folder.frames() if folder.frames_path.exists() else None
    return store if store is not None and len(store) else None


def _merge(config: IngestConfig, stored: StoreInfo, path: Path) -> IngestConfig:
    before = config_from_dict(IngestConfig, dict(stored.ingest["config"]))
    merged = config.over(before)
    for name in _FIXED:
        old, new = getattr(before, name), getattr(merged, name)
        held = {"bin": stored.binning, "unit": stored.unit}.get(name, old)
        if old != new and new != held:
            raise InputError(f"{path}: its frames were ingested with {name} {held}, not {new}; give a new work folder")
    return merged


def _new_frames(surveyed: list[Surveyed], stored: ZarrFrameStore | None) -> int:
    known = {(s.run_id, s.dataset): s for s in (stored.info.sources if stored else ())}
    new = 0
    for found in surveyed:
        source = found.source
        before = known.get((source.run_id, source.dataset))
        if before is not None and before.fingerprint != source.fingerprint:
            raise InputError(
                f"{source.path}: has the name of {before.absolute_path}, which is in the work folder, and other frames;"
                " rename it, or give a new work folder"
            )
        new += max(0, source.n_frames - (before.n_frames if before else 0))
    return new


def _open_writer(
    folder: WorkFolder, conditioner: Conditioner, config: IngestConfig, stored: ZarrFrameStore | None
) -> FrameWriter:
    if stored is None:
        info = StoreInfo(
            conditioner.unit,
            conditioner.geometry,
            0,
            conditioner.factor,
            (),
            {"config": _plain(config)},
            complete=False,
        )
        create_store(folder.frames_path, info, conditioner.dtype, conditioner.mask_arrays())
    writer = FrameWriter(folder.frames_path)
    writer.commit(complete=False)
    return writer


def _append_all(writer: FrameWriter, surveyed: list[Surveyed], conditioner: Conditioner, new: int) -> None:
    writer.reserve(new)
    with Progress("ingest", new, "frames") as bar:
        for found in surveyed:
            place = writer.source(found.source)
            missing = writer.missing(place, found.source.n_frames)
            if not missing:
                continue
            with adapter(found.source.reader)(found.source.path, found.options) as reader:
                for start, stop in (part for first, last in missing for part in _ranges(reader, first, last)):
                    writer.append(frame_block(reader, conditioner, place, start, stop), gaps=writer.sources[place].gaps)
                    bar.update(stop - start)


def _ranges(reader: Reader, first: int, last: int) -> list[tuple[int, int]]:
    recording = reader.recording
    n = max(1, _READ_BYTES // max(1, int(np.prod(recording.shape_px)) * recording.dtype.itemsize))
    return [(start, min(start + n, last)) for start in range(first, last, n)]


def frame_block(reader: Reader, conditioner: Conditioner, place: int, start: int, stop: int) -> FrameBlock:
    """Frames start..stop-1 of an open file, as the store of a work folder takes them."""
    recording = reader.recording
    frames = reader.read(start, stop)
    bad: NDArray[np.bool_] | None = reader.read_bad(start, stop) if recording.has_frame_masks else None
    ids = frame_ids(recording.run_id, recording.dataset, np.arange(start, stop))
    columns, truth = reader.columns(start, stop), reader.truth(start, stop)
    return FrameBlock(conditioner.condition(frames, bad), ids, place, start, columns, truth)


def _finish(folder: WorkFolder, writer: FrameWriter, conditioner: Conditioner, config: IngestConfig) -> None:
    """Mask, statistics and beam centre, then the mark that the store is complete."""
    writer.commit()
    writer.write_arrays(conditioner.mask_arrays())
    warnings = conditioner.warnings()
    for line in warnings:
        log.warning("%s", line)
    store = folder.frames()
    _update_statistics(folder, store)
    notes: dict[str, Any] = {"config": _plain(config), "warnings": warnings}
    geometry = conditioner.geometry
    if geometry.beam_center_px is None:
        geometry, notes["center"] = _with_center(geometry, store)
    writer.commit(geometry=geometry, ingest=notes, complete=True)


def _update_statistics(folder: WorkFolder, store: ZarrFrameStore) -> None:
    known = None
    if "frames" in folder.result_names("statistics"):
        n, images = folder.read_statistics()
        known = PixelStatistics(n, **images)
    running = RunningStatistics(store.shape_px, known)
    for _, frames in store.select(store.frame_ids[running.n_frames :]).chunks(block_length(store)):
        running.update(frames)
    found = running.finish()
    folder.write_statistics(found.n_frames, {"mean": found.mean, "std": found.std, "max": found.max})


def _with_center(geometry: Geometry, store: ZarrFrameStore) -> tuple[Geometry, dict[str, Any]]:
    """The geometry with an estimated beam centre, and the estimate as a note. An earlier estimate stays until the run has twice
    as many frames as it was made from, so that results made with it stay comparable."""
    before = store.info.ingest.get("center")
    if before is not None and len(store) < 2 * before["store_frames"]:
        center, error, found = tuple(before["center_px"]), before["error_px"], before["found"]
        note = before
    else:
        estimate = estimate_center(brightest_frames(store, _CENTER_SAMPLE, FRAMES), store.bad_pixels)
        center, error, found = estimate.center_px, estimate.error_px, estimate.found
        note = asdict(estimate) | {"center_px": list(center), "store_frames": len(store)}
    if not found:
        log.warning("no beam centre is known, and the frames show no point symmetry: give it with --center Y,X")
        return geometry, note
    log.info("beam centre estimated at (%.1f, %.1f) +- %.1f pixels of the store", *center, error)
    known = {"beam_center_px": center, "beam_center_error_px": error, "beam_center_source": "estimated"}
    return replace(geometry, **known), note
