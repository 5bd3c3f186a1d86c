"""The ways in which a page's frames are selected; no bokeh in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apps.explorer.labels import LabelView
from apps.explorer.points import PointIndex
from apps.explorer.run import NOT_CLUSTERED, Run
from apps.explorer.selection import NOTHING, Selection, nearest_in_embedding
from sorter.core.clustering import NOISE
from sorter.core.errors import InputError

#: Frames that "similar" shows.
N_SIMILAR = 60


class Selecting:
    """What can be selected; `Explorer`, which inherits it, has the run and keeps the selection."""

    run: Run
    points: PointIndex
    labels: LabelView
    selection: Selection
    ordered: NDArray[np.int64]
    focus: int | None
    page: int
    widened: bool

    def _set(self, selection: Selection) -> None:
        raise NotImplementedError

    def go_to_page(self, page: int) -> None:
        raise NotImplementedError

    def clear(self) -> None:
        """Select nothing."""
        self._set(NOTHING)

    def select_rows(self, rows: NDArray[np.int64], title: str, reason: str, kind: str) -> None:
        """Select the frames ``rows`` of the store, and say why."""
        self._set(Selection(np.sort(rows), title, reason, kind))

    def toggle_cluster(self, cluster: int) -> None:
        """Add a cluster to the selected ones, or take it out of them."""
        old = self.selection
        have = set(old.key) if old.kind == "clusters" else {old.key} if old.kind == "cluster" else set()
        wanted = tuple(sorted(have ^ {cluster}))
        if len(wanted) < 2:
            return self.select_cluster(wanted[0]) if wanted else self.clear()
        rows = np.flatnonzero(np.isin(self.run.cluster, wanted))
        named = ", ".join(map(str, wanted))
        self._set(
            Selection(rows, f"Clusters {named}", f"clusters {named} of {self.run.clustering.name}", "clusters", wanted)
        )

    def select_cluster(self, cluster: int) -> None:
        """Select a cluster, the noise (-1), or what the clustering has not seen and is a hit (-2)."""
        if self.run.clustering is None or not NOT_CLUSTERED <= cluster < self.run.n_clusters:
            raise InputError(f"cluster {cluster}: there is none; the page may be older than the clusters: reload it")
        rows, reason = self.members(cluster)
        title = {NOISE: "Noise", NOT_CLUSTERED: "Not clustered"}.get(cluster, f"Cluster {cluster}")
        self._set(Selection(rows, title, reason, "cluster", cluster))

    def members(self, cluster: int) -> tuple[NDArray[np.int64], str]:
        """Rows of a cluster, the noise (-1) or the hits not clustered (-2), and the reason to note: with the frames that are
        assigned to the cluster where that is wanted."""
        run = self.run
        named = {NOISE: "noise", NOT_CLUSTERED: "not clustered"}.get(cluster, f"cluster {cluster}")
        reason = f"{named} of {run.clustering.name}"
        if cluster >= 0 and self.widened:
            return np.flatnonzero(run.assigned == cluster), f"{reason}, assigned frames included"
        return np.flatnonzero((run.cluster == cluster) & (run.is_hit if cluster == NOT_CLUSTERED else True)), reason

    def widen(self) -> None:
        """Take clusters with the frames that are assigned to them, or without them again; the selected one at once."""
        self.widened = not self.widened
        if self.selection.kind == "cluster":
            self.select_cluster(int(self.selection.key))

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
