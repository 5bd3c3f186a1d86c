"""The tabs under the thumbnails as HTML. Every word that comes from a file or a person is escaped here."""

from __future__ import annotations

from html import escape

from apps.explorer.desk import TABS, Desk
from apps.explorer.frame_panels import cluster_color, cluster_name
from apps.explorer.jobs import Job
from apps.explorer.labelling import TARGETS, Labelling
from apps.explorer.parts import number, options, segments, share, tag
from apps.explorer.shaping import Shaping
from sorter.curate.classes import KEYS
from sorter.curate.labellers import agreement


def tab_bar(desk: Desk) -> str:
    """The names of the tabs; a dot where a watched run goes on."""
    dot = {"live": ' <b class="dot"></b>'} if desk.watched else {}
    return "".join(
        f'<button data-act="tab" data-value="{key}" class="{"on" if key == desk.tab else ""}">{name}{dot.get(key, "")}</button>'
        for key, name in TABS.items()
    )


def job_bar(desk: Desk) -> str:
    """Long work that runs, with a button that ends it."""
    return job_running(desk.job) if desk.job else ""


def job_running(job: Job) -> str:
    """What runs, how far it is, and a button that ends it."""
    told = f"{job.what}: {job.progress}" if job.progress else f"{job.what} …"
    told += f", {job.seconds} s" if job.seconds else ""
    return f'<i class="spin"></i><span>{escape(told)}</span><button data-act="cancel">cancel</button>'


def class_bar(labelling: Labelling) -> str:
    """The classes as buttons with their keys, and what they label."""
    picked = len(labelling.state.picked)
    chips = "".join(
        f'<button class="class" data-act="class-label" data-value="{escape(one.name)}" style="--c:{labelling.color(one.name)}"'
        f' title="{escape(one.note or one.name)}">{f"<kbd>{escape(one.key)}</kbd>" if one.key else ""}{escape(one.name)}</button>'
        for one in labelling.classes
    )
    if not chips:
        chips = '<span class="hint">Define classes under Label to give them by one key.</span>'
    if picked:
        goes = (
            f'<span class="goes">to <b>{number(picked)}</b> picked <button data-act="unpick" title="let them go">×'
            f"</button></span>"
        )
    else:
        choices = "".join(
            f'<option value="{key}"{" selected" if key == labelling.target else ""}>{text}</option>'
            for key, text in TARGETS.items()
        )
        goes = (
            f'<label class="choice" title="what a class key labels (T)"><span>to</span>'
            f'<select data-act="target">{choices}</select></label>'
        )
    return f'<span class="chips">{chips}</span>{goes}'


def label_tab(labelling: Labelling) -> str:
    """Classes, proposals, what to label next, and how two labellers agree."""
    return (
        f'<div class="cols"><section>{_classes(labelling)}</section>'
        f"<section>{_proposals(labelling)}{_labellers(labelling)}</section></div>"
    )


def _classes(labelling: Labelling) -> str:
    rows = "".join(
        f'<tr><td><input type="color" data-act="class-color" data-name="{escape(one.name)}"'
        f' value="{labelling.color(one.name)}"></td>'
        f"<td><kbd>{escape(one.key) or '–'}</kbd></td><td>{escape(one.name)}</td>"
        f"<td class='soft' title='{escape(one.note)}'>{escape(one.note)}</td>"
        f'<td><button data-act="forget-class" data-value="{escape(one.name)}"'
        ' title="take it off the list; labels stay">×</button></td></tr>'
        for one in labelling.classes
    )
    used = {one.key for one in labelling.classes}
    keys = options({"": "key", **{k: k for k in KEYS if k not in used}}, "")
    form = (
        '<form class="line" data-form="define-class">'
        '<input name="name" class="name" placeholder="new class" maxlength="100" required>'
        f'<select name="key">{keys}</select><input name="note" placeholder="what belongs in it" maxlength="500">'
        "<button>Add</button></form>"
    )
    return f'<h3>Classes</h3><table class="plain">{rows}</table>{form}'


