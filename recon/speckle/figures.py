"""Pictures and tables of an evaluation."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from numpy.typing import NDArray

from recon.speckle.card import model_card
from recon.speckle.classical import MOMENTS
from recon.speckle.data import PAPER_POLYDISPERSITY, PatternConfig
from recon.speckle.evaluate import Evaluation, Scored
from recon.speckle.pattern import MAPS, FormAndStructure
from recon.training.scores import ClassScores
from recon.training.weights import write_card
from sim.particles.disks import BOX
from sorter.core.errors import InputError


def write_evaluation(folder: Path, found: Evaluation, beyond: dict[str, Any] | None) -> None:
    """evaluation.json, card.md, classes_NAME.csv (the paper's table 1), confusion_NAME.png, by_count.png, split.png (two patterns
    taken apart), first_moments.png and, with ``beyond``, beyond.png and occlusion.png. Raises InputError where ``folder`` cannot
    be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "evaluation.json").write_text(json.dumps({**found.summary, "beyond": beyond}, indent=1) + "\n")
        for name, scores in found.scores.items():
            _class_table(folder / f"classes_{name}.csv", scores, found.counts)
            confusion_figure(scores, found.counts, name).savefig(folder / f"confusion_{name}.png")
        by_count_figure(found).savefig(folder / "by_count.png")
        counts = PatternConfig(found.counts[0], found.counts[-1])
        unlike = replace(counts, polydispersity=PAPER_POLYDISPERSITY)
        split_figure([counts, unlike], [4, 12], found.summary["seed"]).savefig(folder / "split.png")
        write_card(folder / "card.md", *model_card(found.meta, found.summary["weights"], found.summary))
        if found.sets["257"].features.size:
            moments_figure(found.sets["257"], found.counts).savefig(folder / "first_moments.png")
        if beyond:
            curves_figure(beyond).savefig(folder / "beyond.png")
            occlusion_figure(np.array(beyond["occlusion_log_probability"])).savefig(folder / "occlusion.png")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); choose another folder") from error


def _class_table(path: Path, scores: ClassScores, counts: list[int]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["n_disks", "precision", "recall", "f1"])
        for row in zip(counts, scores.precision, scores.recall, scores.f1, strict=True):
            writer.writerow([row[0], *(f"{v:.4f}" for v in row[1:])])


