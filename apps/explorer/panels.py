"""The page's panels as HTML. Every word that comes from a file or a person is escaped here."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from html import escape
from typing import TypeAlias

from apps.explorer.colors import NOISE_COLOR, OTHER_COLOR, Coloring
from apps.explorer.frame_panels import cluster_color, cluster_name
from apps.explorer.labelling import Labelling
from apps.explorer.parts import number, options, quantity, segments, select, share, tag
from apps.explorer.run import NOT_CLUSTERED, Library
from apps.explorer.state import Explorer
from apps.explorer.tables import ClusterRow, cluster_rows
from sorter.core.clustering import NOISE
from sorter.core.errors import ShotsortError
from sorter.core.labels import LabelEvent

#: Colour of a label.
Colors: TypeAlias = Callable[[str], str]


def counts(state: Explorer) -> str:
    """What is in the run, always in view: frames, hits, blanks, clusters, noise, labels."""
    run, labels = state.run, state.labels
    hits, noise = int(run.is_hit.sum()), len(run.noise_rows())
    labelled = int((labels.n_labels > 0).sum())
    found = [("frames", number(len(run.is_hit)), "")]
    found.append(
        ("hits", number(hits) if run.hits else "not found yet", share(hits, len(run.is_hit)) if run.hits else "")
    )
    if run.clustering is not None:
        found.append(("clusters", number(run.n_clusters), ""))
        found.append(("noise", number(noise), f"{share(noise, hits)} of hits"))
    found.append(("labelled", number(labelled), share(labelled, len(run.is_hit))))
    return "".join(f'<span class="count"><b>{v}</b> {name}<i>{note}</i></span>' for name, v, note in found)


def views(state: Explorer) -> str:
    """Choice of layout and clustering, where there are several."""
    layouts, clusterings = state.library.layouts(), state.library.clusterings()
    html = ""
    if len(layouts) > 1:
        html += select("layout", "Layout", {n: n for n in layouts}, state.run.layout.name)
    if len(clusterings) > 1 and state.run.clustering:
        html += select("clustering", "Clusters", {n: n for n in clusterings}, state.run.clustering.name)
    return html


def undo_buttons(state: Explorer) -> str:
    """Undo and redo, saying what they would do."""
    html = ""
    for act, sign, event, key in (
        ("undo", "↶", state.labels.next_undo, "Ctrl+Z"),
        ("redo", "↷", state.labels.next_redo, "Ctrl+Y"),
    ):
        title = f"{act}: {described(event)} ({key})" if event else f"nothing to {act}"
        off = "" if event else " disabled"
        html += f'<button class="icon" id="{act}" data-act="{act}" title="{escape(title)}"{off}>{sign}</button>'
    return html


def described(event: LabelEvent) -> str:
    """One event of the label book in words."""
    verb = {"add": "label", "remove": "take label"}.get(event.kind, event.kind)
    frames = (
        f" {'to' if event.kind == 'add' else 'from'} {number(len(event.frame_id))} frames"
        if len(event.frame_id)
        else ""
    )
    return f"{verb} ‘{event.label}’{frames}"


def legend(coloring: Coloring, state: Explorer, drawn: int) -> str:
    """The scale of a quantity, or the names of categories that no table shows; and how many points are drawn."""
    n = len(state.run.layout.frame_id)
    note = f"{number(drawn)} of {number(n)} points drawn" if drawn < n else f"{number(n)} points"
    if coloring.names:
        chips = [*zip(coloring.names, coloring.palette), *([(coloring.rest, NOISE_COLOR)] if coloring.rest else [])]
        body = "".join(f'<span class="key"><i style="background:{c}"></i>{escape(t)}</span>' for t, c in chips)
        body = "" if coloring.title == "cluster" else f'<div class="keys">{body}</div>'
    else:
        ramp = ",".join(coloring.palette[:: max(1, len(coloring.palette) // 16)])
        log = coloring.title.startswith("log10 ")
        ends = [quantity(10**v if log else v) for v in (coloring.low, coloring.high)]
        title = coloring.title.removeprefix("log10 ") + (" (log)" if log else "")
        body = (f'<div class="bar"><span>{ends[0]}</span><i style="background:linear-gradient(90deg,{ramp})"></i>'
                f"<span>{ends[1]}</span><em>{escape(title)}</em></div>")  # fmt: skip
    return f'{body}<div class="note">{note}</div>'


_CLUSTER_HEAD = (
    "<div class='head'><span></span><span></span><span>cluster</span><span>frames</span>"
    "<span title='mean strength of membership, 0 to 1'>str.</span></div>"
)


def _row(act: str, key: str, on: bool, color: str, picture: str, name: str, size: int, top: int, strength: str) -> str:
    image = f'<img src="{picture}" alt="">' if picture else '<span class="nopic"></span>'
    width = min(100, 100 * size / top) if top else 0
    return (
        f'<div class="row{" on" if on else ""}" role="button" tabindex="0" data-act="{act}" data-value="{escape(key)}">'
        f'<i class="chip" style="background:{color}"></i>{image}<span class="name">{name}</span>'
        f'<span class="size">{number(size)}<u style="width:{width:.0f}%;background:{color}"></u></span>'
        f'<span class="strength">{strength}</span></div>'
    )


def clusters(state: Explorer, medoid_urls: list[str], color: Colors) -> str:
    """The table of clusters: colour, medoid, number and labels, size, mean strength; then noise and blanks."""
    chosen, table = state.selection, cluster_rows(state.run, state.labels)
    blanks = int((~state.run.is_hit).sum())
    top = max(
        (row.n_frames for row in table if row.cluster >= 0), default=blanks
    )  # noise and blanks may fill their bar
    html = [_CLUSTER_HEAD]
    for row in table:
        k = row.cluster
        name = f"<b>{k}</b>" if k >= 0 else cluster_name(k, True)
        strength = "" if row.strength is None else f"{row.strength:.2f}"
        on = chosen.kind == "cluster" and chosen.key == k
        picture = medoid_urls[k] if k >= 0 else ""
        name += _label_chips(row, color)
        html.append(_row("cluster", str(k), on, cluster_color(k), picture, name, row.n_frames, top, strength))
    if blanks:
        html.append(_row("blanks", "", chosen.kind == "blanks", OTHER_COLOR, "", "blanks", blanks, top, ""))
    return "".join(html)


def _label_chips(row: ClusterRow, color: Colors) -> str:
    """The two most frequent labels of a cluster, where at least one frame in twenty carries them."""
    return "".join(
        tag(name, color(name), f"{name}: {number(n)} frames")
        for name, n in list(row.labels.items())[:2]
        if 20 * n >= row.n_frames
    )


def labels(state: Explorer, labelling: Labelling) -> str:
    """The table of labels, and what has none."""
    if not state.labels.names:
        return '<p class="hint">No labels yet. Select a cluster, or draw a lasso, and type a word.</p>'
    chosen, rows = state.selection, []
    found = {name: len(state.labels.rows(name)) for name in state.labels.names}
    top = max(found.values())
    for name, n in found.items():
        on = chosen.kind == "label" and chosen.key == name
        rows.append(_row("label-row", name, on, labelling.color(name), "", escape(name), n, top, ""))
    without = int((state.run.is_hit & (state.labels.n_labels == 0)).sum())
    rows.append(_row("unlabelled", "", chosen.kind == "unlabelled", OTHER_COLOR, "", "hits without", without, top, ""))
    return "".join(rows)


def selection(state: Explorer, color: Colors) -> str:
    """What is selected, and the labels in it, each with a button that takes it away."""
    chosen = state.selection
    if not len(chosen):
        shown = "Below: the medoid of each cluster." if state.run.n_clusters else ""
        hint = f"Click a cluster or a point, or draw a lasso in the layout. {shown}"
        return f'<h2>Nothing selected</h2><p class="hint">{hint}</p>'
    away = '<button data-act="unlabel" data-value="{}" title="take this label away from the selection">×</button>'
    tags = "".join(
        tag(
            name,
            color(name),
            name,
            f" <small>{number(n)}</small>{away.format(escape(name))}",
        )
        for name, n in state.labels.within(chosen.rows).items()
    )
    return (
        f'<h2>{escape(chosen.title)}</h2><span class="of">{number(len(chosen))} frames</span>{_widen(state)}'
        f'<span class="tags">{tags}</span>'
    )


def _widen(state: Explorer) -> str:
    """A button that takes in the frames that are only assigned to the selected cluster, where there are any."""
    run, key = state.run, state.selection.key
    if state.selection.kind != "cluster" or not isinstance(key, int) or key < 0:
        return ""
    more = int(((run.assigned == key) & (run.cluster != key)).sum())
    on = ' class="on"' if state.widened else ""
    title = "frames too dim or too lonely to be clustered, assigned to the cluster that they are most like (A)"
    return f'<button data-act="widen"{on} title="{title}">+ {number(more)} assigned</button>' if more else ""


def export_hint(state: Explorer) -> str:
    """The command that exports the frames of the current label, else of the selected cluster."""
    chosen, run, current = state.selection, state.run, state.current
    if current is not None and current in state.labels.names:
        what = f"--label={shlex.quote(current)}" if current.startswith("-") else f"--label {shlex.quote(current)}"
        stem = "".join(c if c.isalnum() or c in "._" else "_" for c in current).strip("._") or "picks"
    elif chosen.kind == "cluster" and run.clustering is not None and chosen.key != NOT_CLUSTERED and not state.widened:
        named = "" if run.clustering.name == "density" else f" --clustering {run.clustering.name}"
        what, stem = f"--cluster={chosen.key}{named}", f"cluster{chosen.key}" if chosen.key != NOISE else "noise"
    else:
        return '<span class="hint">Give a label to see the command that exports its frames.</span>'
    command = f"shotsort export {shlex.quote(str(run.work.path))} {what} --to {stem}.cxi"
    return f'<code id="command">{escape(command)}</code><button data-copy="command" title="copy">copy</button>'


def color_choice(names: list[str], chosen: str) -> str:
    """Choice of what colours the points: the usual ones as buttons, the run's other columns in a list."""
    usual = [n for n in names if n in ("cluster", "label", "photons", "strength")]
    html = segments("color", {n: n for n in usual}, chosen)
    others = {n: n for n in names if n not in usual}
    if others:
        first = {} if chosen in others else {"": "more …"}
        html += (
            f'<select data-act="color" title="colour by another column">{options({**first, **others}, chosen)}</select>'
        )
    return html


