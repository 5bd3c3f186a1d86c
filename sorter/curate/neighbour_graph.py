"""Frames as a graph of nearest neighbours, over which labels spread."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

N_NEIGHBORS = 8
#: Share that goes on at every step, and the number of steps (0.95^60 = 0.05).
_STAY, _STEPS = 0.95, 60
#: Neighbour that sets a frame's own scale of distance.
_SCALE_NEIGHBOR = 7
#: A graph holds at most this many frames; the others take what the nearest of them has.
LARGEST_GRAPH = 20_000


class NeighbourGraph:
    """Symmetric graph of the nearest neighbours of points (N, d), edges weighted by exp(-d^2 / (s_i s_j)), s the distance to
    the 7th neighbour (Zelnik-Manor & Perona 2004), normalised as D^-1/2 W D^-1/2.

    Runs of more than ``LARGEST_GRAPH`` points are thinned evenly; a point that fell out stands where the nearest one left is.
    """

    def __init__(self, points: NDArray[np.floating]) -> None:
        from scipy.sparse import coo_matrix, diags
        from sklearn.neighbors import NearestNeighbors

        n = len(points)
        rows = np.linspace(0, n - 1, min(n, LARGEST_GRAPH)).astype(np.int64)
        inside = points[rows]
        search = NearestNeighbors(n_neighbors=min(N_NEIGHBORS + 1, len(inside))).fit(inside)
        distance, near = (found[:, 1:] for found in search.kneighbors(inside))
        #: (N,) row in the graph of each point: itself, or the nearest one.
        self.place = rows if len(rows) == n else search.kneighbors(points, 1)[1][:, 0]
        m, k = near.shape
        scale = np.maximum(distance[:, min(_SCALE_NEIGHBOR, k) - 1], 1e-12) if k else np.ones(m)
        weight = np.exp(-(distance**2) / (scale[:, None] * scale[near]))
        graph = coo_matrix((weight.ravel(), (np.repeat(np.arange(m), k), near.ravel())), (m, m)).tocsr()
        graph = graph.maximum(graph.T)
        half = diags(1 / np.sqrt(np.asarray(graph.sum(axis=1)).ravel() + 1e-12))
        self._step = (half @ graph @ half).tocsr()

    def spread(self, rows: NDArray[np.int64], amount: NDArray) -> NDArray[np.float64]:
        """(N, C): what reaches each point when ``amount`` (n, C) sets out from ``rows``.

        F = (1 - a) sum_t (a S)^t Y (Zhou et al. 2004, eq. 4), 60 steps; a trace of everything reaches everywhere.
        """
        source = np.zeros((self._step.shape[0], amount.shape[1]))
        np.add.at(source, self.place[rows], np.asarray(amount, np.float64))
        found = source.copy()
        for _ in range(_STEPS):
            found = _STAY * (self._step @ found) + (1 - _STAY) * source
        return found[self.place] + 1e-12
