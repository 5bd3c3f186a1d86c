"""Settings of clustering and layout."""

from __future__ import annotations

from dataclasses import dataclass

from sorter.core.config import require

#: Embeddings in which clusters are sought by default among the hits that are at most so many times dimmer than the 90th
#: percentile: they keep bright kinds so far apart that dim hits, which lie between, would join them.
BRIGHT_SPANS = {"pretrained": 40.0, "contrastive": 40.0, "contrastive+features": 40.0}


@dataclass(frozen=True)
class ClusterConfig:
    """How hits are grouped and laid out; defaults chosen on simulated runs (`shotsort bench sorting`,
    `shotsort bench choice`).

    embedding: name, several joined by "+", or "auto". pca_dims, umap_dims: dimensions kept before HDBSCAN, 0 leaves the
    step out. min_cluster_size: smallest group that counts; None tries sizes about the square root of the number of clustered
    hits, at least 15, and takes the result on which the others agree most.
    largest_share: clusters of more than this share of the clustered hits are cut into their parts where they have some (see
    `density_clusters`).
    bright_share: share of the hits, brightest first, in which clusters are sought where brightness spans more than a decade
    (1: all; None: what `BRIGHT_SPANS` says of the embedding); the others stay noise and are assigned by their neighbours.
    one_population: whether clusters between which the
    density has no valley are taken back. max_fit: most hits that HDBSCAN and UMAP are fitted to; of more, that many are drawn
    at random, and the others placed and assigned by them.
    """

    embedding: str = "auto"
    name: str = "density"
    pca_dims: int = 24
    umap_dims: int = 5
    umap_neighbors: int = 15
    min_cluster_size: int | None = None
    min_samples: int = 10
    selection: str = "eom"
    largest_share: float = 0.15
    bright_share: float | None = None
    one_population: bool = True
    assign_neighbors: int = 15
    max_fit: int = 50_000
    layout_neighbors: int = 15
    layout_min_dist: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        for field, lowest in (
            ("pca_dims", 0), ("umap_dims", 0), ("umap_neighbors", 2), ("min_samples", 1), ("assign_neighbors", 1),
            ("layout_neighbors", 2), ("max_fit", 100),
        ):  # fmt: skip
            require(getattr(self, field) >= lowest, f"{field} = {getattr(self, field)}: must be at least {lowest}")
        size = self.min_cluster_size
        require(size is None or size >= 2, f"min_cluster_size = {size}: must be at least 2")
        require(self.selection in ("eom", "leaf"), f"selection = {self.selection}: choose eom or leaf")
        require(0 < self.largest_share <= 1, f"largest_share = {self.largest_share}: must lie in (0, 1]")
        share = self.bright_share
        require(share is None or 0 < share <= 1, f"bright_share = {share}: must lie in (0, 1]")
        require(bool(self.embedding), "embedding: give a name")
