"""What the networks learned: training curves, and what each latent of a FactorVAE means."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from apps.explorer.colors import BASE
from apps.explorer.thumbnails import data_url, png
from apps.report.charts import curves_chart
from apps.report.html import count, plate, section, text
from apps.report.snapshot import Snapshot
from sorter.core.errors import ShotsortError

log = logging.getLogger(__name__)

#: Latents with a smaller spread over the run than this fell back to the prior and are not shown.
LEAST_SPREAD = 0.1
MAX_CURVE_POINTS = 400
_PICTURE_PX = 96


def training_section(shot: Snapshot) -> str:
    """One picture per model: its loss, and the parts of it, over training steps."""
    figures = []
    for name in shot.work.model_names():
        rows = read_curves(shot.work.model_path(name) / "curves.csv")
        figures += [_curves(name, rows)] if rows else []
    return section("training", "Training", f'<div class="trio">{"".join(figures)}</div>') if figures else ""


def read_curves(path: Path) -> list[dict[str, float]]:
    """Rows of a ``curves.csv``; none where there is no such file or it holds something else."""
    try:
        with open(path, newline="") as file:
            return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        log.warning("%s: cannot be read as training curves (%s)", path, error)
        return []


def _curves(model: str, rows: list[dict[str, float]]) -> str:
    rows = [rows[i] for i in np.unique(np.linspace(0, len(rows) - 1, MAX_CURVE_POINTS).round().astype(int))]
    steps = np.array([row["step"] for row in rows]) if "step" in rows[0] else np.arange(len(rows), dtype=float)
    curves = {
        name.replace("_", " "): (steps, np.array([row[name] for row in rows])) for name in rows[0] if name != "step"
    }
    caption = f"<i>{text(model)}</i>: {count(int(steps[-1]))} steps. Losses in nats per frame, means over an epoch."
    if set(curves) == {"loss"}:
        caption = f"<i>{text(model)}</i>: {count(int(steps[-1]))} steps. NT-Xent loss (nats), mean over an epoch."
    return plate(curves_chart(model, "training step", curves, list(BASE)), caption)


def latents_section(shot: Snapshot) -> str:
    """Traversals: one row per latent in use, the most active first."""
    if "factorvae" not in shot.work.model_names() or "factorvae" not in shot.work.result_names("embeddings"):
        return ""
    from sorter.models.polar_model import load_model
    from sorter.models.traversal import latent_traversals, traversal_pictures

    try:
        model = load_model(shot.work.model_path("factorvae"))
        embedding = shot.work.read_embedding("factorvae")
        vectors, photons = embedding.vectors, shot.photons_of(embedding.frame_id)
        if len(vectors) < 2:
            return ""
        traversal = latent_traversals(model, vectors)
        pictures = traversal_pictures(traversal, model, shot.store.geometry)
    except ShotsortError as error:
        return section("latents", "What the FactorVAE learned", f"<p>{text(error)}</p>")
    spread = vectors.std(axis=0)
    used = [k for k, latent in enumerate(traversal.latents) if spread[latent] >= LEAST_SPREAD]
    rows = "".join(
        _traversal_row(pictures[k], int(traversal.latents[k]), vectors[:, traversal.latents[k]], photons) for k in used
    )
    aligned = ", turned into one orientation" if model.card.align else ""
    lead = (
        "Each row moves one latent from -2 to +2 standard deviations of the run while the others stay at their median: what "
        f"changes along the row is what that latent means. Decoded pictures, logarithmic{aligned}. {len(used)} of "
        f"{vectors.shape[1]} latents are shown; one whose spread is near 0 fell back to its prior and says nothing."
    )
    return section("latents", "What the FactorVAE learned", f'<div class="traversals">{rows}</div>', lead)


def _traversal_row(pictures: NDArray, latent: int, values: NDArray, photons: NDArray) -> str:
    low, high = np.nanmin(pictures), np.nanmax(pictures)
    shown = [_picture((picture - low) / max(high - low, 1e-9)) for picture in pictures]
    follows = _follows(values, photons)
    words = f"latent {latent}<small>spread {values.std():.2f}{f'<br>{follows}' if follows else ''}</small>"
    return f'<div class="traversal"><span>{words}</span>{"".join(shown)}</div>'


def _picture(picture: NDArray) -> str:
    image = data_url(png(np.nan_to_num(picture), ~np.isfinite(picture), "linear", _PICTURE_PX))
    return f'<img src="{image}" alt="decoded picture">'


def _follows(values: NDArray, photons: NDArray) -> str:
    """How a latent goes with brightness: the rank correlation, where it is worth telling."""
    from scipy.stats import spearmanr

    known = np.isfinite(photons)
    if known.sum() < 20 or np.ptp(photons[known]) == 0 or np.ptp(values[known]) == 0:
        return ""
    rho = float(spearmanr(values[known], photons[known]).statistic)
    return f"brightness: ρ {rho:+.2f}" if abs(rho) >= 0.3 else ""