_BLOCKED_RINGS = 3
"""The innermost rings, which lie in the blocked corner."""


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def confusion_figure(scores: ClassScores, counts: list[int], title: str) -> Figure:
    """Confusion matrix with numbers, as figures 3 to 5 of the paper; lines mark errors of one disk."""
    figure = _figure(6.6, 6.2)
    axes = figure.subplots()
    n = len(counts)
    share = scores.confusion / np.maximum(scores.confusion.sum(1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for i, j in np.argwhere(scores.confusion > 0):
        colour = "white" if share[i, j] > 0.5 else "#b2182b" if abs(i - j) > 1 else "black"
        axes.text(j, i, str(scores.confusion[i, j]), ha="center", va="center", fontsize=6.5, color=colour)
    for shift in (1, -1):
        axes.plot(
            [max(shift, 0) - 0.0, n - 1 + min(shift, 0)],
            [max(-shift, 0), n - 1 + min(-shift, 0)],
            color="#1b7837",
            lw=0.5,
        )
    axes.set_xticks(range(n), counts, fontsize=7)
    axes.set_yticks(range(n), counts, fontsize=7)
    axes.set_xlabel("predicted number of disks")
    axes.set_ylabel("number of disks")
    axes.set_title(f"{title}: accuracy {scores.accuracy:.4f}, macro F1 {scores.macro_f1:.3f}, "
                   f"{scores.errors_beyond(1)} of {scores.confusion.sum()} off by more than one", fontsize=9)  # fmt: skip
    return figure


def moments_figure(scored: Scored, counts: list[int], shown: int = 10) -> Figure:
    """First moments against the number of disks, ``shown`` patterns of each and their mean, as figure 6 of the paper."""
    figure = _figure(9, 6.2)
    numbers = np.array(counts)[scored.labels]
    for axes, name, values in zip(figure.subplots(2, 2).flat, MOMENTS, scored.moments.T, strict=True):
        rows = np.concatenate([np.flatnonzero(numbers == c)[:shown] for c in counts])
        axes.plot(numbers[rows], values[rows], ".", color="#4393c3", ms=4, label=f"{shown} patterns each")
        means = [values[np.flatnonzero(numbers == c)[:shown]].mean() for c in counts]
        axes.plot(counts, means, "-", color="#b2182b", lw=1.5, label="their mean")
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("number of disks")
        axes.set_ylabel("first moment (px)" if name != "absolute" else "first moment")
    figure.axes[0].legend(fontsize=8)
    return figure


def by_count_figure(found: Evaluation) -> Figure:
    """Share of right answers, and of answers within one disk, for each number of disks: how it falls off."""
    figure = _figure(7, 4)
    axes = figure.subplots()
    for (name, scores), colour in zip(found.scores.items(), ("#2166ac", "#b2182b", "#4d9221"), strict=False):
        total = np.maximum(scores.confusion.sum(1), 1)
        i, j = np.indices(scores.confusion.shape)
        near = (scores.confusion * (np.abs(i - j) <= 1)).sum(1) / total
        axes.plot(found.counts, scores.recall, "o-", ms=3, color=colour, label=name)
        axes.plot(found.counts, near, "--", lw=1, color=colour, label=f"{name}, within one")
    axes.set(xlabel="number of disks", ylabel="share of patterns", ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure


def split_figure(cases: list[PatternConfig], indices: list[int], seed: int = 0) -> Figure:
    """Disks, pattern, form and structure (`FormAndStructure`) of one pattern of each case, a row each."""
    figure = _figure(10, 2.5 * len(cases))
    axes = figure.subplots(len(cases), 4, squeeze=False)
    for row, config, index in zip(axes, cases, indices, strict=True):
        disks, _ = config.disks(seed, "example", index)
        pattern, _ = config.pattern(seed, "example", index)
        split = FormAndStructure(min(256, config.side_px - 1), maps=MAPS[:1])
        with torch.no_grad():
            form, _, structure = split(pattern[None])
        row[0].add_collection(PatchCollection([Circle(c, r) for c, r in zip(disks.centres, disks.radii, strict=True)]))
        row[0].set(xlim=(0, BOX), ylim=(0, BOX), aspect="equal", title=f"{disks.count} disks")
        seen = (pattern - pattern.min()).numpy()
        row[1].imshow(np.log10(seen + 1e-6 * seen.max()), origin="lower", cmap="inferno")
        row[1].set(xlabel="n_x", ylabel="n_y", title="pattern (log), corner blocked")
        n = config.blocked_px + 2 * np.arange(split.rings)[_BLOCKED_RINGS:]
        for curve, label in zip(form[0, :2].numpy(), ("log mean + 3 log k", "mean log + 3 log k"), strict=True):
            row[2].plot(n, curve[_BLOCKED_RINGS:], lw=1, label=label)
        row[2].set(xlabel="|n|", title="form: what the sizes are")
        row[2].legend(fontsize=7)
        shown = structure[0, 0].numpy()
        row[3].imshow(shown, origin="lower", cmap="inferno", vmax=np.quantile(shown, 0.999), extent=(0, BOX, -BOX, BOX))
        row[3].set(
            xlabel="x distance", ylabel="y distance", title=f"structure: {disks.count * (disks.count - 1) // 2} pairs"
        )
    return figure


_AXES = {
    "polydispersity": ("sigma / mean of the radii", "linear"),
    "photons": ("photons in the pattern (equal disks)", "log"),
    "coherence_length": ("coherence length (box side 2000)", "log"),
    "missing": ("share of the columns missing", "linear"),
}


def curves_figure(beyond: dict[str, Any]) -> Figure:
    """Accuracy and share of errors of more than one disk along each axis."""
    figure = _figure(10, 6.2)
    for axes, (name, (label, scale)) in zip(figure.subplots(2, 2).flat, _AXES.items(), strict=True):
        x = [point[name] for point in beyond[name]]
        axes.plot(x, [point["accuracy"] for point in beyond[name]], "o-", color="#2166ac", label="right")
        axes.plot(
            x, [1 - point["beyond_one"] for point in beyond[name]], "s--", color="#92c5de", label="within one disk"
        )
        axes.set(xlabel=label, ylabel="share of patterns", ylim=(0, 1.02), xscale=scale)
        if scale == "log":
            axes.set_xticks(x, [f"{v:g}" if v < 1e4 else f"1e{np.log10(v):.0f}" for v in x])
            axes.minorticks_off()
        axes.grid(alpha=0.3)
    figure.axes[0].legend(fontsize=8)
    return figure


def occlusion_figure(lost: NDArray[np.float64]) -> Figure:
    """Loss of log probability of the true number when a tile of k-space is covered."""
    figure = _figure(5, 4.2)
    axes = figure.subplots()
    image = axes.imshow(lost, origin="lower", cmap="magma", extent=(0, 256, 0, 256))
    axes.set_xlabel("n_x")
    axes.set_ylabel("n_y")
    axes.set_title("what the network looks at", fontsize=10)
    figure.colorbar(image, label="loss of log probability (covered tile)")
    return figure


def write_learning_curve(folder: Path, rows: list[dict[str, Any]]) -> None:
    """learning_curve.json and learning_curve.png. Raises InputError where ``folder`` cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "learning_curve.json").write_text(json.dumps(rows, indent=1) + "\n")
        learning_curve_figure(rows).savefig(folder / "learning_curve.png")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); choose another folder") from error


def learning_curve_figure(rows: list[dict[str, Any]]) -> Figure:
    """1 - macro F1 against the number of patterns, one line for each width."""
    figure = _figure(5.6, 4)
    axes = figure.subplots()
    for hidden in sorted({row["hidden"] for row in rows}):
        line = [row for row in rows if row["hidden"] == hidden]
        axes.loglog([r["patterns"] for r in line], [1 - r["macro_f1"] for r in line], "o-", label=f"{hidden} units")
    counts = sorted({row["patterns"] for row in rows})
    axes.set_xticks(counts, [str(n) for n in counts])
    axes.minorticks_off()
    shares = [v for v in (0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5) if v >= 0.5 * min(1 - r["macro_f1"] for r in rows)]
    axes.set_yticks(shares, [f"{v:g}" for v in shares])
    axes.set(xlabel="patterns to learn from", ylabel="1 - macro F1 (polydisperse)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure
