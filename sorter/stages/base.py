"""What a watched run starts from: the base that its frames are compared with, and a work folder to put them into."""

from __future__ import annotations

import logging
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.cluster.base import Base, usual_distance
from sorter.cluster.reduce import Projection
from sorter.core.clustering import Clustering
from sorter.core.config import config_from_dict
from sorter.core.embedding import Embedding, Layout
from sorter.core.errors import InputError, MissingResultError, WorkFolderError
from sorter.core.frames import find_rows
from sorter.core.hits import Hits
from sorter.core.identity import rows_of
from sorter.core.seeds import child_rng
from sorter.curate.label_book import LabelBook
from sorter.io.whole import whole_folder
from sorter.io.workfolder import WorkFolder
from sorter.io.zarr_store import ZarrFrameStore
from sorter.io.zarr_writer import FrameBlock, FrameWriter, create_store
from sorter.preprocess.hits import Background
from sorter.stages.cluster import find_assigner
from sorter.stages.embed import UNTRAINED
from sorter.stages.hits import find_background

log = logging.getLogger(__name__)

#: Hits that a base holds at most, drawn at random from those of the run.
MOST_HITS = 50_000
_FAR_SAMPLE = 4096


@dataclass(frozen=True)
class BaseInfo:
    """Where a base comes from. embedding: joined by "+"; written: of the clustering; names: label of each cluster, or None;
    k, far_distance: see `Base`; run: work folder that it was made in; unclustered: hits that could not be read."""

    embedding: str
    clustering: str
    layout: str
    written: str
    names: list[str | None]
    k: int
    far_distance: float
    run: str
    unclustered: int = 0

    @property
    def parts(self) -> list[str]:
        """The embeddings that were joined."""
        return self.embedding.split("+")


def open_base(work: WorkFolder, clustering: str, model: str | None) -> tuple[BaseInfo, Base, Projection]:
    """The base of a work folder: the stored one, or a new one where its clusters are newer.

    model: the embedding that is wanted; None: that of the clustering. Raises MissingResultError before the folder was
    sorted, InputError for another embedding than the clustered one.
    """
    found = read_base(work, clustering)
    if found is None or found[0].written != work.written("clusters", clustering):
        make_base(work, clustering, work)
        found = read_base(work, clustering)
        assert found is not None
    info = found[0]
    if model not in (None, info.embedding):
        raise InputError(
            f"--model {model}: the clusters '{clustering}' were made with {info.embedding}; run 'shotsort cluster"
            f" {info.run} --embedding {model} --name NAME' and watch with --clustering NAME"
        )
    return found


def read_base(work: WorkFolder, clustering: str) -> tuple[BaseInfo, Base, Projection] | None:
    """The stored base of a clustering; None where there is none."""
    try:
        arrays, meta = work.read_base(clustering)
    except MissingResultError:
        return None
    info = config_from_dict(BaseInfo, meta)
    _, projection, assign = find_assigner(work, clustering)
    base = Base(assign, arrays["points"], arrays["labels"], arrays["xy"], info.k, info.far_distance)
    return info, base, projection


def make_base(run: WorkFolder, clustering: str, to: WorkFolder) -> BaseInfo:
    """Store in ``to``, which has the same clusters, the base made from the sorted ``run``. Raises MissingResultError."""
    found, layout, parts = _results(run, clustering)
    rows = _drawn(len(found.frame_id))
    ids, labels = found.frame_id[rows], found.labels[rows]
    points = find_assigner(run, clustering)[1]([part.vectors[find_rows(part.frame_id, ids)] for part in parts])
    xy = layout.xy[find_rows(layout.frame_id, ids)]
    k = int(found.meta["config"]["min_samples"])
    sample = points[child_rng(0, "base", "far").permutation(len(points))[:_FAR_SAMPLE]]
    far = usual_distance(points, sample, k)
    info = BaseInfo(
        "+".join(part.name for part in parts), clustering, layout.name, to.written("clusters", clustering),
        cluster_names(run, found), k, far, str(run.path.resolve()), _n_unclustered(to, clustering),
    )  # fmt: skip
    to.write_base(clustering, {"points": points, "labels": labels, "xy": xy}, asdict(info))
    return info


def _results(run: WorkFolder, clustering: str) -> tuple[Clustering, Layout, list[Embedding]]:
    """Clustering, layout and embeddings of a sorted run. Raises MissingResultError where it is not sorted, or not anew."""
    how = f"sort it first: 'shotsort sort FILE -w {run.path}', or start from a sorted work folder with --from"
    if clustering not in run.result_names("clusters"):
        raise MissingResultError(f"{run.path}: has no clusters '{clustering}' to sort new frames into; {how}")
    found, hits = run.read_clustering(clustering), run.read_hits()
    name = found.meta.get("embedding")
    if name is None or not found.n_clusters:
        raise MissingResultError(f"{run.path}: its clusters '{clustering}' are empty; {how}")
    if "pca" in name.split("+"):
        raise InputError(f"{run.path}: clusters of 'pca' take no new frames; cluster another embedding")
    parts = [run.read_embedding(part) for part in name.split("+")]
    unreadable = max(part.meta.get("unreadable_frames", 0) for part in parts)
    if (rows_of(hits.hit_ids, found.frame_id) < 0).any() or len(found.frame_id) + unreadable < len(hits.hit_ids):
        raise MissingResultError(
            f"{run.path}: its clusters '{clustering}' are not of its present hits; run 'shotsort cluster {run.path}'"
        )
    return found, run.read_layout(name), parts


