"""The static report of a work folder."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

import numpy as np

from apps.report.clusters import EVERYONE, MAX_CARDS, Context, cards, example_ids
from apps.report.examples import example_frames, threshold_section, walk_section
from apps.report.learning import latents_section, training_section
from apps.report.montage import describe, make_pictures
from apps.report.notices import html_notices
from apps.report.overview import detector, glance, headline, layouts, recorded
from apps.report.page import page
from apps.report.provenance import manifests, next_steps, parameters
from apps.report.sampling import evenly, read_sample
from apps.report.snapshot import Snapshot, take_snapshot
from apps.report.truth import truth_section
from sorter.core.clustering import NOISE
from sorter.core.manifest import package_version
from sorter.io.workfolder import WorkFolder, write_text_whole
from sorter.preprocess.radial import radial_grid
from sorter.stages.why import why_of

log = logging.getLogger(__name__)

#: Frames that a mean is taken over: of all hits, and of each cluster.
MEAN_OF_ALL, MEAN_OF_GROUP = 600, 100


def report(work: str | Path | WorkFolder, force: bool = False) -> Path:
    """Write ``report.html`` of a work folder, whatever stages it has been through, and return its path.

    One file without scripts that loads nothing from elsewhere, below 8 MB at any size of the run; the same folder gives the
    same file. Called again on a folder that has not changed it leaves the file as it is, unless ``force``. Raises
    WorkFolderError before anything was ingested or where the folder cannot be written.
    """
    work = work if isinstance(work, WorkFolder) else WorkFolder.open(work)
    inputs = {"sha256": fingerprint(work)}
    made = work.manifests("report")
    if not force and work.report_path.is_file() and made and made[-1]["inputs"] == inputs:
        log.info("report: up to date")
        return work.report_path
    work.frames()
    with work.stage("report", {}, None, inputs, beside=True) as record:
        text = render(take_snapshot(work))
        write_text_whole(work.report_path, text)
        record.outputs["report"] = work.report_path.name
        record.metrics["report/size_bytes"] = len(text.encode())
    return work.report_path


def fingerprint(work: WorkFolder) -> str:
    """Changes when anything that the report shows was made anew, or shotsort itself."""
    seen = [package_version("shotsort") or ""]
    watched = [work.frames_path / "zarr.json", work.labels_path, *sorted((work.path / "results.zarr").glob("*/*"))]
    watched += sorted((work.path / "models").glob("*/*"))
    for path in watched:
        if path.exists():
            state = path.stat()
            seen.append(f"{path.relative_to(work.path)} {state.st_mtime_ns} {state.st_size}")
    seen += [json.dumps(m, sort_keys=True) for m in work.manifests() if m["stage"] != "report"]
    return hashlib.sha256("\n".join(seen).encode()).hexdigest()


def render(shot: Snapshot) -> str:
    """The document, from what a work folder holds."""
    groups = shot.groups()
    shown = [g for g in groups if g != NOISE][:MAX_CARDS] + ([NOISE] if NOISE in groups else [])
    examples = [example_frames(shot), *(example_ids(shot, g) for g in shown)]
    some = evenly(shot.hit_ids if len(shot.hit_ids) else shot.store.frame_ids, MEAN_OF_ALL)
    averaged = {g: evenly(shot.clustering.members(g), MEAN_OF_GROUP) for g in shown} if shot.clustering else {}
    wanted = np.unique(np.concatenate(examples))
    sample = read_sample(shot.store, {EVERYONE: some, **averaged}, wanted)
    pictures = make_pictures(sample, shot.store.bad_pixels, describe(shot, wanted))
    rings = radial_grid(shot.store.geometry, shot.store.bad_pixels)
    reasons = {} if shot.clustering is None else {r.cluster: r for r in why_of(shot.work, shot.clustering, MAX_CARDS)}
    context = Context(shot, sample, pictures, rings, shot.photons_of(shot.hit_ids), reasons)
    sections = [
        glance(shot, pictures, shown),
        detector(shot, sample.means[EVERYONE], sample.n_frames[EVERYONE]),
        walk_section(shot, pictures),
        layouts(shot, MAX_CARDS),
        cards(context, shown),
        threshold_section(shot, pictures),
        truth_section(shot),
        latents_section(shot),
        training_section(shot),
        recorded(shot),
        parameters(shot),
        manifests(shot),
        next_steps(shot),
    ]
    return page(
        _title(shot), _subtitle(shot), headline(shot) + html_notices(shot), sections, shot.store.shape_px, _foot(shot)
    )


def _title(shot: Snapshot) -> str:
    names = [source.path.rsplit("/", 1)[-1] for source in shot.store.info.sources]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") or shot.work.path.name


def _subtitle(shot: Snapshot) -> str:
    kind = "simulated run" if "class" in shot.truth else "run"
    done = " sorted without labels" if shot.clustering is not None else ", not sorted yet"
    last = shot.manifests[-1]["started"].removesuffix("+00:00").replace("T", " ", 1) if shot.manifests else ""
    return f"What was recorded: a {kind}{done}{f'; last stage {last} UTC' if last else ''}"


def _foot(shot: Snapshot) -> str:
    return f"shotsort {package_version('shotsort') or ''}. Work folder {shot.work.path}. This page loads nothing from elsewhere."
