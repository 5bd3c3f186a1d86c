"""What sets a cluster apart, in words and in a small table."""

from __future__ import annotations

from apps.report.html import percent, quantity, table
from apps.report.overview import anchor
from sorter.curate.why import ClusterReasons, Difference

#: Property -> its name, and what more and less of it is called.
_WORDS = {
    "signal": ("signal", "brighter", "dimmer"),
    "half_radius_inv_nm": ("half of the signal within |q| (1/nm)", "farther out (1/nm)", "nearer the beam (1/nm)"),
    "half_radius_px": ("half of the signal within (px)", "farther out (px)", "nearer the beam (px)"),
    "size_nm": ("size by the fringes (nm)", "larger by the fringes (nm)", "smaller by the fringes (nm)"),
    "fringe_spacing_px": ("fringe spacing (px)", "wider fringes (px)", "narrower fringes (px)"),
    "fringe_depth": ("depth of the fringes", "deeper fringes", "shallower fringes"),
}  # fmt: skip
#: Differences that are told of all other hits, and of each of the nearest clusters.
_OF_ALL, _OF_ONE = 3, 2


def words_of(prop: str, unit: str) -> tuple[str, str, str]:
    """What a property is called for a reader, and more and less of it; ``unit`` of the frames."""
    if prop in _WORDS:
        name, more, less = _WORDS[prop]
        return (unit if prop == "signal" else name), more, less
    fold = f"{prop.removeprefix('order_')}-fold contrast"
    return fold, f"stronger {fold}", f"weaker {fold}"


def why(found: ClusterReasons | None, unit: str) -> str:
    """Sentences, and the table of quantities behind a fold; nothing where nothing was looked at."""
    if found is None:
        return ""
    parts = []
    for other, most in ((-1, _OF_ALL), *((near, _OF_ONE) for near in found.nearest)):
        told = [_words(d, unit) for d in found.differences if d.other == other][:most]
        whom = "all other clusters" if other < 0 else f'cluster <a href="#{anchor(other)}">{other}</a>'
        parts.append(f"Apart from {whom}: {'; '.join(told)}." if told else f"Nothing here sets it apart from {whom}.")
    rows = [
        [words_of(prop, unit)[0], *(quantity(value) for value in values)] for prop, values in found.quantiles.items()
    ]
    behind = table(["property", "10 %", "median", "90 %"], rows, "figures")
    return (
        f'<p class="why">{" ".join(parts)}</p>'
        f"<details><summary>Size, photons and symmetry of {found.n_frames} frames</summary>{behind}</details>"
    )


def _words(difference: Difference, unit: str) -> str:
    """One difference: the medians, and how many of a hundred pairs of frames show it."""
    _, more, less = words_of(difference.name, unit)
    share = max(difference.chance, 1 - difference.chance)
    told = more if difference.chance >= 0.5 else less
    return f"{told}, {quantity(difference.here)} against {quantity(difference.there)} ({percent(share)} of pairs)"
