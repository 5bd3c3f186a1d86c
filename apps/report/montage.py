"""Frames as pictures in the page, within a budget of bytes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apps.explorer.thumbnails import data_url, png
from apps.report.html import quantity, text
from apps.report.sampling import Sample
from apps.report.snapshot import Snapshot

#: All pictures of frames together stay below this in the page.
BUDGET_BYTES = 4_000_000
_PNG_OVERHEAD = 1_000


def side_px(n_pictures: int) -> int:
    """Longest side of each picture so that ``n_pictures`` of one byte per pixel, base64, stay within the budget."""
    pixels = BUDGET_BYTES * 3 / 4 / max(n_pictures, 1) - _PNG_OVERHEAD
    return int(np.clip(np.sqrt(max(pixels, 0)), 32, 128))


def describe(shot: Snapshot, ids: NDArray[np.uint64]) -> dict[int, str]:
    """What is known of each frame, in one line: where it was recorded, photons, strength, true class."""
    rows = shot.rows_of(ids)
    files, places = shot.store.source_file[rows], shot.store.source_index[rows]
    names = [source.path.rsplit("/", 1)[-1] for source in shot.store.info.sources]
    photons, strength, true = shot.photons_of(ids), shot.strength_of(ids), shot.class_of(ids)
    out = {}
    for i, frame_id in enumerate(map(int, ids)):
        known = [f"{names[files[i]] if files[i] < len(names) else 'frame'} [{places[i]}]"]
        if np.isfinite(photons[i]):
            known.append(f"{quantity(photons[i])} {shot.photon_unit}")
        if np.isfinite(strength[i]):
            known.append(f"strength {strength[i]:.2f}")
        if true is not None:
            known.append(f"truth: {true[i]}")
        out[frame_id] = " · ".join([*known, f"frame_id {frame_id}"])
    return out


@dataclass(frozen=True)
class Pictures:
    """Makes ``<img>`` elements of sampled frames and means, no longer than ``side`` pixels on a side.

    said: what appears when a frame is pointed at, by id.
    """

    sample: Sample
    bad_pixels: NDArray[np.bool_]
    side: int
    said: dict[int, str]

    def frame(self, frame_id: int, mark: str = "", kind: str = "") -> str:
        """One frame, logarithmic; ``mark`` is written in its corner, ``kind`` is its class in the style sheet."""
        title = text(self.said[frame_id])
        badge = f"<b>{text(mark)}</b>" if mark else ""
        picture = data_url(png(self.sample.frames[frame_id], self.bad_pixels, "log", self.side))
        return f'<span class="frame {kind}" title="{title}"><img src="{picture}" alt="{title}">{badge}</span>'

    def mean(self, group: int) -> str:
        """The mean frame of a group, logarithmic."""
        picture = data_url(png(self.sample.means[group], self.bad_pixels, "log", 128))
        words = f"mean of {self.sample.n_frames[group]} frames"
        return f'<span class="frame large" title="{words}"><img src="{picture}" alt="{words}"><b>mean</b></span>'


def grid(pictures: list[str]) -> str:
    """Pictures side by side, as many as fit."""
    return f'<div class="grid">{"".join(pictures)}</div>'
