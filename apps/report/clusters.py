"""One card per cluster, and one for noise: what is in it and how it differs from the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apps.explorer.colors import NOISE_COLOR, category_color
from apps.report.charts import angular_chart, brightness_chart, profile_chart, strength_chart
from apps.report.html import count, percent, plate, quantity, section, table, text
from apps.report.montage import Pictures, grid
from apps.report.overview import anchor
from apps.report.sampling import Sample, spread_by
from apps.report.snapshot import Snapshot
from apps.report.why import why
from sorter.core.clustering import NOISE
from sorter.curate.why import ClusterReasons
from sorter.preprocess.radial import RadialGrid

#: Clusters with a card of their own (the largest ones); the others stand in the table.
MAX_CARDS = 40
#: Group of the sample that stands for all hits.
EVERYONE = -2
EXAMPLES, NOISE_EXAMPLES = 12, 26


@dataclass(frozen=True)
class Context:
    """What all cards share; the group EVERYONE of the sample is all hits. photons: of all hits. reasons: of each cluster."""

    shot: Snapshot
    sample: Sample
    pictures: Pictures
    rings: RadialGrid
    photons: NDArray[np.float64]
    reasons: dict[int, ClusterReasons]


def example_ids(shot: Snapshot, group: int) -> NDArray[np.uint64]:
    """Frames of a group to show, from the surest to the least sure; the medoid first. Of noise: from bright to dim."""
    assert shot.clustering is not None
    members = shot.clustering.members(group)
    if group == NOISE:
        return spread_by(members, shot.photons_of(members), NOISE_EXAMPLES)
    medoid = shot.clustering.medoids[group]
    others = members[members != medoid]
    return np.concatenate([[medoid], spread_by(others, shot.strength_of(others), EXAMPLES)]).astype(np.uint64)


def cards(context: Context, shown: list[int]) -> str:
    """A section with the table of clusters, then the cards."""
    shot = context.shot
    if shot.clustering is None or not shown:
        return ""
    rest = shot.n_clusters - sum(group != NOISE for group in shown)
    lead = (
        "The medoid comes first, then members from the surest to the least sure; every frame has its own logarithmic "
        "scale, masked pixels are slate blue. Point at a frame to see where it was recorded. Thin grey lines: all hits."
    )
    if rest > 0:
        lead += f" The {count(rest)} smallest clusters stand in the table only."
    body = cluster_table(context) + "".join(card(context, group) for group in shown if group != NOISE)
    out = section("clusters", "Clusters", body, lead) if shot.n_clusters else ""
    return out + (noise_section(context) if NOISE in shown else "")


def card(context: Context, group: int) -> str:
    """One cluster: words, frames, profile and distributions."""
    shot = context.shot
    assert shot.clustering is not None
    ids = example_ids(shot, group)
    frames = [context.pictures.mean(group), context.pictures.frame(int(ids[0]), "medoid", "large")]
    frames += [context.pictures.frame(int(i)) for i in ids[1:]]
    return (
        f'<article class="card" id="{anchor(group)}" style="--c:{category_color(group)}"><h3>cluster {group}</h3>'
        f"<p>{' · '.join(_sentences(context, group))}</p>{grid(frames)}"
        f"{why(context.reasons.get(group), shot.photon_unit)}{_charts(context, group)}</article>"
    )


def noise_section(context: Context) -> str:
    """The frames that belong to no cluster, as a group of their own."""
    shot = context.shot
    assert shot.clustering is not None
    members = shot.clustering.members(NOISE)
    n = len(shot.clustering.labels)
    frames = [context.pictures.mean(NOISE), *(context.pictures.frame(int(i)) for i in example_ids(shot, NOISE))]
    lead = (
        f"{count(len(members))} of {count(n)} hits ({percent(len(members) / n)}) belong to no dense group. They are never put "
        "into one silently. Examples from the brightest to the dimmest."
    )
    body = (
        f'<article class="card" style="--c:{NOISE_COLOR}"><p>{" · ".join(_noise_sentences(shot, members))}</p>'
        f"{grid(frames)}{_charts(context, NOISE)}</article>"
    )
    return section("noise", "Noise", body, lead)


def _noise_sentences(shot: Snapshot, members: NDArray) -> list[str]:
    assert shot.clustering is not None
    dim = shot.clustering.meta.get("photons_clustered_first")
    photons = shot.photons_of(members)
    out = [
        f"Median {quantity(float(np.nanmedian(photons)))} {shot.photon_unit}"
        if np.isfinite(photons).any()
        else "Brightness not known"
    ]
    if dim:
        below = int((photons < dim).sum())
        out.append(
            f"Clusters were sought among hits of {quantity(dim)} {shot.photon_unit} and more; "
            f"{count(below)} of these frames are dimmer than that"
        )
    assigned = shot.clustering.assigned[shot.clustering.labels == NOISE]
    if (assigned >= 0).any():
        where = np.bincount(assigned[assigned >= 0], minlength=shot.n_clusters)
        top = ", ".join(f"{count(where[g])} to cluster {g}" for g in np.argsort(-where, kind="stable")[:5] if where[g])
        out.append(
            f"By their nearest neighbours {count(int((assigned >= 0).sum()))} would go to a cluster ({top}, ...)"
        )
    return [*out, *_words(shot, members)]


def _sentences(context: Context, group: int) -> list[str]:
    shot = context.shot
    assert shot.clustering is not None
    members = shot.clustering.members(group)
    strength, photons = shot.strength_of(members), shot.photons_of(members)
    out = [f"<b>{count(len(members))} frames</b>, {percent(len(members) / len(shot.clustering.labels))} of the hits"]
    out.append(f"median strength {np.median(strength):.2f}")
    if np.isfinite(photons).any():
        low, middle, high = np.nanpercentile(photons, [10, 50, 90])
        out.append(f"{quantity(middle)} {shot.photon_unit} (median; 10–90 %: {quantity(low)}–{quantity(high)})")
    extra = int(((shot.clustering.assigned == group) & (shot.clustering.labels == NOISE)).sum())
    if extra:
        out.append(f"{count(extra)} noise frames have it as their nearest cluster")
    return [*out, *_words(shot, members)]


def _words(shot: Snapshot, members: NDArray[np.uint64]) -> list[str]:
    """What people (labels) and the simulator (classes) say of these frames."""
    out = []
    labels = {word: int(np.isin(ids, members).sum()) for word, ids in shot.labels.items()}
    carried = sorted(((n, word) for word, n in labels.items() if n), key=lambda item: (-item[0], item[1]))
    if carried:
        out.append("labels " + ", ".join(f"<mark>{text(word)}</mark> {count(n)}" for n, word in carried[:6]))
    true = shot.class_of(members)
    if true is not None and len(true):
        words, counts = np.unique(true, return_counts=True)
        order = np.lexsort((words, -counts))[:4]
        out.append("truth " + ", ".join(f"{text(words[i])} {percent(counts[i] / len(true))}" for i in order))
    return out


def _charts(context: Context, group: int) -> str:
    shot = context.shot
    color = NOISE_COLOR if group == NOISE else category_color(group)
    assert shot.clustering is not None
    members = shot.clustering.members(group)
    n = count(context.sample.n_frames[group])
    profile = profile_chart(
        context.rings, context.sample.means[group], context.sample.means[EVERYONE], color, shot.photon_unit
    )
    angular = angular_chart(context.sample.angular[group], context.sample.angular[EVERYONE], color)
    charts = plate(profile, f"Radial profile, mean of {n} frames") + plate(
        angular, f"Angular contrast, mean of {n} frames"
    )
    photons = shot.photons_of(members)
    if np.isfinite(photons).any():
        charts += plate(
            brightness_chart(photons, context.photons, color, shot.photon_unit), f"Brightness ({shot.photon_unit})"
        )
    if group != NOISE:
        charts += plate(strength_chart(shot.strength_of(members), color), "Strength of membership, 0 to 1")
    return f'<div class="charts">{charts}</div>'


def cluster_table(context: Context) -> str:
    """All clusters with their figures."""
    shot = context.shot
    assert shot.clustering is not None
    n = max(len(shot.clustering.labels), 1)
    rows = []
    for group in shot.groups():
        members = shot.clustering.members(group)
        photons = shot.photons_of(members)
        link = (
            f'<a href="#{anchor(group)}">{"noise" if group == NOISE else group}</a>'
            if group < MAX_CARDS
            else str(group)
        )
        color = NOISE_COLOR if group == NOISE else category_color(group)
        strength = "" if group == NOISE else f"{np.median(shot.strength_of(members)):.2f}"
        bright = quantity(float(np.nanmedian(photons))) if np.isfinite(photons).any() else ""
        extra = (
            ""
            if group == NOISE
            else count(int(((shot.clustering.assigned == group) & (shot.clustering.labels == NOISE)).sum()))
        )
        dot = f'<i class="dot" style="background:{color}"></i>'
        share = percent(len(members) / n)
        rows.append([dot + link, count(len(members)), share, strength, bright, extra, "; ".join(_words(shot, members))])
    head = ["cluster", "frames", "of hits", "strength", f"{shot.photon_unit} (median)", "noise nearby", "words"]
    return f"<details><summary>Table of {count(shot.n_clusters)} clusters</summary>{table(head, rows, 'figures')}</details>"