def _proposals(labelling: Labelling) -> str:
    found = labelling.proposals
    head = '<h3>Proposals</h3><div class="line"><button data-act="propose">Propose</button>'
    if found is None:
        return (
            head
            + '<span class="soft">label a few frames of each class first; proposals stay apart from labels</span></div>'
        )
    head += '<button data-act="next-label" title="frames from which a label helps most">label next</button>'
    head += '<button data-act="next-doubtful" title="the cluster most worth naming">next cluster</button>'
    head += f'<button data-act="unknown">none of these: {number(int(found.none_of_these.sum()))}</button></div>'
    accuracy = found.meta.get("left_out_accuracy")
    seen = "" if accuracy is None else f"{100 * accuracy:.0f} % right on labelled frames left out"
    slider = (
        '<div class="line"><label class="choice"><span>at least</span><input type="range" min="0.5" max="0.99" step="0.01"'
        f' data-live="threshold" id="threshold" value="{labelling.threshold:.2f}"></label>'
        f'<span class="soft" id="at">{seen}</span></div>'
    )
    return f'{head}{slider}<div class="panel" id="proposed" data-panel="proposed">{proposed_counts(labelling)}</div>'


def proposed_counts(labelling: Labelling) -> str:
    """Each class with the frames that it would get at the threshold."""
    rows = "".join(
        f'<tr><td>{tag(one.name, labelling.color(one.name))}</td><td class="n">{number(one.labelled)} given</td>'
        f'<td class="n">{number(one.proposed)} proposed</td>'
        f'<td><button data-act="show-proposed" data-value="{escape(one.name)}">show</button>'
        f'<button data-act="accept" data-value="{escape(one.name)}">accept</button></td></tr>'
        for one in labelling.counts()
    )
    buttons = (
        '<div class="line"><button data-act="accept" data-value="">accept all</button>'
        '<button data-act="revoke">revoke accepted</button></div>'
    )
    return (
        f'<p class="soft">at a probability of {labelling.threshold:.2f} and more</p><table class="plain">{rows}'
        f"</table>{buttons}"
    )


def _labellers(labelling: Labelling) -> str:
    state = labelling.state.book.current()
    people = state.labellers()
    if len(people) < 2:
        return ""
    found = agreement(state, *people[:2])
    kappa = "–" if found.kappa is None else f"{found.kappa:.2f}"
    disputes = "".join(
        f"<tr><td>{escape(a)}</td><td>{escape(b)}</td><td class='n'>{number(n)}</td></tr>"
        for (a, b), n in list(found.disputes.items())[:8]
    )
    show = '<button data-act="disputed">show disputed</button>' if len(found.frame_id) else ""
    return (
        f"<h3>Agreement</h3><p>{escape(found.one)} and {escape(found.other)} labelled {number(found.n_both)} frames both,"
        f' {share(found.same, found.n_both)} alike, Cohen’s κ {kappa} {show}</p><table class="plain">{disputes}</table>'
    )


def shape_tab(shaping: Shaping, desk: Desk, urls: dict[str, str]) -> str:
    """Merge, split, re-cluster, cut, and what waits to be taken; ``urls``: pictures by name."""
    chosen, asked = shaping.state.selection, desk.recluster
    n = number(len(chosen))
    merge = f'<button data-act="merge"{"" if chosen.kind == "clusters" else " disabled"}>Merge</button>'
    off = "" if len(chosen) else " disabled"
    clean = f'<button data-act="clean"{off} title="keep what is among its like in the embedding">Clean</button>'
    top = (
        f'<div class="line">{merge}{clean}'
        f'<span class="soft">Ctrl+click selects several clusters; {n} frames selected</span></div>'
    )
    split = (
        '<h3>Re-cluster the selection</h3><form class="line" data-form="recluster">'
        f'<label class="choice"><span>smallest</span>'
        f'<input name="size" type="number" min="2" value="{asked["size"]}"></label>'
        '<label class="choice"><span>samples</span>'
        f'<input name="samples" type="number" min="1" value="{asked["samples"]}"></label>'
        f'<select name="selection">{options({"eom": "eom", "leaf": "leaf"}, asked["selection"])}</select><button{off}>Re-cluster'
        f"</button></form>"
    )
    return (
        f'<div class="cols"><section>{top}{split}{_cut(shaping, desk)}{_embeddings(shaping)}</section>'
        f"<section>{_proposed(shaping, urls)}{_steps(shaping)}</section></div>"
    )


