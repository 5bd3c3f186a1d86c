"""What the tabs under the thumbnails work on: which is open, the long work that runs, what was pinned; no bokeh in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from apps.explorer.jobs import Job
from apps.explorer.selection import NOTHING, Selection
from sorter.online.status import GONE_S, seconds_old

TABS = {"frame": "Frame", "compare": "Compare", "label": "Label", "shape": "Clusters", "out": "Out", "live": "Live"}


@dataclass
class Desk:
    """tab: the open one. job, on_done: long work and what to do with its result. pinned: a selection kept to be compared.
    picture: the frame or mean that is shown now (ny, nx). pinned_mean: mean of the pinned one. said: lines of the Out tab.
    cut_step, min_size: the slider of the cut.
    recluster: what was asked of the last re-clustering. live: the last live status. paused: the page does not follow it.
    next_look: no new frames are taken in before (monotonic)."""

    tab: str = "frame"
    job: Job | None = None
    on_done: Any = None
    pinned: Selection = NOTHING
    pinned_mean: NDArray | None = None
    picture: NDArray | None = None
    said: list[str] = field(default_factory=list)
    cut_step: int = 50
    min_size: int = 15
    recluster: dict[str, Any] = field(default_factory=lambda: {"size": 15, "samples": 10, "selection": "eom"})
    live: dict[str, Any] | None = None
    paused: bool = False
    next_look: float = 0.0

    @property
    def watched(self) -> bool:
        """Whether somebody sorts into the work folder now, and not only says so."""
        return self.live is not None and self.live.get("state") != "stopped" and seconds_old(self.live) < GONE_S
