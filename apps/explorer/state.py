"""What one page of the explorer shows and does; no bokeh in it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from apps.explorer.average import Average
from apps.explorer.labels import LabelView
from apps.explorer.points import PointIndex
from apps.explorer.run import NOT_CLUSTERED, Library, Run
from apps.explorer.selection import NOTHING, ORDERS, Selection, in_order, nearest_in_embedding
from sorter.core.clustering import NOISE
from sorter.core.errors import InputError
from sorter.core.labels import LabelEvent
from sorter.curate.label_book import LabelBook

MODES = ("replace", "add", "remove")
PAGE_SIZES = (24, 60, 120, 240)


#: Frames that "similar" shows.
N_SIMILAR = 60


class Explorer:
    """One page: a run, a selection of its frames, a page of thumbnails, and the label book that all pages share. ``current``
    is the label that was given or pointed at last.

    Selections cover all frames of the run, whatever number of points is drawn. Raises MissingResultError without a layout.
    """

    def __init__(self, library: Library, book: LabelBook) -> None:
        self.library = library
        self.book = book
        self.order = "random"
        self.page_size = PAGE_SIZES[1]
        self.show()

    # -- what is looked at -----------------------------------------------------------------------------------------------
    def show(self, layout: str | None = None, clustering: str | None = None) -> None:
        """Look at another layout or clustering (None: the default); the selection is kept frame by frame."""
        before: Run | None = getattr(self, "run", None)
        self.run = self.library.load(layout, clustering)
        self.stamp = self.library.stamp()
        self.points = PointIndex(self.run.layout.xy)
        self.labels = LabelView(self.book, self.run.index)
        kept = NOTHING
        if before is not None and len(self.selection):
            rows = self.run.index.rows(before.frame_id[self.selection.rows])
            reason = f"{self.selection.reason}, then kept in another view"
            kept = Selection(np.sort(rows[rows >= 0]), self.selection.title, reason, "kept")
        self._set(kept)

    def results_changed(self) -> bool:
        """Whether a layout, a clustering or the hits were made anew since this page read them."""
        return self.library.stamp() != self.stamp

    # -- selecting -------------------------------------------------------------------------------------------------------
    def clear(self) -> None:
        """Select nothing."""
        self._set(NOTHING)

    def select_cluster(self, cluster: int) -> None:
        """Select a cluster, the noise (-1), or what the clustering has not seen and is a hit (-2)."""
        if self.run.clustering is None or not NOT_CLUSTERED <= cluster < self.run.n_clusters:
            raise InputError(f"cluster {cluster}: there is none; the page may be older than the clusters: reload it")
        rows = np.flatnonzero((self.run.cluster == cluster) & (self.run.is_hit if cluster == NOT_CLUSTERED else True))
        title = {NOISE: "Noise", NOT_CLUSTERED: "Not clustered"}.get(cluster, f"Cluster {cluster}")
        reason = f"{title.lower()} of {self.run.clustering.name}"
        self._set(Selection(rows, title, reason, "cluster", cluster))

    def select_blanks(self) -> None:
        """Select the frames that are no hit."""
        self._set(Selection(np.flatnonzero(~self.run.is_hit), "Blanks", "frames that are no hit", "blanks"))

    def select_label(self, label: str) -> None:
        """Select the frames that carry a label. Raises InputError where none does."""
        rows = self.labels.rows(label)
        if not len(rows):
            raise InputError(f"label '{label}': no frame of this run carries it")
        self._set(Selection(rows, f"Label {label}", f"label {label}", "label", label))

    def select_unlabelled(self) -> None:
        """Select the hits without a label."""
        rows = np.flatnonzero(self.run.is_hit & (self.labels.n_labels == 0))
        self._set(Selection(rows, "Unlabelled hits", "hits without a label", "unlabelled"))

    def select_region(self, polygon: NDArray[np.floating], mode: str = "replace") -> None:
        """Select what lies in a polygon (V, 2) drawn in the layout, or add it to the selection, or take it out."""
        inside = self.points.in_polygon(polygon)
        rows = np.sort(self.run.layout_rows[inside])
        self._combine(rows[rows >= 0], mode)

    def _combine(self, rows: NDArray[np.int64], mode: str) -> None:
        drawn = f"drawn in the 2-D layout {self.run.layout.name}"
        if mode == "replace" or not len(self.selection):
            rows = rows if mode != "remove" else rows[:0]
            self._set(Selection(rows, "Lasso", f"lasso {drawn}", "lasso"))
            return
        join = {"add": np.union1d, "remove": np.setdiff1d}[mode]
        sign = {"add": "+", "remove": "-"}[mode]
        old = self.selection
        title = old.title if old.title.endswith(f"{sign} lasso") else f"{old.title} {sign} lasso"
        self._set(Selection(join(old.rows, rows), title, f"{old.reason} {sign} lasso {drawn}", "lasso"))

    def select_point(self, x: float, y: float, reach: float) -> bool:
        """Select the cluster (or noise) of the point nearest to (x, y) and open that frame; False where none is near."""
        row = self.row_at(x, y, reach)
        if row is None:
            return False
        if self.run.clustering is None:
            rows = np.array([row])
            self._set(Selection(rows, "One frame", f"frame picked in the layout {self.run.layout.name}", "frame"))
        else:
            self.select_cluster(int(self.run.cluster[row]))
        self.focus = row
        return True

    def row_at(self, x: float, y: float, reach: float) -> int | None:
        """Row in the store of the point nearest to (x, y) in the layout, within ``reach``."""
        point = self.points.nearest(x, y, reach)
        return None if point is None or self.run.layout_rows[point] < 0 else int(self.run.layout_rows[point])

    def select_similar(self) -> None:
        """Select the frames nearest to the open one in the embedding. Raises InputError where it has no vector there."""
        row = self._open_row()
        rows = nearest_in_embedding(self.run, row, N_SIMILAR)
        if not len(rows):
            raise InputError(f"frame {self.run.frame_id[row]}: has no place in the embedding; choose a hit")
        reason = f"nearest in the embedding to frame {self.run.frame_id[row]}"
        self._set(Selection(rows, "Similar frames", reason, "similar"))
        self.ordered = rows[np.argsort(np.linalg.norm(self.run.vectors[rows] - self.run.vectors[row], axis=1))]
        self.focus = row

    def select_open_frame(self) -> None:
        """Select the open frame alone."""
        row = self._open_row()
        self._set(Selection(np.array([row]), "One frame", "one frame", "frame"))
        self.focus = row

    def drop_open_frame(self) -> None:
        """Take the open frame out of the selection and open the next one."""
        row, old, order = self._open_row(), self.selection, self.ordered
        if row not in old.rows:
            raise InputError("the open frame is not in the selection")
        place, page = int(np.flatnonzero(order == row)[0]), self.page
        reason = old.reason if old.reason.endswith("picked out") else f"{old.reason}, single frames picked out"
        self._set(Selection(old.rows[old.rows != row], old.title, reason, "picked"))
        self.ordered = np.delete(order, place)
        self.go_to_page(page)
        self.focus = int(self.ordered[min(place, len(self.ordered) - 1)]) if len(self.ordered) else None

    def _open_row(self) -> int:
        if self.focus is None:
            raise InputError("no frame is open: click a thumbnail first")
        return self.focus

    def next_unlabelled_cluster(self) -> bool:
        """Select the largest cluster of which less than half is labelled; False where there is none."""
        members = np.bincount(self.run.cluster[self.run.cluster >= 0], minlength=self.run.n_clusters)
        clustered = (self.run.cluster >= 0) & (self.labels.n_labels > 0)
        labelled = np.bincount(self.run.cluster[clustered], minlength=self.run.n_clusters)
        left = [c for c in range(self.run.n_clusters) if 2 * labelled[c] < members[c]]
        if left:
            self.select_cluster(left[0])
        return bool(left)

    def _set(self, selection: Selection) -> None:
        self.selection = selection
        self.current: str | None = str(selection.key) if selection.kind == "label" else self._most_frequent_label()
        self.focus: int | None = None
        self.shuffle = 0
        self.page = 0
        self._sort()

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
        row = int(self.run.index.rows(np.array([frame_id], np.uint64))[0])
        if row < 0:
            raise InputError(f"frame {frame_id}: not in this work folder")
        self.focus = row

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
    def give_label(self, label: str) -> LabelEvent | None:
        """Label the selection; None where all of it has the label already. Raises InputError where nothing is selected."""
        if not len(self.selection):
            raise InputError("nothing is selected: click a cluster or draw a lasso, then give the label")
        event = self.book.add(self.run.frame_id[self.selection.rows], label, self.selection.reason)
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
