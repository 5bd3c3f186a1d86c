"""Shaping clusters on one page: merge, split, re-cluster, cut, clean a drawn selection; no bokeh in it.

Nothing is overwritten: each step taken is a new clustering that says what it was made from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.explorer.state import Explorer
from sorter.cluster.reshape import cut, cut_levels, cut_tree, merged, regrouped
from sorter.core.clustering import Clustering
from sorter.core.errors import InputError
from sorter.core.seeds import child_rng

#: Neighbours that decide whether a drawn frame belongs to the others drawn, and frames on each side that they are sought in.
N_NEIGHBORS, N_REFERENCE = 15, 1000


@dataclass(frozen=True)
class Proposed:
    """A re-clustering of some frames that nobody has taken yet. frame_id, groups (-1: noise), strength: (n,); before: their
    clusters now (n,); step: how it was made, JSON-ready."""

    frame_id: NDArray[np.uint64]
    groups: NDArray[np.int32]
    strength: NDArray[np.float32]
    before: NDArray[np.int32]
    step: dict[str, Any]

    @property
    def n_groups(self) -> int:
        """Number of groups, noise not counted."""
        return int(self.groups.max(initial=-1)) + 1


class Shaping:
    """The clusters of a page as a person changes them. ``proposed``: what waits to be taken or dropped."""

    def __init__(self, state: Explorer) -> None:
        self.state = state
        self.proposed: Proposed | None = None
        self._levels: tuple[str, NDArray[np.float64]] = ("", np.empty(0))

    # -- merge -----------------------------------------------------------------------------------------------------------
    def merge(self) -> str:
        """Merge the selected clusters; returns the name of the new clustering."""
        chosen = self.state.selection
        if chosen.kind != "clusters":
            raise InputError("merge: select two clusters or more (Ctrl+click in the table)")
        clustering = self._clustering()
        return self._take(merged(clustering, chosen.key, self._next_name()))  # type: ignore[arg-type]

    # -- split, re-cluster -----------------------------------------------------------------------------------------------
    def request(self, min_cluster_size: int, min_samples: int, selection: str) -> tuple[Any, ...]:
        """The arguments of `heavy.recluster` for the selected frames."""
        state = self.state
        if not len(state.selection):
            raise InputError("re-cluster: select a cluster, or frames")
        if min_cluster_size < 2 or min_samples < 1 or selection not in ("eom", "leaf"):
            raise InputError("re-cluster: size at least 2, samples at least 1, selection eom or leaf")
        self._clustering()
        if state.run.embedding_name is None:
            raise InputError(
                "re-cluster: the embedding of these clusters is not in the work folder; run 'shotsort embed'"
            )
        ids = state.run.frame_id[state.selection.rows]
        return str(state.run.work.path), state.run.embedding_name, ids, min_cluster_size, min_samples, selection

    def propose(self, result: tuple[NDArray, NDArray, NDArray], step: dict[str, Any]) -> None:
        """Keep what `heavy.recluster` found until it is taken or dropped."""
        frame_id, groups, strength = result
        before = self.state.run.cluster[self.state.run.index.rows(frame_id)]
        self.proposed = Proposed(frame_id, groups, strength, before, step)

    def take(self) -> str:
        """Make the proposed groups clusters; returns the name of the new clustering."""
        if self.proposed is None:
            raise InputError("nothing is proposed")
        p = self.proposed
        self.proposed = None
        return self._take(regrouped(self._clustering(), p.frame_id, p.groups, p.strength, self._next_name(), p.step))

    def drop(self) -> None:
        """Leave everything as it was."""
        self.proposed = None

    # -- cut the tree ----------------------------------------------------------------------------------------------------
    def levels(self) -> NDArray[np.float64]:
        """Densities at which the tree can be cut, ascending; none where there is no tree of all frames."""
        clustering = self.state.run.clustering
        if clustering is None:
            return np.empty(0)
        if self._levels[0] != clustering.name:
            self._levels = clustering.name, cut_levels(clustering)
        return self._levels[1]

    def outside_tree(self) -> int:
        """Frames of the clustering that its tree does not hold."""
        clustering = self._clustering()
        return len(clustering.frame_id) - int((clustering.tree["child"] < len(clustering.frame_id)).sum())

    def cut_counts(self, step: int, min_size: int) -> tuple[int, int]:
        """Number of clusters and of noise frames of a cut at the level number ``step``."""
        clustering = self._clustering()
        labels, _ = cut_tree(clustering.tree, len(clustering.frame_id), self._level(step), min_size)
        return int(labels.max(initial=-1)) + 1, int((labels < 0).sum())

    def cut(self, step: int, min_size: int) -> str:
        """Cut the tree there; returns the name of the new clustering."""
        return self._take(cut(self._clustering(), self._level(step), min_size, self._next_name()))

    def _level(self, step: int) -> float:
        levels = self.levels()
        if not len(levels):
            raise InputError("cut: this clustering keeps no tree of all its frames; cut the one it was made from")
        return float(levels[min(max(step, 0), len(levels) - 1)])

    # -- clean what was drawn --------------------------------------------------------------------------------------------
    def clean(self) -> int:
        """Take out of the selection the frames that are not among their like in the embedding; returns how many.

        A frame stays if at least half of its N_NEIGHBORS nearest, among N_REFERENCE random frames of the selection and as many
        others, are of the selection. A 2-D layout puts strangers side by side; the embedding tells them apart.
        """
        state = self.state
        vectors = state.run.vectors
        if vectors is None or not len(state.selection):
            raise InputError("clean: select frames that are in an embedding")
        known = ~np.isnan(vectors[:, 0])
        rows = state.selection.rows[known[state.selection.rows]]
        inside = np.zeros(len(known), bool)
        inside[rows] = True
        rng = child_rng(0, "explorer", "clean")
        sides = [np.flatnonzero(known & side) for side in (inside, ~inside)]
        sides = [rng.choice(side, min(N_REFERENCE, len(side)), replace=False) for side in sides]
        if min(map(len, sides)) < N_NEIGHBORS:
            raise InputError("clean: too few frames to compare with")
        kept = rows[_among_their_like(vectors[rows], rows, vectors, *sides)]
        gone = len(state.selection) - len(kept)
        title = state.selection.title
        state.select_rows(kept, title, f"{state.selection.reason}, cleaned in {state.run.embedding_name}", "cleaned")
        return gone

    # -- names -----------------------------------------------------------------------------------------------------------
    def _clustering(self) -> Clustering:
        if self.state.run.clustering is None:
            raise InputError("there are no clusters yet; run 'shotsort cluster'")
        return self.state.run.clustering

    def _next_name(self) -> str:
        base = self._clustering().name.split("-by-")[0]
        have = set(self.state.library.clusterings())
        return next(f"{base}-by-hand-{k}" for k in range(1, len(have) + 2) if f"{base}-by-hand-{k}" not in have)

    def _take(self, clustering: Clustering) -> str:
        self.state.run.work.write_clustering(clustering)
        return clustering.name


def _among_their_like(
    points: NDArray, rows: NDArray[np.int64], vectors: NDArray, inside: NDArray[np.int64], outside: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether half of the nearest reference frames of each point are ``inside`` ones; a frame is not its own neighbour."""
    reference = np.concatenate([inside, outside])
    places, lengths = vectors[reference], (vectors[reference] ** 2).sum(1)
    stays = np.empty(len(points), bool)
    for start in range(0, len(points), 4096):
        block = slice(start, start + 4096)
        distance = lengths - 2 * points[block] @ places.T
        distance[rows[block][:, None] == reference] = np.inf
        near = np.argpartition(distance, N_NEIGHBORS, axis=1)[:, :N_NEIGHBORS]
        stays[block] = (near < len(inside)).sum(1) * 2 >= N_NEIGHBORS
    return stays
