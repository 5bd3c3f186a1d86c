"""The panels that show frames, as HTML: the page of thumbnails, the heading of the large picture, the card under the pointer.

Every word that comes from a file or a person is escaped here.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape

import numpy as np

from apps.explorer.average import Average
from apps.explorer.colors import NOISE_COLOR, OTHER_COLOR, category_color
from apps.explorer.parts import number, quantity, segments, select
from apps.explorer.selection import ORDERS
from apps.explorer.state import PAGE_SIZES, Explorer
from apps.explorer.thumbnails import CLIPS, SCALES
from sorter.core.clustering import NOISE


def pager(state: Explorer) -> str:
    """Order and page of the thumbnails."""
    if not len(state.selection):
        return ""
    last = state.n_pages - 1
    sizes = {str(n): str(n) for n in PAGE_SIZES}
    again = '<button class="icon" data-act="order" data-value="random" title="shuffle again (R)">⟳</button>'
    return (
        select("order", "Order", ORDERS, state.order)
        + (again if state.order == "random" else "")
        + select("page-size", "Show", sizes, str(state.page_size))
        + '<span class="pages">'
        + f'<button class="icon" data-act="page" data-value="{state.page - 1}" title="page before ([)"'
        + f"{' disabled' if state.page == 0 else ''}>‹</button><span>{state.page + 1} / {number(state.n_pages)}</span>"
        + f'<button class="icon" data-act="page" data-value="{state.page + 1}" title="next page (])"'
        + f"{' disabled' if state.page == last else ''}>›</button></span>"
    )


def thumbs(state: Explorer, urls: list[str], color_of: Callable[[str], str]) -> str:
    """The page of thumbnails; the bar below each is its cluster's colour, a dot its label's."""
    run, pictures, picked = state.run, [], set(state.picked.tolist())
    for row, url in zip(map(int, state.page_rows()), urls):
        color = cluster_color(int(run.cluster[row]))
        dots = "".join(f'<i style="background:{color_of(n)}"></i>' for n in state.labels.of(row))
        on = (" on" if row == state.focus else "") + (" picked" if row in picked else "")
        pictures.append(
            f'<button class="thumb{on}" data-act="frame" data-value="{run.frame_id[row]}" style="--c:{color}"'
            f' title="{escape(summary(state, row))}"><img src="{url}" alt="frame"><span>{dots}</span></button>'
        )
    return "".join(pictures)


def cluster_color(cluster: int) -> str:
    """Colour of a cluster, of noise, or of what was not clustered."""
    return category_color(cluster) if cluster >= 0 else NOISE_COLOR if cluster == NOISE else OTHER_COLOR


def cluster_name(cluster: int, is_hit: bool) -> str:
    """What to call the group that a frame is in."""
    return (
        f"cluster {cluster}"
        if cluster >= 0
        else "noise"
        if cluster == NOISE
        else "not clustered"
        if is_hit
        else "blank"
    )


def summary(state: Explorer, row: int) -> str:
    """One line on one frame: group, strength, photons, labels."""
    run = state.run
    parts = [cluster_name(int(run.cluster[row]), bool(run.is_hit[row]))]
    if np.isfinite(run.strength[row]):
        parts.append(f"strength {run.strength[row]:.2f}")
    if np.isfinite(run.photons[row]):
        unit = {"photon": "photons", "adu": "ADU"}.get(run.store.unit, "in all")
        parts.append(f"{quantity(float(run.photons[row]))} {unit}")
    return " · ".join(parts + state.labels.of(row))


def hover_card(state: Explorer, row: int, url: str) -> str:
    """A frame under the pointer."""
    return f'<img src="{url}" alt=""><span>{escape(summary(state, row))}</span>'


_FRAME_TOOLS = (
    ("similar", "select the frames nearest to this one in the embedding (S)"),
    ("only", "select this frame alone"),
    ("drop", "take this frame out of the selection (X)"),
    ("mean", "back to the mean of the selection (M)"),
)


def _fits(tool: str, state: Explorer) -> bool:
    return tool != "drop" or state.focus in state.selection.rows


def viewer(state: Explorer, scale: str, clip: float, rings: bool, average: Average, moment: str) -> str:
    """Heading of the large picture: the mean of the selection, or one frame, and how it is shown."""
    tools = segments("scale", {s: s for s in SCALES}, scale)
    chosen = next(name for name, value in CLIPS.items() if value == clip)
    tools += select("clip", "", {name: f"to {name}" for name in CLIPS}, chosen, "percentile that is brightest")
    tools += f'<button data-act="rings" class="{"on" if rings else ""}" title="rings of equal q">rings</button>'
    if state.focus is None:
        title = moment.capitalize()
        what = f"{number(average.n_all)} {'frames' if len(state.selection) else 'hits'}"
        note = f"of {number(average.n_read)} random of {what}" if average.n_read < average.n_all else f"of {what}"
        tools = segments("mean", {"mean": "mean", "variance": "variance"}, moment) + tools
    else:
        file, index = state.run.source
        source = state.run.store.info.sources[int(file[state.focus])].path.rsplit("/", 1)[-1]
        title = f"{escape(source)} <small>[{index[state.focus]}]</small>"
        note = escape(summary(state, state.focus))
        tools += "".join(f'<button data-act="{a}" title="{t}">{a}</button>' for a, t in _FRAME_TOOLS if _fits(a, state))
    return f'<div class="title"><h2>{title}</h2><span class="note">{note}</span></div><div class="tools">{tools}</div>'
