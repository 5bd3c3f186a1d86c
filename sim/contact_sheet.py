"""Contact sheets: the first frames of a recipe as one picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.recipes import make_recipe
from sim.recipes.base import BLANK
from sim.run import unit_of_frames
from sorter.core.errors import InputError


def tone(frame: NDArray, bad: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """A frame as brightness in [0, 1], logarithmic; bad pixels are NaN. A 3-D frame shows its middle slice."""
    image = np.asarray(frame, float)
    image = image[len(image) // 2] if image.ndim == 3 else image
    good = np.ones(image.shape, bool) if bad is None else ~bad
    positive = image[good & (image > 0)]
    floor = 1.0 if np.issubdtype(frame.dtype, np.integer) else max(np.percentile(positive, 5), positive.max() * 1e-7) \
        if positive.size else 1.0
    top = max(float(np.percentile(image[good], 99.9)), 3 * floor)
    shown = np.log1p(np.clip(image, 0, None) / floor) / np.log1p(top / floor)
    return np.where(good, np.clip(shown, 0, 1), np.nan)


def contact_sheet(
    recipe: str, to: str | Path, n_frames: int = 48, seed: int = 0, options: dict[str, Any] | None = None,
    *, columns: int = 8, device: str = "cpu"
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
    draw_sheet(frames[:n_frames], captions[:n_frames], Path(to), bad, columns, f"{recipe}, seed {seed}")


def _caption(truth: dict[str, NDArray], row: int) -> str:
    name = str(truth["class"][row])
    if "photons" not in truth or name == BLANK:
        return name
    return f"{name} {float(truth['photons'][row]):.0e}".replace("e+0", "e")


def draw_sheet(
    frames: list[NDArray], captions: list[str], to: Path, bad: NDArray[np.bool_] | None, columns: int, title: str
) -> None:
    """Write frames with captions as a PNG; bad pixels are grey."""
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = -(-len(frames) // columns)
    figure = Figure(figsize=(1.45 * columns, 1.62 * rows + 0.3), dpi=110)
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=9, y=0.998)
    colours = colormaps["inferno"].with_extremes(bad="#5a6470")
    for place, (frame, caption) in enumerate(zip(frames, captions, strict=True)):
        axes = figure.add_subplot(rows, columns, place + 1)
        axes.imshow(np.ma.masked_invalid(tone(frame, bad)), cmap=colours, vmin=0, vmax=1, interpolation="nearest")
        axes.set_title(caption, fontsize=6.5, pad=2)
        axes.set_axis_off()
    figure.subplots_adjust(0.005, 0.005, 0.995, 1 - 0.4 / (1.62 * rows + 0.3), 0.03, 0.16)
    try:
        figure.savefig(to)
    except OSError as error:
        raise InputError(f"{to}: cannot write the picture ({error.strerror or error})") from error
