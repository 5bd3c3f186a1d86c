"""Pictures and tables of an evaluation, after figure 4 of Chan et al. 2020."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from recon.phase.alignment import align
from recon.phase.card import model_card
from recon.phase.evaluate import COLUMNS, METHODS, PHASED_RAD, STRAIN, Evaluation, PhaseEvaluateConfig, Unseen
from recon.phase.figures import PHASE_MAP, bounding_box, new_figure
from recon.phase.iterate import iterate
from recon.phase.predict import Predictor
from recon.phase.problem import Problem
from recon.phase.refine import refine, scaled
from recon.training.weights import write_card
from sorter.core.errors import InputError
from sorter.core.seeds import child_seed

_COLOURS = {"network": "#0072b2", "refined": "#d55e00", "unaided": "#999999", "iterative": "#009e73"}
_NAMES = {
    "network": "network alone", "refined": "network and refinement", "unaided": "refinement from random phases",
    "iterative": "620 iterations of ER/HIO",
}  # fmt: skip


def write_evaluation(
    folder: Path, found: Evaluation, predictor: Predictor, config: PhaseEvaluateConfig, seed: int
) -> None:
    """evaluation.json, crystals.csv, card.md, errors.png and examples.png. Raises InputError where ``folder`` cannot be
    written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "evaluation.json").write_text(json.dumps(found.summary, indent=1) + "\n")
        with (folder / "crystals.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["crystal", *STRAIN, "method", *COLUMNS])
            for name in METHODS:
                for i, (strain, row) in enumerate(zip(found.strain, found.figures[name], strict=True)):
                    writer.writerow([i, *(f"{v:.4g}" for v in strain), name, *(f"{v:.6g}" for v in row)])
        write_card(folder / "card.md", *model_card(predictor.meta, predictor.path.name, found.summary))
        errors_figure(found).savefig(folder / "errors.png")
        examples_figure(predictor, config, seed, min(3, config.crystals)).savefig(folder / "examples.png")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); choose another folder") from error


def errors_figure(found: Evaluation) -> Figure:
    """Distributions of the network's errors, errors of all methods crystal by crystal, and errors against photons."""
    figure = new_figure(11.5, 6.2)
    axes = figure.subplots(2, 3)
    for ax, column, label in ((axes[0, 0], 0, "shape error"), (axes[0, 1], 1, "phase error / rad")):
        edges = np.linspace(0, np.percentile(found.distribution[:, column], 99), 40)
        for part, name in ((found.distribution[::2], "strained"), (found.distribution[1::2], "unstrained")):
            ax.hist(part[:, column], edges, density=True, histtype="step", label=name)
        ax.set(xlabel=f"{label}, network alone", ylabel="density")
        ax.legend(fontsize=8)
    ax = axes[0, 2]
    doses = list(found.by_photons)
    for column, name in ((0, "shape error"), (1, "phase error / rad")):
        ax.semilogx(doses, [found.by_photons[d][column] for d in doses], "o-", label=name)
    ax.set(xlabel="photons in a pattern", ylabel="median, network alone", ylim=(0, None))
    ax.legend(fontsize=8)
    for ax, column, label in (
        (axes[1, 0], 0, "phase error / rad"),
        (axes[1, 1], 2, "chi^2"),
        (axes[1, 2], 4, "seconds"),
    ):
        for name in METHODS:
            values = np.sort(found.figures[name][:, column])
            ax.step(values, np.arange(1, len(values) + 1) / len(values), color=_COLOURS[name], label=_NAMES[name])
        ax.set(xlabel=label, ylabel="share of crystals", xscale="log", ylim=(0, 1.02))
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_formatter(NullFormatter())
    axes[1, 0].axvline(PHASED_RAD, color="0.6", lw=0.8, ls="--")
    axes[1, 0].legend(fontsize=7)
    return figure


def examples_figure(predictor: Predictor, config: PhaseEvaluateConfig, seed: int, count: int) -> Figure:
    """The first crystals of the test: pattern, truth, network, refined, iterated; modulus above, phase below, middle slice."""
    figure = new_figure(10.5, 4.0 * count)
    axes = figure.subplots(2 * count, 5, squeeze=False)
    for i in range(count):
        unseen = Unseen.drawn(config.data, seed, i, config.photons)
        counts, truth = unseen.counts, unseen.truth
        problem = Problem.of(counts, seed=child_seed(seed, i), device=predictor.device)
        start = predictor.objects(counts[None])
        answers = [
            scaled(problem, start)[0], refine(problem, start, config.refined).objects[0],
            iterate(problem, config.iterative, child_seed(seed, i)).objects[0],
        ]  # fmt: skip
        box = bounding_box((truth.abs() > 0.5).numpy())
        middle = counts.shape[0] // 2
        axes[2 * i, 0].imshow(torch.log10(counts[middle] + 1), cmap="inferno", origin="lower")
        axes[2 * i + 1, 0].set_visible(False)
        names = ("pattern", "truth", *(_NAMES[n] for n in ("network", "refined", "iterative")))
        for column, obj in enumerate([truth, *(align(a.cpu(), truth) for a in answers)], 1):
            part = obj[box].numpy()
            part = part[part.shape[0] // 2]
            solid = np.abs(part) > 0.3 * np.abs(part).max()
            axes[2 * i, column].imshow(np.abs(part), cmap="magma", origin="lower", vmin=0, vmax=1.3)
            shown = axes[2 * i + 1, column].imshow(
                np.where(solid, np.angle(part), np.nan), cmap=PHASE_MAP, origin="lower", vmin=-2, vmax=2
            )
        for column, name in enumerate(names):
            axes[2 * i, column].set_title(name if i == 0 else "", fontsize=8)
    for ax in axes.flat:
        ax.set_xticks([])
        ax.set_yticks([])
    figure.colorbar(shown, ax=axes, label="phase / rad", shrink=0.4)
    return figure