def _n_unclustered(work: WorkFolder, clustering: str) -> int:
    return len(work.read_hits().hit_ids) - len(work.read_clustering(clustering).frame_id)


def _drawn(n: int) -> NDArray[np.int64]:
    if n <= MOST_HITS:
        return np.arange(n)
    return np.sort(child_rng(0, "base", "hits").choice(n, MOST_HITS, replace=False))


def cluster_names(work: WorkFolder, clustering: Clustering) -> list[str | None]:
    """The label that most of the labelled members of each cluster carry; None where none is labelled."""
    book = LabelBook(work.labels_path)
    best: list[tuple[int, str | None]] = [(0, None)] * clustering.n_clusters
    for label in sorted(book.labels()):
        rows = rows_of(clustering.frame_id, book.frames_with(label))
        members = clustering.labels[rows[rows >= 0]]
        for cluster, n in enumerate(np.bincount(members[members >= 0], minlength=clustering.n_clusters)):
            best[cluster] = max(best[cluster], (int(n), label), key=lambda pair: pair[0])
    return [name for _, name in best]


def start_from(run: WorkFolder, path: Path, clustering: str) -> WorkFolder:
    """A work folder at ``path`` that goes on from the sorted ``run``, without its frames: its models, hit background and
    clusters, and of its frames the medoids, so that every cluster has a picture. One that was begun from it is opened.

    Raises WorkFolderError where ``path`` holds something else.
    """
    if (path / "shotsort.json").exists():
        work = WorkFolder.open(path)
        begun = read_base(work, clustering)
        if begun is None or begun[0].run not in (str(run.path.resolve()), str(path.resolve())):
            raise WorkFolderError(f"{path}: was not begun from {run.path}; leave out --from, or give a new work folder")
        return work
    if path.exists() and any(path.iterdir()):
        raise WorkFolderError(f"{path}: holds other files; give an empty or new folder")
    with whole_folder(path) as partial:
        _begin(run, WorkFolder.create(partial), clustering)
    log.info("%s: begun from %s", path, run.path)
    return WorkFolder.open(path)


def _begin(run: WorkFolder, work: WorkFolder, clustering: str) -> None:
    """Fill a new work folder with what `start_from` says."""
    found, layout, parts = _results(run, clustering)
    for part in parts:
        if part.name not in UNTRAINED:
            shutil.copytree(run.model_path(part.name), work.model_path(part.name))
    ids = found.medoids
    _copy_frames(run.frames(), ids, work)
    work.write_hits(_hits_of(run, ids))
    for part in parts:
        work.write_embedding(replace(part, frame_id=ids, vectors=part.vectors[find_rows(part.frame_id, ids)]))
    work.write_layout(replace(layout, frame_id=ids, xy=layout.xy[find_rows(layout.frame_id, ids)]))
    rows = find_rows(found.frame_id, ids)
    chosen = {name: getattr(found, name)[rows] for name in ("labels", "strength", "assigned")}
    work.write_clustering(replace(found, frame_id=ids, **chosen))
    work.write_assigner(clustering, *run.read_assigner(clustering))
    make_base(run, clustering, work)


def background_of(work: WorkFolder) -> Background:
    """The background that the hits of a work folder were found against."""
    store, known = work.frames(), work.read_hits().meta.get("background")
    return find_background(store) if known is None else Background.from_dict(known, store.bad_pixels)


def _hits_of(run: WorkFolder, ids: NDArray[np.uint64]) -> Hits:
    hits = run.read_hits()
    rows = find_rows(hits.frame_id, ids)
    meta: dict[str, Any] = hits.meta | {"background": background_of(run).to_dict()}
    return replace(
        hits, frame_id=ids, photons=hits.photons[rows], score=hits.score[rows], is_hit=hits.is_hit[rows], meta=meta
    )


def _copy_frames(store: ZarrFrameStore, ids: NDArray[np.uint64], to: WorkFolder) -> None:
    """A new frame store in ``to`` like ``store``, with the frames ``ids`` under the names that they have."""
    info = replace(store.info, n_valid=0, sources=(), complete=True)
    arrays = {name: getattr(store, name) for name in ("good_fraction", "mask_recorded", "bad_count")}
    create_store(to.frames_path, info, store.dtype, {"mask": store.bad_pixels, **arrays})
    writer = FrameWriter(to.frames_path)
    writer.reserve(len(ids))
    chosen = store.select(ids)
    frames = chosen.read(ids)
    for row, (file, index) in enumerate(zip(chosen.source_file, chosen.source_index)):
        place = writer.source(store.info.sources[file])
        writer.append(FrameBlock(frames[row : row + 1], ids[row : row + 1], place, int(index), {}, {}), gaps=True)
    writer.commit()
