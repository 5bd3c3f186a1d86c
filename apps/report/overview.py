"""The first look: figures, the patterns at a glance, mean frame, hit score, layouts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apps.explorer.colors import NOISE_COLOR, OTHER_COLOR, category_color
from apps.report.charts import photons_histogram, score_histogram
from apps.report.html import count, facts, percent, plate, section, swatch, text
from apps.report.maps import beam_map, brightness_map, category_map, cluster_map
from apps.report.montage import Pictures
from apps.report.sampling import evenly
from apps.report.snapshot import Snapshot
from sorter.core.clustering import NOISE

#: Most points drawn in a layout.
MAX_POINTS = 60_000


def headline(shot: Snapshot) -> str:
    """The figures of the run, large."""
    tiles = [(count(len(shot.store)), "frames")]
    if shot.hits is not None:
        found, n = len(shot.hits.hit_ids), max(len(shot.hits.frame_id), 1)
        tiles += [(count(found), "hits"), (percent(found / n), "hit rate")]
    if shot.clustering is not None:
        labels = shot.clustering.labels
        tiles += [(count(shot.n_clusters), "cluster" if shot.n_clusters == 1 else "clusters")]
        if len(labels):
            tiles += [(percent(float((labels < 0).mean())), "of the hits are noise")]
    labelled = {int(i) for ids in shot.labels.values() for i in ids}
    tiles += [(count(len(labelled)), "frames labelled")]
    return '<div class="tiles">' + "".join(f"<div><b>{n}</b><span>{what}</span></div>" for n, what in tiles) + "</div>"


def recorded(shot: Snapshot) -> str:
    """Sources and geometry."""
    geometry, info = shot.store.geometry, shot.store.info
    ny, nx = shot.store.shape_px
    binned = f", {info.binning} × {info.binning} binned" if info.binning > 1 else ""
    center = "not known"
    if geometry.beam_center_px is not None:
        error = geometry.beam_center_error_px
        within = f" ± {error:.2g}" if error is not None else ""
        center = "y {:.2f}, x {:.2f}{} px ({})".format(
            *geometry.beam_center_px, within, text(geometry.beam_center_source)
        )
    files = "".join(
        f"<li><code>{text(s.path)}</code> {text(s.dataset)}, {count(s.n_frames)} frames</li>" for s in info.sources[:12]
    )
    more = f"<li>and {count(len(info.sources) - 12)} more</li>" if len(info.sources) > 12 else ""
    pairs = [
        ("frames", f"{ny} × {nx} px{binned}, {text(shot.store.dtype)}, {shot.photon_unit}"),
        ("masked", f"{percent(float(shot.store.bad_pixels.mean()))} of the pixels"),
        ("beam centre", center),
        ("distance", _length(geometry.distance_m)),
        ("pixel", _length(geometry.pixel_size_m)),
        ("wavelength", _wavelength(geometry.wavelength_m)),
        ("truth", "simulated run, classes known" if "class" in shot.truth else "none (measured)"),
        ("sources", f"<ul>{files}{more}</ul>"),
    ]
    return section("recorded", "What was recorded", facts(pairs))


def _length(metres: float | None) -> str:
    if metres is None:
        return "not known"
    for unit, size in (("m", 1.0), ("mm", 1e-3), ("µm", 1e-6)):
        if metres >= size:
            return f"{metres / size:.4g} {unit}"
    return f"{metres * 1e9:.4g} nm"


def _wavelength(metres: float | None) -> str:
    if metres is None:
        return "not known"
    return f"{metres * 1e9:.4g} nm ({1239.841984 / (metres * 1e9):,.1f} eV)"  # E = hc / wavelength


def glance(shot: Snapshot, pictures: Pictures, shown: list[int]) -> str:
    """One tile per cluster: its medoid, number, size and word."""
    if shot.clustering is None or not shown:
        return ""
    tiles = []
    n = max(len(shot.clustering.labels), 1)
    for group in shown:
        size = int((shot.clustering.labels == group).sum())
        color = NOISE_COLOR if group == NOISE else category_color(group)
        first = pictures.mean(group) if group == NOISE else pictures.frame(int(shot.clustering.medoids[group]))
        name = "noise" if group == NOISE else f"cluster {group}"
        word = common_word(shot, group)
        tiles.append(
            f'<a class="tile" href="#{anchor(group)}" style="--c:{color}">{first}<strong>{name}</strong>'
            f"<span>{count(size)} · {percent(size / n)}</span>" + (f"<em>{word}</em>" if word else "") + "</a>"
        )
    lead = "The medoid of each cluster (the frame nearest to its middle), largest cluster first; for noise the mean."
    return section("glance", "Patterns at a glance", f'<div class="glance">{"".join(tiles)}</div>', lead)


def anchor(group: int) -> str:
    """Where the page speaks of a group."""
    return "noise" if group == NOISE else f"cluster-{group}"


def common_word(shot: Snapshot, group: int) -> str:
    """The commonest label of a group with its share (HTML), else its commonest true class, else nothing."""
    assert shot.clustering is not None
    members = shot.clustering.members(group)
    best = max(((int(np.isin(ids, members).sum()), word) for word, ids in shot.labels.items()), default=(0, ""))
    if best[0]:
        return f"{text(best[1])} {percent(best[0] / len(members))}"
    true = shot.class_of(members)
    if true is None or not len(true) or group == NOISE:
        return ""
    words, counts = np.unique(true, return_counts=True)
    return f"truth: {text(words[counts.argmax()])} {percent(counts.max() / len(true))}"


def detector(shot: Snapshot, mean: NDArray, n_averaged: int) -> str:
    """Mean frame with the beam centre, and the histograms that decide on hits."""
    geometry = shot.store.geometry
    what = "hits" if shot.hits is not None and len(shot.hits.hit_ids) else "frames"
    known = {
        "file": "from the file",
        "option": "as given",
        "estimated": "estimated (dashed)",
        "unknown": "not known (dashed)",
    }
    error = geometry.beam_center_error_px
    within = f"; the small circle is its uncertainty, ± {error:.2g} px" if error else ""
    caption = (
        f"Mean of {count(n_averaged)} {what}, logarithmic; masked pixels in slate blue. Cross: beam centre, "
        f"{known.get(geometry.beam_center_source, 'not known')}{within}."
    )
    body = plate(beam_map(mean, shot.store.bad_pixels, geometry, shot.photon_unit), caption, "wide")
    if shot.hits is not None:
        rule = shot.hits.meta.get("rule")
        said = f" Score: {text(rule)}." if rule else ""
        at = f"Threshold at {shot.hits.threshold:.4g}." if np.isfinite(shot.hits.threshold) else "No threshold."
        statement = shot.hits.meta.get("fit", {}).get("statement")
        at += f" Found: {text(statement)}." if statement else ""
        scores = plate(
            score_histogram(shot.hits), f"Hit score of every frame, counts on a logarithmic axis. {at}{said}"
        )
        said = f"Sum over good pixels of every frame, in {shot.photon_unit}; counts on a logarithmic axis."
        photons = plate(photons_histogram(shot.hits, shot.photon_unit), said)
        body += f'<div class="stack">{scores}{photons}</div>'
    return section("detector", "Beam centre, mask and hits", f'<div class="pair">{body}</div>')


def layouts(shot: Snapshot, described: int) -> str:
    """The 2-D layout, once for each thing worth colouring it by."""
    if shot.layout is None or not len(shot.layout.frame_id):
        return ""
    n = len(shot.layout.frame_id)
    rows = evenly(np.arange(n, dtype=np.uint64), MAX_POINTS).astype(np.int64)
    ids, xy = shot.layout.frame_id[rows], shot.layout.xy[rows]
    body = (
        _by_cluster(shot, ids, xy, described)
        + _by_photons(shot, ids, xy)
        + _by_label(shot, ids, xy)
        + _by_class(shot, ids, xy)
    )
    drawn = f" {count(len(rows))} of {count(n)} points are drawn." if len(rows) < n else ""
    method = {"umap": "UMAP", "pca": "First two principal components"}.get(shot.layout.meta.get("method"), "Layout")
    lead = (
        f"{method} of the embedding <i>{text(shot.layout.name)}</i>, one point per hit. Near points look alike; "
        f"distances between islands, their areas and their axes mean nothing.{drawn}"
    )
    return section("layout", "Layout", f'<div class="maps n{body.count("<figure")}">{body}</div>', lead)


def _by_cluster(shot: Snapshot, ids: NDArray, xy: NDArray, described: int) -> str:
    if shot.clustering is None:
        return ""
    groups = shot.cluster_of(ids)
    words = [swatch(category_color(g), f"{g}") for g in range(min(described, shot.n_clusters))] + [
        swatch(NOISE_COLOR, "noise")
    ]
    return plate(cluster_map(xy, groups, min(described, shot.n_clusters)), f"By cluster. {' '.join(words)}")


def _by_photons(shot: Snapshot, ids: NDArray, xy: NDArray) -> str:
    photons = shot.photons_of(ids)
    if not (photons > 0).any():
        return ""
    picture = brightness_map(xy, photons, f"{shot.photon_unit} on good pixels")
    return plate(picture, f"By brightness ({shot.photon_unit}, logarithmic).")


def _by_label(shot: Snapshot, ids: NDArray, xy: NDArray) -> str:
    if not shot.labels:
        return ""
    order = sorted(shot.labels, key=lambda word: (-len(shot.labels[word]), word))
    names = np.full(len(ids), "", dtype=object)
    for word in reversed(order):
        names[np.isin(ids, shot.labels[word])] = word
    return _by_word(xy, names.astype(str), order, "By label (a person's word)", "not labelled")


def _by_class(shot: Snapshot, ids: NDArray, xy: NDArray) -> str:
    names = shot.class_of(ids)
    if names is None:
        return ""
    words, counts = np.unique(names, return_counts=True)
    order = [str(words[i]) for i in np.lexsort((words, -counts))]
    return _by_word(xy, names, order, "By true class (simulated run)", "")


def _by_word(xy: NDArray, names: NDArray, order: list[str], title: str, rest: str) -> str:
    words = [swatch(category_color(i), text(word)) for i, word in enumerate(order[:20])]
    words += [swatch(OTHER_COLOR, rest)] if rest else []
    return plate(category_map(xy, names, order, title), f"{title}. {' '.join(words)}")
