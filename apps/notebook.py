"""The stages under the names of their commands, for a notebook: ``from apps.notebook import sort, cluster, table``."""

from apps.explorer.server import explore
from apps.report import report
from apps.sort import SortConfig, sort
from sorter.stages.cluster import ClusterConfig, cluster
from sorter.stages.embed import EmbedConfig, embed
from sorter.stages.evaluate import EvaluateConfig, evaluate
from sorter.stages.export import export
from sorter.stages.hits import HitsConfig, find_hits
from sorter.stages.ingest import IngestConfig, ingest
from sorter.stages.label import label
from sorter.stages.propose import ProposeConfig, propose
from sorter.stages.subset import subset
from sorter.stages.table import table
from sorter.stages.train import TrainConfig, train
from sorter.stages.watch import WatchConfig, watch
from sorter.stages.why import why
from sorter.stages.workers import WorkersConfig, open_pool

__all__ = [
    "ClusterConfig",
    "EmbedConfig",
    "EvaluateConfig",
    "HitsConfig",
    "IngestConfig",
    "ProposeConfig",
    "SortConfig",
    "TrainConfig",
    "WatchConfig",
    "WorkersConfig",
    "cluster",
    "embed",
    "evaluate",
    "explore",
    "export",
    "find_hits",
    "ingest",
    "label",
    "open_pool",
    "propose",
    "report",
    "sort",
    "subset",
    "table",
    "train",
    "watch",
    "why",
]