def empty_page(library: Library, error: ShotsortError, read_only: bool) -> str:
    """What to do about a work folder that cannot be shown yet; its frames can be laid out from here."""
    work = library.work
    path, note = shlex.quote(str(work.path)), f"<p class='note'>{escape(str(error))}</p>"
    after = "<p>This page goes on by itself when that is done.</p>"
    if not work.frames_path.exists():
        return (
            f"<h1>No frames in this work folder yet</h1><p>Run</p><code>shotsort sort RUN.h5 -w {escape(path)}</code>"
            f"{after}{note}"
        )
    if library.layouts():
        return f"<h1>This work folder cannot be shown</h1>{note}"
    steps = (f"shotsort {stage} {path}" for stage in ("embed", "cluster"))
    commands = "".join(f"<code>{escape(step)}</code>" for step in steps)
    offer = "" if read_only else (
        '<p><button class="main" data-act="make">Find hits, embed and lay them out</button></p>'
        '<div class="panel" id="job" data-panel="job"></div><p>or run</p>'
    )  # fmt: skip
    return f"<h1>The frames are here, but they have no layout yet</h1>{offer}{commands}{after}"


def known_labels(state: Explorer, labelling: Labelling) -> str:
    """Labels that were ever given, for completion."""
    return "".join(f'<option value="{escape(name)}">' for name in labelling.words)
