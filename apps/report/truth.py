"""Clusters against the truth of a simulated run."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.report.html import count, facts, percent, section, text
from apps.report.snapshot import Snapshot
from sorter.core.clustering import NOISE

MISSED = -2
#: Columns of the table; what is smaller goes into one column.
MAX_COLUMNS = 24


def confusion(classes: NDArray[np.str_], groups: NDArray[np.int64]) -> tuple[list[str], list[int], NDArray[np.int64]]:
    """Classes by size, groups (clusters ascending, then noise -1, then not taken as a hit -2), counts (classes, groups)."""
    words, row = np.unique(classes, return_inverse=True)
    order = np.lexsort((words, -np.bincount(row, minlength=len(words))))
    found, column = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(words), len(found)), np.int64)
    np.add.at(counts, (row, column), 1)
    columns = [*np.flatnonzero(found >= 0), *np.flatnonzero(found < 0)[::-1]]
    return [str(words[i]) for i in order], [int(found[c]) for c in columns], counts[np.ix_(order, columns)]


def truth_section(shot: Snapshot) -> str:
    """Confusion of classes and clusters, with the figures of the evaluation."""
    if "class" not in shot.truth or shot.hits is None or shot.clustering is None:
        return ""
    ids = shot.store.frame_ids
    groups = np.where(np.isnan(shot.cluster_of(ids)), MISSED, np.nan_to_num(shot.cluster_of(ids), nan=MISSED)).astype(
        np.int64
    )
    classes = shot.class_of(ids)
    assert classes is not None
    lead = (
        "Only because this run was simulated. Rows: true class; columns: cluster, noise, not taken as a hit. "
        "The shade is the share of the class."
    )
    return section("truth", "Compared with the truth", _figures(shot) + _table(*confusion(classes, groups)), lead)


def _figures(shot: Snapshot) -> str:
    from sorter.cluster.evaluation import evaluate_run
    from sorter.stages.evaluate import stored_truth

    if not {"class", "hit", "photons"} <= set(shot.truth):
        return ""
    assert shot.hits is not None
    values = evaluate_run(stored_truth(shot.store), shot.hits, shot.clustering, None)
    shown = {
        "hit_f1": "hit F1, from 1,000 photons",
        "bright_ari": "ARI, bright hits (20,000 photons and more), noise as a group",
        "bright_ari_without_noise": "ARI, bright hits, noise left out",
        "bright_purity": "purity, bright hits",
        "bright_noise": "noise among bright hits",
        "hits_ari": "ARI, all true hits",
        "macro_f1_one_label_per_cluster": "macro-F1, one label per cluster",
    }
    return facts((name, _figure(values.get(key))) for key, name in shown.items())


def _figure(value: Any) -> str:
    return "not available" if value is None else f"{value:.3f}"


def _table(words: list[str], groups: list[int], counts: NDArray[np.int64]) -> str:
    groups, counts = _bounded(groups, counts)
    names = {NOISE: "noise", MISSED: "no hit", MAX_COLUMNS * 10**6: "others"}
    head = "".join(f'<th scope="col">{names.get(g, g)}</th>' for g in groups)
    rows = []
    for word, line in zip(words, counts):
        total = max(int(line.sum()), 1)
        cells = "".join(_cell(int(n), n / total) for n in line)
        rows.append(f'<tr><th scope="row">{text(word)}</th>{cells}<td class="sum">{count(int(line.sum()))}</td></tr>')
    return (
        f'<div class="scroll"><table class="confusion"><thead><tr><th></th>{head}<th scope="col">all</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell(n: int, share: float) -> str:
    if n == 0:
        return "<td></td>"
    return f'<td style="--s:{round(60 * share)}%" title="{percent(share)} of the class">{count(n)}</td>'


def _bounded(groups: list[int], counts: NDArray[np.int64]) -> tuple[list[int], NDArray[np.int64]]:
    """The first MAX_COLUMNS clusters, the others in one column, then noise and misses."""
    groups_array = np.array(groups)
    few = (groups_array < 0) | (groups_array < MAX_COLUMNS)
    if few.all():
        return groups, counts
    clusters, special = groups_array[few & (groups_array >= 0)], groups_array[groups_array < 0]
    kept = [counts[:, groups_array == g] for g in clusters] + [counts[:, ~few].sum(axis=1, keepdims=True)]
    kept += [counts[:, groups_array == g] for g in special]
    return [*clusters.tolist(), MAX_COLUMNS * 10**6, *special.tolist()], np.hstack(kept)
