"""The tabs that compare, hand on and follow, as HTML. Every word that comes from a file or a person is escaped here."""

from __future__ import annotations

import shlex
from html import escape
from typing import Any

from apps.explorer.desk import Desk
from apps.explorer.frame_panels import cluster_color
from apps.explorer.parts import number, options, quantity, share
from apps.explorer.state import Explorer
from apps.explorer.tabs import follow_choice

#: Ends of names that can be exported to, with what a person reads.
FORMATS = {
    ".cxi": "CXI (HDF5)", ".h5": "HDF5", ".npy": "NumPy", ".zarr": "zarr", ".emc": "Dragonfly .emc", ".emc.h5": "Dragonfly .h5",
    ".blacklist.txt": "Dragonfly blacklist", ".txt": "list of frames", ".index.npy": "index list (.npy)", ".csv": "table (CSV)",
    ".parquet": "table (Parquet)",
}  # fmt: skip
#: Stages of reconstruction that take chosen frames, one at a time.
STAGES = {"shape": "size and orientation", "speckle": "number of disks"}


def compare_tab(state: Explorer, desk: Desk, mean_urls: list[str], thumbs: list[list[str]], drawing: str) -> str:
    """The pinned selection beside the present one: means, frames, radial profiles."""
    pin = '<button data-act="pin" title="keep the present selection for comparison">Pin this selection</button>'
    if not len(desk.pinned):
        return f'<div class="line">{pin}<span class="soft">then select others: both are shown side by side</span></div>'
    sides = []
    for chosen, url, row in zip((desk.pinned, state.selection), mean_urls, thumbs):
        title = escape(chosen.title) or "nothing selected"
        pictures = "".join(f'<img src="{u}" alt="">' for u in row)
        mean = f'<img class="mean" src="{url}" alt="mean">' if url else ""
        sides.append(
            f'<div><h3>{title}</h3><p class="soft">{number(len(chosen))} frames</p>{mean}'
            f'<div class="few">{pictures}</div></div>'
        )
    swap = '<button data-act="unpin">unpin</button>'
    return f'<div class="line">{pin}{swap}</div><div class="versus">{"".join(sides)}</div>{drawing}'


def out_tab(state: Explorer, desk: Desk, suggested: str) -> str:
    """Subsets, export and reconstruction."""
    work, n = state.run.work, len(state.selection)
    off = "" if n else " disabled"
    save = (
        f'<h3>Subset</h3><form class="line" data-form="subset">'
        f'<input name="name" class="name" value="{escape(suggested)}" maxlength="80" required>'
        f'<button class="main"{off}>Save {number(n)} frames</button></form>'
    )
    names = work.result_names("subsets")[::-1]
    if not names:
        return (
            save
            + '<p class="soft">A subset keeps these frames and the rule that chose them; it does not follow later labels.</p>'
        )
    chosen = options({name: name for name in names}, names[0])
    write = (
        f'<h3>Export</h3><form class="line" data-form="export"><select name="subset">{chosen}</select>'
        f'<select name="end">{options(FORMATS, ".cxi")}</select>'
        '<label class="choice"><input type="checkbox" name="binned"><span>as stored</span></label>'
        "<button>Export</button></form>"
        f'<p class="soft">into {escape(str(work.path / "exports"))}</p>'
    )
    send = (
        f'<h3>Reconstruct</h3><form class="line" data-form="send"><select name="subset">{chosen}</select>'
        f'<select name="stage">{options(STAGES, "shape")}</select><button>Show the command</button></form>'
    )
    said = "".join(f"<li><code>{escape(line)}</code></li>" for line in desk.said[-6:][::-1])
    return (
        f'<div class="cols"><section>{save}{write}</section><section>{send}<ul class="said">{said}</ul></section></div>'
    )


def recon_command(work: str, subset: str, stage: str) -> str:
    """The command that reconstructs the frames of a subset."""
    return f"shotsort recon {stage} predict {shlex.quote(work)} --subset {shlex.quote(subset)}"


