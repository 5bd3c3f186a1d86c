"""Label quality per click: frames at random or as suggested, named by a head, and clusters named one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.cluster.agreement import macro_f1, most_common
from sorter.core.seeds import child_rng
from sorter.curate.heads import make_head
from sorter.curate.propose import Proposer
from sorter.curate.suggest import next_rows

#: Macro-F1 to which clicks are counted.
LEVELS = (0.8, 0.9)
#: What the others are compared with.
BASE = "random frames, linear head"
#: Strategies of choosing a frame, and the head that names the others: "random" or "suggested".
STRATEGIES = {
    BASE: ("random", "linear"),
    "random frames, propagation": ("random", "propagation"),
    "suggested frames, linear head": ("suggested", "linear"),
    "suggested frames, propagation": ("suggested", "propagation"),
}
CLUSTERS = "cluster by cluster"
#: What no method can beat: every frame of a class that has a label is named rightly, so macro-F1 is the share of such classes; on
#: frames as they come, and with every click on a class that has none yet.
FAULTLESS, FEWEST = "random frames, faultless head", "fewest clicks there can be"
CURVES = (*STRATEGIES, CLUSTERS, FAULTLESS, FEWEST)


@dataclass(frozen=True)
class Pool:
    """Frames that a person may label: points (N, d), classes (N,), cluster of each (-1: none), what proposes labels for them."""

    points: NDArray[np.float64]
    classes: NDArray[np.str_]
    clusters: NDArray[np.int32]
    proposer: Proposer


def curves(pool: Pool, clicks: int, draws: int) -> dict[str, Any]:
    """Strategy -> {"clicks": [...], "macro_f1": [[per draw] ...]}; suggested frames, clusters and FEWEST have one draw."""
    out: dict[str, Any] = {}
    for way, n in (("random", draws), ("suggested", 1)):
        heads = [(name, head) for name, (how, head) in STRATEGIES.items() if how == way]
        scores = [_curve(pool, picks_of(pool, way, clicks, draw), [head for _, head in heads]) for draw in range(n)]
        for i, (name, _) in enumerate(heads):
            out[name] = {"clicks": scores[0][0], "macro_f1": [list(x) for x in zip(*(found[1][i] for found in scores))]}
    out[CLUSTERS] = _cluster_curve(pool)
    return out | _bounds(pool, clicks, draws)


def _bounds(pool: Pool, clicks: int, draws: int) -> dict[str, Any]:
    """The curves of FAULTLESS, on the same random frames as the heads get, and FEWEST."""
    n = len(np.unique(pool.classes))
    counts = [step for step in steps(clicks) if step <= len(pool.classes)]
    seen = [
        [len(np.unique(pool.classes[rows])) / n for rows in picks_of(pool, "random", clicks, draw)]
        for draw in range(draws)
    ]
    return {
        FAULTLESS: {"clicks": counts, "macro_f1": [list(scores) for scores in zip(*seen)]},
        FEWEST: {"clicks": counts, "macro_f1": [[min(step, n) / n] for step in counts]},
    }


def steps(clicks: int) -> list[int]:
    """Numbers of clicks at which a curve of that length is scored: closely where a few clicks tell."""
    return [n for n in (*range(1, 20), *range(20, 60, 5), *range(60, 120, 10), *range(120, 10_000, 20)) if n <= clicks]


def picks_of(pool: Pool, way: str, clicks: int, draw: int) -> Iterator[NDArray[np.int64]]:
    """The labelled rows at each of `steps`, chosen at random or one by one as suggested (five at a time after sixty)."""
    n = len(pool.classes)
    wanted = [step for step in steps(clicks) if step <= n]
    if way == "random":
        order = child_rng(draw, "labelling").permutation(n)
        yield from (order[:step] for step in wanted)
        return
    rows = np.empty(0, np.int64)
    for step in wanted:
        while len(rows) < step:
            names, member = membership(pool.classes[rows])
            found = pool.proposer.propose(names, rows, member)
            new = next_rows(found.next_value, pool.proposer.points, min(1 if len(rows) < 60 else 5, step - len(rows)))
            if not len(new):
                return
            rows = np.concatenate([rows, new])
        yield rows


def membership(classes: NDArray) -> tuple[tuple[str, ...], NDArray[np.bool_]]:
    names = np.unique(classes)
    return tuple(names.tolist()), classes[:, None] == names[None]


def _curve(pool: Pool, picks: Iterator[NDArray[np.int64]], heads: list[str]) -> tuple[list[int], list[list[float]]]:
    """Clicks, and per head the macro-F1 of all frames named by it; labelled frames keep their label."""
    models = [make_head(head, pool.proposer.points, pool.proposer.graph) for head in heads]
    clicks: list[int] = []
    scores: list[list[float]] = [[] for _ in heads]
    for rows in picks:
        names, member = membership(pool.classes[rows])
        clicks.append(len(rows))
        for i, model in enumerate(models):
            named = np.array(names)[model(rows, member, False).argmax(axis=1)]
            named[rows] = pool.classes[rows]
            scores[i].append(macro_f1(pool.classes, named) or 0.0)
    return clicks, scores


def _cluster_curve(pool: Pool) -> dict[str, Any]:
    """Clusters named one by one, the largest first, each after its most common class; other frames have no name."""
    there = pool.clusters >= 0
    names = most_common(pool.classes[there], pool.clusters[there])
    order = sorted(names, key=lambda c: -int((pool.clusters == c).sum()))
    named = np.full(len(pool.classes), "", dtype=object)
    clicks, scores = [], []
    for i, cluster in enumerate(order):
        named[pool.clusters == cluster] = names[cluster]
        clicks.append(i + 1)
        scores.append([macro_f1(pool.classes, named.astype(str)) or 0.0])
    return {"clicks": clicks, "macro_f1": scores}


def mean_curves(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and spread over runs and draws at the clicks that all runs have; clusters: up to the run with the most clusters, a run
    that has no more stays where it is."""
    out = {}
    for name in runs[0] if runs else ():
        longest = max((run[name]["clicks"] for run in runs), key=len)
        if name != CLUSTERS:
            longest = min((run[name]["clicks"] for run in runs), key=len)
        columns = [
            np.concatenate([run[name]["macro_f1"][min(i, len(run[name]["macro_f1"]) - 1)] for run in runs])
            for i in range(len(longest))
        ]
        out[name] = {
            "clicks": longest,
            "macro_f1": [float(c.mean()) for c in columns],
            "macro_f1_sd": [float(c.std()) for c in columns],
        }
    return out


def clicks_to(found: dict[str, Any]) -> dict[str, Any]:
    """Strategy -> {"0.8": clicks, "0.9": clicks, "times_fewer": {...}}; clicks by linear interpolation of the mean curve."""
    reached = {name: {str(level): _first(curve, level) for level in LEVELS} for name, curve in found.items()}
    base = reached.get(BASE, {})
    for name, levels in reached.items():
        fewer = {k: base[k] / n if n and base.get(k) else None for k, n in levels.items()}
        reached[name] = {**levels, "times_fewer": fewer}
    return reached


def _first(curve: dict[str, Any], level: float) -> float | None:
    scores, clicks = np.array(curve["macro_f1"]), np.array(curve["clicks"])
    above = np.flatnonzero(scores >= level)
    if not len(above):
        return None
    i = int(above[0])
    if i == 0:
        return float(clicks[0])
    share = (level - scores[i - 1]) / (scores[i] - scores[i - 1])
    return round(float(clicks[i - 1] + share * (clicks[i] - clicks[i - 1])), 1)
