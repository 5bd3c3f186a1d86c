"""Pictures of an evaluation: histograms of errors (figure 4a of the paper), error against simulated frames (figure 4b),
confusion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy import stats

from recon.shape.card import model_card
from recon.shape.errors import PoseErrors
from recon.shape.evaluate import OUTLIER, Evaluation
from recon.shape.evaluate_solids import BRIGHT_PHOTONS, SolidsEvaluation
from recon.shape.predict import Predictor
from recon.training.scores import class_scores
from recon.training.weights import write_card
from sorter.core.errors import InputError

_BINS = np.logspace(-4.5, 0, 60)


def write_evaluation(folder: Path, found: Evaluation, predictor: Predictor, further: dict[str, Any]) -> None:
    """evaluation.json, errors.png, pulls.png where errors are told, with a rival rival.png, and card.md, the model card with
    these figures; ``further``: more JSON-ready results to keep.

    Raises InputError where ``folder`` cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        rival = None if found.rival is None else {k: np.asarray(v).tolist() for k, v in found.rival.items()}
        text = json.dumps({**found.summary, **further, "rival_trace": rival}, indent=1)
        (folder / "evaluation.json").write_text(text + "\n")
        write_card(folder / "card.md", *model_card(predictor.meta, predictor.path.name, found.summary))
        errors_figure(found.errors, found.refined_errors).savefig(folder / "errors.png")
        if found.pulls is not None:
            pulls_figure(found).savefig(folder / "pulls.png")
        if found.rival is not None:
            rival_figure(found.rival, found.summary, further.get("subsets", [])).savefig(folder / "rival.png")
        if "curves" in further:
            curves_figure(further["curves"]).savefig(folder / "curves.png")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); choose another folder") from error


