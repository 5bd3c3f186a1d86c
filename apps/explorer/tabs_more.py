"""The tabs that compare, hand on and follow, as HTML. Every word that comes from a file or a person is escaped here."""

from __future__ import annotations

import shlex
from html import escape

from apps.explorer.desk import Desk
from apps.explorer.parts import number, options, share
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
        f'<input name="name" value="{escape(suggested)}" maxlength="80" required>'
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
    rate = live.get("frames_per_s")
    figures = {
        "state": live.get("state"), "frames/s": rate, "hits": _percent(live.get("hit_share")), "frames": live.get("frames_total"),
        "strange": live.get("strange"), "waiting": live.get("queue"), "skipped": live.get("skipped"),
        "latency (ms)": live.get("latency_p50_ms"),
    }  # fmt: skip
    cells = "".join(
        f"<div><b>{escape(str('–' if v is None else v))}</b><span>{escape(k)}</span></div>" for k, v in figures.items()
    )
    top = max([c.get("share") or 0 for c in live.get("clusters", [])] or [1]) or 1
    bars = "".join(
        f"<li><span>{escape(str(c.get('name') or c.get('cluster')))}</span>"
        f'<u style="width:{100 * (c.get("share") or 0) / top:.0f}%"></u>'
        f"<b>{share(round(1000 * (c.get('share') or 0)), 1000)}</b></li>"
        for c in live.get("clusters", [])[:12]
    )
    message = f'<p class="soft">{escape(str(live["message"]))}</p>' if live.get("message") else ""
    source = escape(str(live.get("source", "")))
    return (
        f'<div class="line">{follow_choice(desk)}<span class="soft">{source}</span></div>'
        f'<div class="figures">{cells}</div>{message}<ul class="rates">{bars}</ul>'
    )


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{100 * value:.0f} %"