def live_tab(desk: Desk) -> str:
    """What `shotsort watch` tells of the run that is being recorded."""
    live = desk.live
    if live is None:
        return (
            '<p class="soft">Nothing is being recorded into this work folder. <code>shotsort watch SOURCE -w WORK'
            "</code> sorts frames as they arrive; this page follows.</p>"
        )
    gone = not desk.watched and live.get("state") != "stopped"
    latency = live.get("latency_p50_ms")
    figures = {
        "state": "not answering" if gone else live.get("state"), "frames/s": live.get("frames_per_s"),
        "hits": _percent(live.get("hit_share")), "frames": live.get("frames_total"), "strange hits": live.get("strange"),
        "waiting": live.get("queue"), "skipped": live.get("skipped"), "delay (ms)": latency and round(latency),
    }  # fmt: skip
    cells = "".join(f"<div><b>{_figure(v)}</b><span>{escape(k)}</span></div>" for k, v in figures.items())
    told = (
        ["The watching process does not answer any more; start it again, it goes on where it stopped."] if gone else []
    )
    told += [str(live["message"])] if live.get("message") else []
    message = "".join(f'<p class="soft">{escape(line)}</p>' for line in told)
    source = escape(str(live.get("source", "")))
    return (
        f'<div class="line">{follow_choice(desk)}<span class="soft">{source}</span>{_strange(live)}</div>{message}'
        f'<div class="figures">{cells}</div>{_history(live.get("history") or {})}'
        f'<h3>Share of the hits</h3><ul class="rates">{_rates(live.get("clusters", []))}</ul>'
    )


def _rates(clusters: list[dict[str, Any]]) -> str:
    """A bar for each cluster's share of the recent hits; a click selects the cluster."""
    top = max([c.get("share") or 0 for c in clusters] or [1]) or 1
    bars = []
    for one in clusters[:12]:
        number_of, part = int(one["cluster"]), one.get("share") or 0.0
        name = escape(str(one.get("name") or f"cluster {number_of}"))
        bars.append(
            f'<li role="button" data-act="cluster" data-value="{number_of}"><span>{name}</span>'
            f'<u style="width:{100 * part / top:.0f}%;background:{cluster_color(number_of)}"></u>'
            f"<b>{share(round(1000 * part), 1000)}</b></li>"
        )
    return "".join(bars)


def _strange(live: dict[str, Any]) -> str:
    """A button that shows the strange hits, once they were gathered into groups."""
    n = sum(int(p.get("hits", 0)) for p in live.get("proposals") or [])
    groups = len(live.get("proposals") or [])
    said = f"{number(n)} strange hits in {groups} new group{'s' if groups != 1 else ''}"
    return f'<button data-act="strange">show {said}</button>' if n else ""


def _history(history: dict[str, list[float | None]]) -> str:
    """Frames per second and share of hits since the watching began."""
    at = history.get("seconds") or []
    if len(at) < 2:
        return ""
    lines = []
    for key, color in (("frames_per_s", "#56b4e9"), ("hit_share", "#e69f00")):
        values = [v or 0.0 for v in history.get(key) or []]
        top = 1.0 if key == "hit_share" else max([*values, 1e-9])
        points = " ".join(f"{400 * (t or 0) / (at[-1] or 1):.1f},{38 - 34 * v / top:.1f}" for t, v in zip(at, values))
        lines.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.6"/>')
    most = max(v or 0.0 for v in history["frames_per_s"])
    return (
        '<svg class="history" viewBox="0 0 400 40" preserveAspectRatio="none" role="img" aria-label="rates">'
        f"{''.join(lines)}</svg>"
        f'<p class="soft"><i style="color:#56b4e9">frames/s</i>, at most {most:.0f}, and <i style="color:#e69f00">share of hits'
        f"</i> over {(at[-1] or 0) / 60:.0f} min</p>"
    )


def _figure(value: Any) -> str:
    if isinstance(value, int | float):
        return number(value) if isinstance(value, int) else quantity(value)
    return "–" if value is None else escape(str(value))


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{100 * value:.0f} %"