def write_solids(folder: Path, found: SolidsEvaluation, predictor: Predictor) -> None:
    """solids.json, confusion.png and card.md, the model card with these figures.

    Raises InputError where ``folder`` cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "solids.json").write_text(json.dumps(found.summary, indent=1) + "\n")
        write_card(folder / "card.md", *model_card(predictor.meta, predictor.path.name, found.summary))
        confusion_figure(found).savefig(folder / "confusion.png")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); choose another folder") from error


def new_figure(width: float, height: float) -> Figure:
    """An empty figure that is drawn without a display."""
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def errors_figure(network: PoseErrors, refined: PoseErrors | None) -> Figure:
    """Histograms of mean and maximum relative errors, as figure 4a of the paper; below those after refinement."""
    rows = [("network", network)] + ([("refined", refined)] if refined is not None else [])
    figure = new_figure(6.4, 2.6 * len(rows))
    for axes, (name, errors) in zip(np.atleast_1d(figure.subplots(len(rows), 1, sharex=True)), rows, strict=True):
        for values, color, label in ((errors.mean, "#1f77b4", "mean"), (errors.maximum, "#d62728", "maximum")):
            clipped = np.clip(values, _BINS[0], _BINS[-1])
            axes.hist(clipped, _BINS, color=color, alpha=0.6, label=f"{label}, median {np.median(values):.2%}")
        axes.axvline(0.05, color="0.5", lw=0.8, ls=":")
        axes.set(xscale="log", ylabel=f"frames ({name})")
        axes.legend(fontsize=8)
    axes.set_xlabel("relative error of the five parameters")
    return figure


def pulls_figure(found: Evaluation) -> Figure:
    """True over told errors of radius and orientation beside what they should follow; error against radius, by photons."""
    figure = new_figure(11, 3.4)
    radius, orientation, sizes = figure.subplots(1, 3)
    bins, lengths = np.linspace(-4, 4, 41), np.linspace(0, 2.5, 41)
    for told, color, label in ((found.pulls, "#1f77b4", "network"), (found.refined_pulls, "#2ca02c", "refined")):
        if told is not None:
            style = {"density": True, "histtype": "step", "color": color, "label": label}
            radius.hist(np.clip(told.radius, bins[0], bins[-1]), bins, **style)
            orientation.hist(np.clip(told.orientation, 0, lengths[-1]), lengths, **style)
    radius.plot(bins, stats.norm.pdf(bins), color="0.5", lw=1, label="honest")
    orientation.plot(lengths, stats.chi(3, scale=3**-0.5).pdf(lengths), color="0.5", lw=1, label="honest")
    radius.set(xlabel="radius: error / told error", ylabel="density")
    orientation.set(xlabel="orientation: angle / told error")
    radius.legend(fontsize=8)
    dots = sizes.scatter(found.test.radius_nm, found.errors.mean, 3, np.log10(found.test.photons), cmap="viridis")
    sizes.axhline(OUTLIER, color="0.5", lw=0.8, ls=":")
    sizes.set(yscale="log", xlabel="radius (nm)", ylabel="mean relative error (network)")
    figure.colorbar(dots, ax=sizes, label="log10 photons")
    return figure


def rival_figure(trace: dict[str, Any], summary: dict[str, Any], subsets: list[dict[str, float]]) -> Figure:
    """Mean relative error against patterns simulated, as figure 4b: the simplex (line: median; band: 5 to 95 %),
    networks trained on ``subsets`` (frames, median, high) and the refinement."""
    figure = new_figure(6.4, 4.2)
    axes = figure.subplots()
    low, middle, high = np.percentile(trace["errors"], [5, 50, 95], axis=0)
    axes.fill_between(trace["patterns"], low, high, color="#1f77b4", alpha=0.25, lw=0)
    axes.plot(trace["patterns"], middle, color="#1f77b4", label="simplex, 50 starts, per frame")
    for point in subsets:
        bar = [[point["median"] - point["low"]], [point["high"] - point["median"]]]
        axes.errorbar(point["frames"], point["median"], bar, fmt="o", color="#d62728", capsize=3)
    if subsets:
        axes.plot([], [], "o", color="#d62728", label="networks, once for all frames (patterns trained with)")
    if summary.get("refined_patterns_per_frame"):
        place = (summary["refined_patterns_per_frame"], summary["refined_median_mean_relative_error"])
        axes.plot(*place, "*", ms=12, color="#2ca02c", label="network, then refined, per frame")
    axes.set(xscale="log", yscale="log", xlabel="simulated patterns", ylabel="mean relative error")
    axes.legend(fontsize=8)
    return figure


def curves_figure(curves: dict[str, list[dict[str, float]]]) -> Figure:
    """Median of the mean relative error along each curve, network and refined."""
    figure = new_figure(9.6, 4.6)
    names = list(curves)
    columns = -(-len(names) // 2)
    for axes, name in zip(figure.subplots(2, columns, sharey=True).flat, names, strict=False):
        points = curves[name]
        for key, color, label in (("", "#1f77b4", "network"), ("refined_", "#2ca02c", "refined")):
            if f"{key}median_mean_relative_error" in points[0]:
                values = [p[f"{key}median_mean_relative_error"] for p in points]
                axes.plot([p[name] for p in points], values, "o-", ms=4, color=color, label=label)
        axes.set(yscale="log", xlabel=name, xscale="log" if name == "photons" else "linear")
    figure.axes[0].legend(fontsize=8)
    figure.supylabel("mean relative error (median)", fontsize=9)
    for axes in figure.axes[len(names) :]:
        axes.axis("off")
    return figure


def confusion_figure(found: SolidsEvaluation) -> Figure:
    """Confusion of bright frames (rows truth, shares of the row); beside it accuracy against confidence, all frames."""
    names, bright = found.names, found.photons >= BRIGHT_PHOTONS
    figure = new_figure(12.5, 6.2)
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    confusion = class_scores(found.truth[bright], found.poses.solid[bright], len(names)).confusion
    shares = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    left.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for i, j in np.argwhere(shares >= 0.005):
        color = "white" if shares[i, j] > 0.5 else "black"
        left.text(j, i, f"{shares[i, j]:.2f}", ha="center", va="center", fontsize=7, color=color)
    left.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize=8)
    left.set_yticks(range(len(names)), names, fontsize=8)
    left.set(xlabel="predicted", ylabel="true", title=f"{bright.sum()} frames of at least {BRIGHT_PHOTONS:.0e} photons")
    _reliability(right, found)
    return figure


def _reliability(axes: Axes, found: SolidsEvaluation) -> None:
    right = found.poses.solid == found.truth
    which = np.minimum((found.poses.confidence * 10).astype(int), 9)
    points = [
        (found.poses.confidence[which == b].mean(), right[which == b].mean(), (which == b).sum())
        for b in np.unique(which)
    ]
    confidence, accuracy, count = np.array(points).T
    axes.plot([0, 1], [0, 1], color="0.6", lw=1)
    axes.scatter(confidence, accuracy, 10 + 150 * count / count.max(), color="#1f77b4")
    title = f"calibration error {found.summary['calibration_error']:.3f}, all frames"
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="confidence", ylabel="accuracy", title=title)
