"""Frames to look at apart from clusters: on either side of the hit threshold, and a walk through a run not clustered yet."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apps.report.html import count, section
from apps.report.montage import Pictures, grid
from apps.report.sampling import spread_by
from apps.report.snapshot import Snapshot

EACH_SIDE, WALK = 10, 30

Ids = NDArray[np.uint64]


def either_side(shot: Snapshot) -> tuple[Ids, Ids]:
    """The hits with the lowest scores and the blanks with the highest, nearest to the threshold first; empty without both."""
    none = np.empty(0, np.uint64)
    if shot.hits is None or shot.hits.is_hit.all() or not shot.hits.is_hit.any():
        return none, none
    hits, score = shot.hits, shot.hits.score
    order = np.lexsort((hits.frame_id, score))
    order = order[np.isfinite(hits.photons[order])]  # the others could not be read
    is_hit = hits.is_hit[order]
    return hits.frame_id[order[is_hit]][:EACH_SIDE], hits.frame_id[order[~is_hit]][::-1][:EACH_SIDE]


def walk(shot: Snapshot) -> Ids:
    """Hits (all frames where there are none) from bright to dim, for a run that has no groups to show."""
    if shot.groups():
        return np.empty(0, np.uint64)
    ids = shot.hit_ids if len(shot.hit_ids) else shot.store.frame_ids
    return spread_by(ids, shot.photons_of(ids), WALK)


def example_frames(shot: Snapshot) -> Ids:
    """All frames that these sections show."""
    return np.concatenate([*either_side(shot), walk(shot)])


def threshold_section(shot: Snapshot, pictures: Pictures) -> str:
    """The dimmest hits beside the brightest blanks: whether the threshold is where a person would put it."""
    hits, blanks = either_side(shot)
    if not len(hits):
        return ""
    rows = "".join(
        f'<h3 class="row">{name}</h3>{grid([pictures.frame(int(i)) for i in ids])}'
        for name, ids in (("Hits just above", hits), ("Blanks just below", blanks))
    )
    lead = "The frames nearest to the threshold on the hit score, nearest first. If these look wrong, give <code>--hits</code>."
    return section("threshold", "Either side of the threshold", rows, lead)


def walk_section(shot: Snapshot, pictures: Pictures) -> str:
    """Examples of a run that is not clustered."""
    ids = walk(shot)
    if not len(ids):
        return ""
    what = "hits" if shot.hits is not None and len(shot.hit_ids) else "frames"
    n = len(shot.hit_ids) or len(shot.store)
    lead = f"{len(ids)} of {count(n)} {what}, from the brightest to the dimmest where brightness is known, each on its own scale."
    return section("frames", f"Some {what}", grid([pictures.frame(int(i)) for i in ids]), lead)