def _cut(shaping: Shaping, desk: Desk) -> str:
    levels = shaping.levels()
    if not len(levels):
        return (
            '<h3>Cut the tree</h3><p class="soft">This clustering keeps no tree: it was made by hand, or has grown since. '
            "Cut the one it came from.</p>"
        )
    step = min(desk.cut_step, len(levels) - 1)
    return (
        '<h3>Cut the tree</h3><div class="line"><label class="choice"><span>density</span>'
        f'<input type="range" min="0" max="{len(levels) - 1}" value="{step}" data-live="cut-step" id="cut-step"></label>'
        f'<label class="choice"><span>smallest</span>'
        f'<input type="number" min="2" value="{desk.min_size}" data-live="cut-size" id="cut-size"></label>'
        f'<button data-act="cut">Cut here</button></div>'
        f'<div class="panel" id="cutcount" data-panel="cutcount">{cut_count(shaping, desk)}</div>'
    )


def cut_count(shaping: Shaping, desk: Desk) -> str:
    """What a cut at the slider would give."""
    if not len(shaping.levels()):
        return ""
    clusters, noise = shaping.cut_counts(desk.cut_step, desk.min_size)
    out = shaping.outside_tree()
    besides = f", <b>{number(out)}</b> of them too dim or too lonely to be in the tree" if out else ""
    return f'<p class="soft"><b>{number(clusters)}</b> clusters, <b>{number(noise)}</b> frames noise{besides}</p>'


def _embeddings(shaping: Shaping) -> str:
    run = shaping.state.run
    names = {n: n for n in run.work.result_names("embeddings")}
    if not names:
        return ""
    return (
        '<h3>Another embedding</h3><form class="line" data-form="lay-out">'
        f'<select name="embedding">{options(names, run.embedding_name or "")}</select>'
        f"<button>Cluster and lay out</button></form>"
    )


def _proposed(shaping: Shaping, urls: dict[str, str]) -> str:
    waiting = shaping.proposed
    if waiting is None:
        return '<h3>Side by side</h3><p class="soft">A re-clustering is shown here before it is taken.</p>'
    before = sorted(((int((waiting.before == k).sum()), int(k)) for k in set(waiting.before.tolist())), reverse=True)
    left = "".join(
        f'<li><i class="chip" style="background:{cluster_color(k)}"></i>{cluster_name(k, True)}<b>{number(n)}</b></li>'
        for n, k in before
    )
    groups = [*range(waiting.n_groups), -1]
    right = "".join(
        f"<li>{_picture(urls.get(str(g)))}{f'part {g}' if g >= 0 else 'noise'}"
        f"<b>{number(int((waiting.groups == g).sum()))}</b></li>"
        for g in groups
    )
    off = "" if waiting.n_groups else " disabled"
    hint = "" if waiting.n_groups else '<span class="soft">no groups: try a smaller size or fewer samples</span>'
    return (
        f'<h3>Side by side</h3><div class="line"><button class="main" data-act="take"{off}>Take it</button>'
        f'<button data-act="drop-proposed">Leave it</button>{hint}</div>'
        f'<div class="versus"><div><p class="soft">now</p><ul>{left}</ul></div>'
        f'<div><p class="soft">proposed</p><ul>{right}</ul></div></div>'
    )


def _picture(url: str | None) -> str:
    return f'<img src="{url}" alt="">' if url else ""


def _steps(shaping: Shaping) -> str:
    run = shaping.state.run
    steps = run.clustering.meta.get("steps", []) if run.clustering else []
    if not steps:
        return ""
    told = "".join(f"<li>{escape(', '.join(f'{k} {v}' for k, v in step.items()))}</li>" for step in steps)
    return f'<h3>How these clusters came to be</h3><ol class="soft">{told}</ol>'


def follow_choice(desk: Desk) -> str:
    """Whether the page follows a watched run."""
    return segments("follow", {"on": "follow", "off": "pause"}, "off" if desk.paused else "on")
