"""The main job: from recorded files to pattern classes and a report, in one call."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from apps.report import report
from sorter.cluster.fit import ClusterConfig
from sorter.core.config import require
from sorter.core.hits import Hits
from sorter.core.seeds import child_seed
from sorter.io.workfolder import WorkFolder
from sorter.stages.cluster import PREFERRED, cluster
from sorter.stages.embed import UNTRAINED, EmbedConfig, embed
from sorter.stages.hits import HitsConfig, find_hits
from sorter.stages.ingest import IngestConfig, ingest
from sorter.stages.train import TrainConfig, train
from sorter.stages.workers import Pool
from sorter.train.config import KINDS

__all__ = ["SortConfig", "sort"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SortConfig:
    """Settings of the main job; each stage's own settings are in its own config.

    embedding: what is clustered, several joined by "+"; "auto": what sorted best on simulated runs (`shotsort bench sorting`).
    models: what is trained and embedded afterwards (the FactorVAE says in the report why frames differ). keep: differences that
    count, see `TrainConfig`. steps: weight updates of each training (0: the model's own default). seed: of everything random.
    """

    ingest: IngestConfig = field(default_factory=IngestConfig)
    hits: HitsConfig = field(default_factory=HitsConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    embedding: str = "auto"
    models: tuple[str, ...] = ("factorvae",)
    keep: str = ""
    steps: int = 0
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        known = (*UNTRAINED, *KINDS)
        require(
            all(name in known for name in self.names),
            f"--embedding '{self.embedding}': choose from {', '.join(known)}, several joined by '+', or auto",
        )
        TrainConfig(keep=self.keep, steps=self.steps, device=self.device)

    @property
    def clustered(self) -> list[str]:
        """The embeddings that are clustered together. The pre-trained encoder forgets orientation and size, so where one of
        them is kept an encoder is trained on the run; hand-made features forget the orientation, so where that is kept the
        FactorVAE's latents take their place."""
        if self.embedding != "auto":
            return self.embedding.split("+")
        if "orientation" in TrainConfig(keep=self.keep).kept:
            return ["contrastive", "factorvae"]
        return ["contrastive", "features"] if self.keep else PREFERRED[0].split("+")

    @property
    def names(self) -> list[str]:
        """All embeddings that are made, in order."""
        return list(dict.fromkeys([*self.clustered, *self.models]))


def sort(
    sources: str | Path | Sequence[str | Path],
    work: str | Path | WorkFolder,
    config: SortConfig | None = None,
    pool: Pool | None = None,
) -> Path:
    """Sort recorded files: ingest, find hits, embed, cluster, lay out, report; returns the path of the report.

    The clusters and their report come first; what explains them (``config.models``) is trained then, and the report is
    written again with it. Frames are shared out to ``pool`` where hits are found and embedded.

    Every stage keeps what it finished, so a call that was interrupted goes on from there, and one with further files
    does only what they need.
    """
    config = config or SortConfig()
    ingest(sources, work, config.ingest)
    folder = work if isinstance(work, WorkFolder) else WorkFolder.open(work)
    enough = group(folder, config, pool)
    path = report(folder)
    explaining = [name for name in config.names if name not in config.clustered]
    if enough and explaining:
        log.info("clusters and report are there: %s; now what tells why frames differ: %s", path, ", ".join(explaining))
        _embed(folder, explaining, config, pool)
        path = report(folder)
    return path


def group(folder: WorkFolder, config: SortConfig, pool: Pool | None = None) -> bool:
    """Find hits among the frames of a work folder, embed, cluster and lay them out; False where there are too few to embed."""
    hits = find_hits(folder, config.hits, pool=pool)
    enough = _enough(hits)
    if enough:
        _embed(folder, config.clustered, config, pool)
    made = [name for name in config.clustered if name in folder.result_names("embeddings")]
    chosen = replace(
        config.cluster, embedding="+".join(made) or "auto", seed=child_seed(config.seed, "cluster") % 2**31
    )
    cluster(folder, chosen)
    return enough


def _embed(folder: WorkFolder, names: list[str], config: SortConfig, pool: Pool | None) -> None:
    """Embed with each of ``names``, trained first where it needs that."""
    for name in names:
        if name in UNTRAINED or _train(folder, name, config):
            embed(folder, EmbedConfig(model=name, device=config.device), pool=pool)


def _enough(hits: Hits) -> bool:
    if len(hits.hit_ids) < 2:
        log.warning("%d hits: nothing to learn from and nothing to cluster", len(hits.hit_ids))
        return False
    return True


def _train(folder: WorkFolder, name: str, config: SortConfig) -> bool:
    """Train the network ``name``; False where there are too few hits for it."""
    settings = TrainConfig(
        model=name,
        keep=config.keep,
        steps=config.steps,
        device=config.device,
        seed=child_seed(config.seed, "train", name) % 2**31,
    )
    return train(folder, settings) is not None
