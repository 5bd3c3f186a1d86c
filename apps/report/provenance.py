"""How the results were made, and what to do next."""

from __future__ import annotations

import json
import shlex
from typing import Any

from apps.report.html import count, facts, section, table, text
from apps.report.snapshot import Snapshot


def parameters(shot: Snapshot) -> str:
    """Parameters and quality figures of the clustering, as they were stored."""
    if shot.clustering is None:
        return ""
    meta = dict(shot.clustering.meta)
    config = meta.pop("config", None) or {}
    chosen = facts((text(k), _value(v)) for k, v in sorted(config.items()))
    sweep = meta.pop("sweep", None) or []
    found = facts((text(k), _value(v)) for k, v in sorted(meta.items()) if not isinstance(v, list) or len(v) <= 40)
    body = f'<div class="pair"><div><h3>Chosen</h3>{chosen or "<p>not stored</p>"}</div><div><h3>Found</h3>{found}</div></div>'
    lead = "What HDBSCAN and UMAP were told, and what they said. No parameter was fitted to a truth."
    body = f"<details open><summary>Parameters</summary>{body}</details>{sweep_table(sweep, meta.get('resample_agreement'))}"
    return section("parameters", "How the clusters were made", body, lead)


def sweep_table(sweep: list[dict[str, Any]], resampled: float | None) -> str:
    """The smallest cluster sizes that were tried, and what each gave."""
    if len(sweep) < 2:
        return ""
    best = max(entry["agreement"] for entry in sweep)
    rows = [[_value(entry.get(key)) for key in sweep[0]] for entry in sweep]
    words = (
        f"The smallest size that counts was chosen where the others agree most (adjusted Rand index, here {best:.2f}); the"
        " steadier the columns, the less hangs on it."
    )
    if resampled is not None:
        words += f" Clustering half of the hits again gives the same groups to {resampled:.2f}."
    return f"<h3>Smallest cluster size</h3><p>{words}</p>{table([text(k.replace('_', ' ')) for k in sweep[0]], rows, 'figures')}"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return facts((text(k), _value(v)) for k, v in value.items())
    if isinstance(value, float):
        return f"{value:.4g}"
    if value is None:
        return "not set"
    return text(", ".join(map(str, value)) if isinstance(value, list | tuple) else value)


def manifests(shot: Snapshot) -> str:
    """One line per stage run; the whole record opens."""
    if not shot.manifests:
        return ""
    rows = [
        [
            text(m["stage"]),
            _when(m["started"]),
            _seconds(m["seconds"]),
            text("" if m["seed"] is None else m["seed"]),
            _metrics(m["metrics"]),
        ]
        for m in shot.manifests
    ]
    head = ["stage", "started (UTC)", "took", "seed", "figures"]
    records = "".join(
        f"<details><summary>{text(m['stage'])}, {_when(m['started'])}</summary><pre>{text(_short(m))}</pre></details>"
        for m in shot.manifests[-30:]
    )
    body = table(head, rows[-60:], "stages") + f"<details><summary>Full records</summary>{records}</details>"
    return section(
        "manifests", "Manifests", body, "The record of every stage: inputs, configuration, seed, versions, outputs."
    )


def _when(started: str) -> str:
    """ISO 8601 without what every line shares."""
    return text(started.removesuffix("+00:00").replace("T", " ", 1))


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _metrics(metrics: dict[str, Any]) -> str:
    plain = {k: v for k, v in metrics.items() if isinstance(v, int | float | str)}
    return "; ".join(f"{text(k)} {_value(v)}" for k, v in list(plain.items())[:6])


def _short(record: dict[str, Any], limit: int = 20_000) -> str:
    whole = json.dumps(record, indent=1, ensure_ascii=False)
    return (
        whole
        if len(whole) <= limit
        else whole[:limit] + f"\n... {count(len(whole) - limit)} more characters in manifests/"
    )


def next_steps(shot: Snapshot) -> str:
    """Commands to go on with, with the names that this work folder has."""
    folder = shlex.quote(str(shot.work.path))
    steps = []
    if shot.hits is None:
        steps.append(("find the hits", f"shotsort ingest {folder}"))
    if shot.clustering is None:
        steps.append(
            ("learn and cluster", f"shotsort train {folder} && shotsort embed {folder} && shotsort cluster {folder}")
        )
    else:
        steps.append(("look closer and label in the browser", f"shotsort explore {folder}"))
    if shot.n_clusters:
        steps.append(("give cluster 0 a name", f"shotsort label {folder} --cluster 0 NAME"))
    if shot.labels:
        word = max(sorted(shot.labels), key=lambda name: len(shot.labels[name]))
        steps.append(
            (
                f"hand over the frames labelled {word}",
                f"shotsort export {folder} --label {shlex.quote(word)} --to picks.cxi",
            )
        )
    elif shot.n_clusters:
        steps.append(("hand over what you named", f"shotsort export {folder} --label NAME --to picks.cxi"))
    steps.append(("one row per frame", f"shotsort table {folder} --to frames.csv"))
    steps.append(("this report again, after labelling", f"shotsort report {folder}"))
    body = "".join(f"<li><span>{text(why)}</span><code>{text(command)}</code></li>" for why, command in steps)
    return section("next", "How to go on", f'<ol class="steps">{body}</ol>')
