"""Contact sheets: the first frames of a recipe as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.recipes import make_recipe
from sim.recipes.base import BLANK
from sim.run import unit_of_frames
from sorter.core.errors import InputError


def tone(frame: NDArray, bad: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """A frame as brightness in [0, 1], logarithmic; bad pixels and NaN are NaN. A 3-D frame shows its middle slice."""
    image = np.asarray(frame, float)
    image = image[len(image) // 2] if image.ndim == 3 else image
    if not np.issubdtype(frame.dtype, np.integer) and np.isfinite(image).any():
        image = image - min(float(np.nanmin(image)), 0.0)  # standardised patterns
    good = np.isfinite(image) if bad is None else np.isfinite(image) & ~bad
    positive = image[good & (image > 0)]
    counted = bool((positive == np.rint(positive)).all())
    floor = 1.0 if counted or not positive.size else max(np.percentile(positive, 5), positive.max() * 1e-7)
    top = max(float(np.percentile(image[good], 99.9)), 3 * floor)
    shown = np.log1p(np.clip(np.where(good, image, 0), 0, None) / floor) / np.log1p(top / floor)
    return np.where(good, np.clip(shown, 0, 1), np.nan)


def contact_sheet(
    recipe: str,
    to: str | Path,
    n_frames: int = 48,
    seed: int = 0,
    options: dict[str, Any] | None = None,
    *,
    columns: int = 8,
    device: str = "cpu",
) -> None:
    """Write a PNG of the first ``n_frames`` hits of a recipe (blanks are left out but for a few), with classes and photons.

    Raises InputError for an unknown recipe or option, or a place that cannot be written.
    """
    made = make_recipe(recipe, options, seed, device)
    if n_frames < 1:
        raise InputError(f"frames = {n_frames}: need at least 1")
    frames, captions, blanks = [], [], 0
    for number in range(1 + 4 * n_frames // made.BLOCK_FRAMES):
        first = number * made.BLOCK_FRAMES
        block = unit_of_frames(made, first, made.BLOCK_FRAMES, first + made.BLOCK_FRAMES)
        for row, frame in enumerate(block.frames):
            blanks += block.truth["class"][row] == BLANK
            if block.truth["class"][row] == BLANK and blanks > n_frames // 24 + 1:
                continue
            frames.append(frame)
            captions.append(_caption(block.truth, row))
        if len(frames) >= n_frames:
            break
    mask = made.recording.cxi_mask
    bad = None if mask is None else mask != 0
    draw_sheet(
        frames[:n_frames], captions[:n_frames], Path(to), bad, columns, f"{recipe}, seed {seed}; class and photons"
    )


def gallery(recipes: Sequence[str], to: str | Path, seed: int = 0, *, columns: int = 8) -> None:
    """Write a PNG with one row per recipe: bright frames of as many of its classes as there are columns.

    Raises InputError for an unknown recipe or a place that cannot be written.
    """
    frames: list[NDArray] = []
    captions: list[str] = []
    for name in recipes:
        made = make_recipe(name, None, seed)
        block = made.block(0)
        mask = made.recording.cxi_mask
        for row in _varied_rows(block.truth, columns):
            shown = np.asarray(block.frames[row], float)
            frames.append(np.where(mask != 0, np.nan, shown) if mask is not None else shown)
            captions.append(str(block.truth["class"][row]).replace("_", " "))
    draw_sheet(frames, captions, Path(to), None, columns, "", recipes)


def _varied_rows(truth: dict[str, NDArray], count: int) -> list[int]:
    """``count`` rows of hits, classes in turn, the frames nearest to 10^5 photons first; evenly spread over the classes where
    there are more than that, and over the brightness where there is one class."""
    rows = np.flatnonzero(truth["hit"])
    photons = truth["photons"][rows] if "photons" in truth else np.full(len(rows), 1e5)
    rows = rows[np.argsort(np.abs(np.log10(np.maximum(photons, 1)) - 5), kind="stable")]
    seen: dict[str, int] = {}
    turn = []
    for row in rows:
        name = str(truth["class"][row])
        turn.append(seen.get(name, 0))
        seen[name] = turn[-1] + 1
    ordered = rows[np.argsort(turn, kind="stable")]
    if len(seen) >= count:
        ordered = np.sort(ordered[: len(seen)]) if "photons" not in truth else ordered[: len(seen)]
    if len(seen) >= count or len(seen) == 1:
        ordered = ordered[np.linspace(0, len(ordered) - 1, min(count, len(ordered))).astype(int)]
    return ordered[:count].tolist()


def _caption(truth: dict[str, NDArray], row: int) -> str:
    name = str(truth["class"][row])
    if "photons" not in truth or name == BLANK:
        return name
    return f"{name} {float(truth['photons'][row]):.0e}".replace("e+0", "e")


def draw_sheet(
    frames: list[NDArray],
    captions: list[str],
    to: Path,
    bad: NDArray[np.bool_] | None,
    columns: int,
    title: str,
    row_names: Sequence[str] = (),
) -> None:
    """Write frames with captions as a PNG; bad pixels are grey. row_names: written beside the rows."""
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = -(-len(frames) // columns)
    figure = Figure(figsize=(1.45 * columns, 1.62 * rows + 0.3), dpi=110)
    FigureCanvasAgg(figure)
    if title:
        figure.suptitle(title, fontsize=9, y=0.998)
    colours = colormaps["inferno"].with_extremes(bad="#5a6470")
    for place, (frame, caption) in enumerate(zip(frames, captions, strict=True)):
        axes = figure.add_subplot(rows, columns, place + 1)
        axes.imshow(np.ma.masked_invalid(tone(frame, bad)), cmap=colours, vmin=0, vmax=1, interpolation="nearest")
        axes.set_title(caption, fontsize=8.5, pad=2)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        if row_names and place % columns == 0:
            axes.set_ylabel(row_names[place // columns], fontsize=11, fontweight="bold")
    figure.subplots_adjust(0.022 if row_names else 0.005, 0.005, 0.995, 1 - 0.4 / (1.62 * rows + 0.3), 0.03, 0.16)
    try:
        figure.savefig(to)
    except OSError as error:
        raise InputError(f"{to}: cannot write the picture ({error.strerror or error})") from error
