"""What a person should know before believing the rest of the report."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from apps.report.html import count, percent, text
from apps.report.snapshot import Snapshot

FEW_HITS = 200
MUCH_NOISE = 0.5


def notices(shot: Snapshot) -> list[str]:
    """Plain sentences (HTML), the gravest first."""
    unfinished = [] if shot.store.info.complete else ["The ingest was interrupted: only what was read by then is here."]
    return [
        *map(text, shot.problems),
        *unfinished,
        *_from_stages(shot),
        *_hits(shot),
        *_clusters(shot),
        *_center(shot),
        *_detector(shot),
    ]


def html_notices(shot: Snapshot) -> str:
    """The notices as a list; nothing where there are none."""
    found = notices(shot)
    if not found:
        return ""
    return '<ul class="notices">' + "".join(f"<li>{sentence}</li>" for sentence in found) + "</ul>"


def _from_stages(shot: Snapshot) -> Iterator[str]:
    """Warnings that ingest, hit finding and clustering left behind."""
    said = dict.fromkeys(_warnings_in(shot.store.info.ingest))
    if shot.hits is not None:
        said |= dict.fromkeys(_warnings_in(shot.hits.meta))
    if shot.clustering is not None:
        said |= dict.fromkeys(_warnings_in(shot.clustering.meta))
    for record in shot.manifests:
        said |= dict.fromkeys([*_warnings_in(record["outputs"]), *_warnings_in(record["metrics"])])
    yield from map(text, said)


def _warnings_in(values: dict) -> Iterator[str]:
    for key in ("warning", "warnings", "said"):
        value = values.get(key)
        if isinstance(value, str) and value:
            yield value
        elif isinstance(value, list | tuple):
            yield from (str(one) for one in value)


def _hits(shot: Snapshot) -> Iterator[str]:
    if shot.hits is None:
        yield "Hits have not been looked for yet: everything below is of all frames, blanks included."
        return
    found = len(shot.hits.hit_ids)
    if found == 0:
        yield f"No hits among {count(len(shot.hits.frame_id))} frames: the run looks blank. The mean frame below is of blanks."
    elif found < FEW_HITS and not _too_few(shot):
        yield f"Only {count(found)} hits: clusters of so few frames are a hint, not a finding."
    if found == len(shot.hits.frame_id) and found:
        statement = shot.hits.meta.get("fit", {}).get("statement")
        yield f"Every frame counts as a hit{f': {text(statement)}' if statement else ''}."


def _too_few(shot: Snapshot) -> bool:
    return shot.clustering is not None and bool(shot.clustering.meta.get("warning"))


def _clusters(shot: Snapshot) -> Iterator[str]:
    if shot.clustering is None:
        yield "Not clustered yet: run <code>shotsort cluster</code>."
        return
    if shot.clustering.meta.get("one_population"):
        yield "The hits form one population: they are kept as one cluster rather than cut in two."
    labels = shot.clustering.labels
    noise = float((labels < 0).mean()) if len(labels) else 0.0
    if shot.n_clusters and noise > MUCH_NOISE:
        sought = shot.clustering.meta.get("n_clustered_first") or len(labels)
        dim = f" Clusters were sought among the {sought:,} brightest hits." if sought < 0.9 * len(labels) else ""
        yield (
            f"{percent(noise)} of the hits belong to no cluster (noise). They are shown as a group of their own below"
            f"{', with where their neighbours would put them' if (shot.clustering.assigned[labels < 0] >= 0).any() else ''}.{dim}"
        )
    if shot.hits is not None and not np.array_equal(np.sort(shot.clustering.frame_id), np.sort(shot.hits.hit_ids)):
        yield "The hits have changed since they were clustered: run <code>shotsort sort</code> again."


def _center(shot: Snapshot) -> Iterator[str]:
    geometry = shot.store.geometry
    if geometry.beam_center_source == "estimated":
        error = geometry.beam_center_error_px
        within = f" to within {error:.2g} px" if error is not None else ""
        yield f"The beam centre was estimated from the frames{within}; everything polar depends on it. Check the picture below."
    elif geometry.beam_center_px is None:
        yield "The beam centre is not known: the middle of the detector is taken. Give <code>--center Y,X</code>."


def _detector(shot: Snapshot) -> Iterator[str]:
    geometry, bad = shot.store.geometry, shot.store.bad_pixels
    if not geometry.has_q:
        names = {
            "pixel_size_m": "pixel size",
            "distance_m": "distance",
            "wavelength_m": "wavelength",
            "beam_center_px": "beam centre",
        }
        missing = [word for name, word in names.items() if getattr(geometry, name) is None]
        yield f"Profiles are in pixels, not in q: {', '.join(missing)} not known."
    if not bad.any():
        yield "No pixel is masked: dead or hot pixels and a beam stop, if there are any, were not told to shotsort."
    elif bad.mean() > 0.5:
        yield f"{percent(float(bad.mean()))} of the pixels are masked."
