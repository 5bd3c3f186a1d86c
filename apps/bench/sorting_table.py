"""What the sorting bench tells of its rows: means over runs, paired differences, the table for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

#: Figures of the printed table: column, key of `evaluate` (with its entry, for accuracies after few labels).
COLUMNS = {
    "hit F1": ("hit_f1", None),
    "ARI bright": ("bright_ari", None),
    "w/o noise": ("bright_ari_without_noise", None),
    "purity": ("bright_purity", None),
    "noise": ("bright_noise", None),
    "ARI hits": ("hits_ari", None),
    "assigned": ("hits_ari_assigned", None),
    "k-NN 1": ("knn_balanced_accuracy", "1"),
    "k-NN 20": ("knn_balanced_accuracy", "20"),
    "probe 20": ("probe_balanced_accuracy", "20"),
    "own 20": ("classifier_balanced_accuracy", None),
    "F1 1/cluster": ("macro_f1_one_label_per_cluster", None),
    "seconds": ("seconds", None),
    "frames/s": ("embed_frames_per_s", None),
    "MB": ("peak_memory_mb", None),
}
#: Columns in which the default is compared with each other method, run by run; for k-NN 20 also with a sorter's own classifier.
PAIRED = ("ARI bright", "assigned", "k-NN 20")


def summarise(rows: list[dict[str, Any]], methods: Sequence[str]) -> list[dict[str, Any]]:
    """Mean and standard deviation over the runs of a recipe of each column of the table, per method; None where not known."""
    table = []
    for recipe in dict.fromkeys(row["recipe"] for row in rows):
        for method in methods:
            mine = [row for row in rows if row["method"] == method and row["recipe"] == recipe]
            entry: dict[str, Any] = {"recipe": recipe, "method": method, "runs": len(mine)}
            for column in COLUMNS:
                values = [v for row in mine if (v := figure(row, column)) is not None]
                entry[column] = float(np.mean(values)) if values else None
                entry[f"{column} sd"] = float(np.std(values, ddof=1)) if len(values) > 1 else None
            table.append(entry)
    return table


def paired(rows: list[dict[str, Any]], default: str) -> list[dict[str, Any]]:
    """Differences "default less method" over the runs both have: recipe, method, column, mean, standard_error (None for a single
    run), runs and better: whether the mean is above two standard errors."""
    out = []
    for recipe in dict.fromkeys(row["recipe"] for row in rows):
        mine = {row["run"]: row for row in rows if row["method"] == default and row["recipe"] == recipe}
        others = [row for row in rows if row["method"] != default and row["recipe"] == recipe]
        for method in dict.fromkeys(row["method"] for row in others):
            for column in PAIRED:
                values = [
                    a - b
                    for row in others
                    if row["method"] == method and row["run"] in mine
                    and (a := figure(mine[row["run"]], column)) is not None and (b := _rival(row, column)) is not None
                ]  # fmt: skip
                if values:
                    out.append({"recipe": recipe, "method": method, "column": column, **_mean_difference(values)})
    return out


def _rival(row: dict[str, Any], column: str) -> float | None:
    """A rival's figure; after 20 labels the better of its k-NN, its probe and its own classifier."""
    if column != "k-NN 20":
        return figure(row, column)
    found = [v for name in ("k-NN 20", "probe 20", "own 20") if (v := figure(row, name)) is not None]
    return max(found, default=None)


def _mean_difference(values: list[float]) -> dict[str, Any]:
    mean = float(np.mean(values))
    error = float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    return {
        "mean": mean,
        "standard_error": error,
        "runs": len(values),
        "better": error is not None and mean > 2 * error,
    }


def figure(row: dict[str, Any], column: str) -> float | None:
    """The value of a column of the table in one row of results."""
    key, entry = COLUMNS[column]
    value = row.get(key)
    return value.get(entry) if isinstance(value, dict) else value


def mean_of(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Entry-wise mean of dicts of figures; None where one of them is None."""
    out: dict[str, Any] = {}
    for key, value in found[0].items():
        values = [each[key] for each in found]
        if isinstance(value, dict):
            out[key] = mean_of(values)
        else:
            out[key] = None if any(v is None for v in values) else float(np.mean(values))
    return out


def table_text(result: dict[str, Any]) -> str:
    """The tables for people, one per recipe: mean and, for several runs, standard deviation; then the paired differences."""
    table = result["table"]
    width = max(len(entry["method"]) for entry in table)
    lines: list[str] = []
    for recipe in dict.fromkeys(entry["recipe"] for entry in table):
        lines.append(" ".join([f"{recipe:{width}s}", *(f"{column:>12s}" for column in COLUMNS)]))
        mine = [entry for entry in table if entry["recipe"] == recipe]
        lines += [
            " ".join([f"{e['method']:{width}s}", *(f"{_cell(e, column):>12s}" for column in COLUMNS)]) for e in mine
        ]
    if result["paired"]:
        lines.append(f"\n{result['default']} less each other method, run by run (mean ± standard error)")
    for entry in result["paired"]:
        error = "" if entry["standard_error"] is None else f" ± {entry['standard_error']:.3f}"
        where = f"{entry['recipe']:10s} {entry['method']:{width}s} {entry['column']:10s}"
        lines.append(f"{where} {entry['mean']:+.3f}{error}{'' if entry['better'] else '  (not above two)'}")
    return "\n".join(lines)


def _cell(entry: dict[str, Any], column: str) -> str:
    value, spread = entry[column], entry[f"{column} sd"]
    if value is None:
        return "-"
    digits = 0 if column in ("seconds", "frames/s", "MB") else 3
    return f"{value:.{digits}f}" if spread is None or digits == 0 else f"{value:.{digits}f}±{spread:.{digits}f}"
