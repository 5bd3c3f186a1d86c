"""What one page of the explorer shows and does; no bokeh in it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from apps.explorer.average import Average
from apps.explorer.labels import LabelView
from apps.explorer.run import Library, Run
from apps.explorer.selecting import Selecting
from apps.explorer.selection import NOTHING, ORDERS, Selection, in_order
from sorter.core.errors import InputError
from sorter.core.labels import LabelEvent
from sorter.curate.label_book import LabelBook

MODES = ("replace", "add", "remove")
PAGE_SIZES = (24, 60, 120, 240)


class Explorer(Selecting):
    """One page: a run, a selection of its frames, a page of thumbnails, and the label book that all pages share. ``current``
    is the label that was given or pointed at last.

    Selections cover all frames of the run, whatever number of points is drawn. Raises MissingResultError without a layout.
    """

    def __init__(self, library: Library, book: LabelBook) -> None:
        self.library = library
        self.book = book
        self.order = "random"
        self.page_size = PAGE_SIZES[1]
        self.widened = False
        self.show()

    # -- what is looked at -----------------------------------------------------------------------------------------------
    def show(self, layout: str | None = None, clustering: str | None = None) -> None:
        """Look at another layout or clustering (None: the default); the selection is kept frame by frame. The same ones again:
        the run has grown, and all that is before the person stays."""
        before: Run | None = getattr(self, "run", None)
        self.run = self.library.load(layout, clustering)
        self.stamp = self.library.stamp()
        self.points = self.run.points
        self.labels = LabelView(self.book, self.run.index)
        kept = NOTHING
        if before is not None and _names(before) == _names(self.run):
            return self._carry_on(before)
        if before is not None and len(self.selection):
            rows = self.run.index.rows(before.frame_id[self.selection.rows])
            reason = f"{self.selection.reason}, then kept in another view"
            kept = Selection(np.sort(rows[rows >= 0]), self.selection.title, reason, "kept")
        self._set(kept)

    def _carry_on(self, before: Run) -> None:
        def moved(rows: NDArray[np.int64]) -> NDArray[np.int64]:
            found = self.run.index.rows(before.frame_id[rows])
            return found[found >= 0]

        self.selection = replace(self.selection, rows=np.sort(moved(self.selection.rows)))
        self.ordered, self.picked = moved(self.ordered), moved(self.picked)
        open_row = moved(np.array([] if self.focus is None else [self.focus], np.int64))
        self.focus = int(open_row[0]) if len(open_row) else None
        self.go_to_page(self.page)

    def results_changed(self) -> bool:
        """Whether a layout, a clustering or the hits were made anew since this page read them."""
        return self.library.stamp() != self.stamp

    def _set(self, selection: Selection) -> None:
        self.selection = selection
        self.current: str | None = str(selection.key) if selection.kind == "label" else self._most_frequent_label()
        self.focus: int | None = None
        self.picked = np.empty(0, np.int64)
        self._last_picked: int | None = None
        self.shuffle = 0
        self.page = 0
        self._sort()

    # -- picking single frames -------------------------------------------------------------------------------------------
    def pick(self, frame_id: int, as_range: bool = False) -> None:
        """Pick a frame of the selection, or let it go; ``as_range``: pick all from the one picked last to this one."""
        row = self.row_of(frame_id)
        shown = self.ordered if len(self.selection) else self.page_rows()
        place = np.flatnonzero(shown == row)
        if not len(place):
            raise InputError(f"frame {frame_id}: not in the selection")
        last = np.flatnonzero(shown == self._last_picked) if as_range and self._last_picked is not None else []
        if len(last):
            first, end = sorted((int(place[0]), int(last[0])))
            self.picked = np.union1d(self.picked, shown[first : end + 1])
        else:
            self.picked = np.setxor1d(self.picked, [row])
        self._last_picked = row

    def exclude(self, frame_id: int) -> None:
        """Take one frame out of the selection."""
        kept, self.focus = self.focus, self.row_of(frame_id)
        self.drop_open_frame()
        self.focus = kept if kept is not None and kept in self.selection.rows else None

    def row_of(self, frame_id: int) -> int:
        """Row of a frame. Raises InputError for a frame that is not there."""
        row = int(self.run.index.rows(np.array([frame_id], np.uint64))[0])
        if row < 0:
            raise InputError(f"frame {frame_id}: not in this work folder")
        return row

    # -- the page of thumbnails ------------------------------------------------------------------------------------------
    def set_order(self, order: str) -> None:
        """Show the selection in another of ORDERS; "random" again shuffles anew."""
        if order not in ORDERS:
            raise InputError(f"order '{order}': known are {', '.join(ORDERS)}")
        self.shuffle += order == self.order == "random"
        self.order, self.page = order, 0
        self._sort()

    def _most_frequent_label(self) -> str | None:
        return next(iter(self.labels.within(self.selection.rows)), None)

    def _sort(self) -> None:
        self.ordered = in_order(self.run, self.selection, self.order, self.shuffle)

    @property
    def n_pages(self) -> int:
        """Pages of thumbnails of the selection, at least one."""
        return max(1, -(-len(self.selection) // self.page_size))

    def go_to_page(self, page: int) -> None:
        """Show page ``page`` (from 0); the first or last one where it lies beyond."""
        self.page = min(max(page, 0), self.n_pages - 1)

    def set_page_size(self, size: int) -> None:
        """Show ``size`` thumbnails at once, keeping the first one shown on the page."""
        if size not in PAGE_SIZES:
            raise InputError(f"page of {size} frames: choose one of {', '.join(map(str, PAGE_SIZES))}")
        first = self.page * self.page_size
        self.page_size = size
        self.go_to_page(first // size)

    def page_rows(self) -> NDArray[np.int64]:
        """Rows in the store of the frames on this page, in order; the medoids of the clusters where nothing is selected."""
        if not len(self.selection):
            return self.run.medoid_rows()[: self.page_size]
        return self.ordered[self.page * self.page_size : (self.page + 1) * self.page_size]

    def open_frame(self, frame_id: int) -> None:
        """Show one frame large. Raises InputError for a frame that is not there."""
        self.focus = self.row_of(frame_id)

    def step_focus(self, step: int) -> None:
        """Open the next (1) or previous (-1) frame of the selection, turning the page where needed."""
        if not len(self.ordered):
            return
        at = np.flatnonzero(self.ordered == self.focus) if self.focus is not None else []
        place = min(max(int(at[0]) + step, 0), len(self.ordered) - 1) if len(at) else self.page * self.page_size
        self.focus = int(self.ordered[place])
        self.go_to_page(place // self.page_size)

    def mean_of(self) -> NDArray[np.int64]:
        """Rows of the frames whose mean is shown: the selection, or all hits where nothing is selected."""
        return self.selection.rows if len(self.selection) else np.flatnonzero(self.run.is_hit)

    def average(self) -> Average:
        """The average of those frames, with nothing read yet."""
        return Average(self.run.store, self.run.frame_id[self.mean_of()], self.selection.reason)

    # -- labels ----------------------------------------------------------------------------------------------------------
    def give_label(
        self, label: str, rows: NDArray[np.int64] | None = None, reason: str | None = None
    ) -> LabelEvent | None:
        """Label the selection, or the frames ``rows``; None where this author gave all of them the label already.

        Raises InputError where nothing is meant.
        """
        rows = self.selection.rows if rows is None else rows
        if not len(rows):
            raise InputError("nothing is selected: click a cluster or draw a lasso, then give the label")
        event = self.book.add(self.run.frame_id[rows], label, reason or self.selection.reason)
        self.current = label.strip()
        self.refresh_labels()
        return event

    def remove_label(self, label: str) -> LabelEvent | None:
        """Take a label away from the selection; None where none of it had it."""
        event = self.book.remove(self.run.frame_id[self.selection.rows], label, self.selection.reason)
        self.refresh_labels()
        return event

    def undo(self) -> LabelEvent:
        """Take back the last change of the label book; returns that change. Raises InputError where there is none."""
        return self._meant(self.book.undo())

    def redo(self) -> LabelEvent:
        """Bring back what was undone last; returns that change. Raises InputError where there is nothing."""
        return self._meant(self.book.redo())

    def _meant(self, step: LabelEvent) -> LabelEvent:
        self.refresh_labels()
        return self.book.events(since=(step.target or 1) - 1)[0]

    def refresh_labels(self) -> bool:
        """Read what others wrote into the label book; True where there was something."""
        if self.book.revision == self.labels.revision:
            return False
        self.labels = LabelView(self.book, self.run.index, self.labels)
        if self.selection.kind == "label":
            rows = self.labels.rows(str(self.selection.key))
            self.selection = replace(self.selection, rows=rows)
            self.page = min(self.page, self.n_pages - 1)
            self._sort()
        return True


def _names(run: Run) -> tuple[str, str | None]:
    return run.layout.name, run.clustering.name if run.clustering else None
