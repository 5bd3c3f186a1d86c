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
BUDGET_BYTES = 5_000_000
_LONGEST_PX, _SHORTEST_PX = 128, 16


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
    """``<img>`` elements of sampled frames and means. urls, mean_urls: PNGs as data URLs, by frame id and by group; said: what
    appears when a frame is pointed at."""

    urls: dict[int, str]
    mean_urls: dict[int, str]
    n_averaged: dict[int, int]
    said: dict[int, str]

    def frame(self, frame_id: int, mark: str = "", kind: str = "") -> str:
        """One frame, logarithmic; ``mark`` is written in its corner, ``kind`` is its class in the style sheet."""
        title = text(self.said[frame_id])
        badge = f"<b>{text(mark)}</b>" if mark else ""
        return (
            f'<span class="frame {kind}" title="{title}"><img src="{self.urls[frame_id]}" alt="{title}">{badge}</span>'
        )

    def mean(self, group: int) -> str:
        """The mean frame of a group, logarithmic."""
        words = f"mean of {self.n_averaged[group]} frames"
        picture = f'<img src="{self.mean_urls[group]}" alt="{words}">'
        return f'<span class="frame large" title="{words}">{picture}<b>mean</b></span>'


def make_pictures(
    sample: Sample, bad_pixels: NDArray[np.bool_], said: dict[int, str], budget_bytes: int = BUDGET_BYTES
) -> Pictures:
    """Pictures of all sampled frames and means, as large as the budget allows when each is used up to twice."""
    side = _LONGEST_PX
    while True:
        urls = {key: data_url(png(frame, bad_pixels, "log", side)) for key, frame in sample.frames.items()}
        means = {key: data_url(png(mean, bad_pixels, "log", side)) for key, mean in sample.means.items()}
        size = sum(map(len, urls.values())) + 2 * sum(map(len, means.values()))
        if size <= budget_bytes or side <= _SHORTEST_PX:
            return Pictures(urls, means, sample.n_frames, said)
        side = side * 3 // 4


def grid(pictures: list[str]) -> str:
    """Pictures side by side, as many as fit."""
    return f'<div class="grid">{"".join(pictures)}</div>'
