"""Everything that shotsort knows of one or more runs, as one folder that can be moved and archived."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.core.clustering import TREE_DTYPE, Clustering, Memberships
from sorter.core.embedding import Embedding, Layout, check_rows
from sorter.core.errors import WorkFolderError
from sorter.core.hits import Hits
from sorter.core.manifest import RunManifest, software_versions, utc_now
from sorter.core.proposals import Proposals
from sorter.core.subset import Subset
from sorter.io.growing import GrowingResult
from sorter.io.results import SCHEMA_VERSION, Results, StoredRows, checked_name
from sorter.io.whole import write_text_whole, writing
from sorter.io.zarr_store import ZarrFrameStore


class WorkFolder:
    """A work folder on disk. `create` makes one where there is none; `open` refuses what is not one.

    Results (embeddings, layouts, clusterings, hits) are values: reading gives a frozen noun, writing replaces the stored one
    as a whole. Raises WorkFolderError for a newer schema, a read-only place, or a folder that is something else.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._results = Results(self.path)

    # -- life ------------------------------------------------------------------------------------------------------------
    @classmethod
    def open(cls, path: str | Path) -> WorkFolder:
        """The work folder at ``path``. Raises WorkFolderError where there is none."""
        folder = cls(path)
        if not folder.path.is_dir():
            raise WorkFolderError(f"{path}: no such work folder; 'shotsort sort FILE -w {path}' makes one")
        try:
            marker = json.loads((folder.path / "shotsort.json").read_text())
        except FileNotFoundError:
            raise WorkFolderError(f"{path}: not a work folder (no shotsort.json in it); check the name") from None
        except (ValueError, OSError) as error:
            raise WorkFolderError(f"{path}/shotsort.json: cannot be read ({error}); bring back a copy of it") from error
        version = marker.get("schema_version") if isinstance(marker, dict) else None
        if not isinstance(version, int):
            raise WorkFolderError(f"{path}/shotsort.json: holds no schema_version; bring back a copy of it")
        if version > SCHEMA_VERSION:
            raise WorkFolderError(
                f"{path}: written by a newer shotsort (schema {version}, this one reads {SCHEMA_VERSION}); update shotsort"
            )
        return folder

    @classmethod
    def create(cls, path: str | Path) -> WorkFolder:
        """The work folder at ``path``, made if there is nothing yet."""
        folder = cls(path)
        if (folder.path / "shotsort.json").exists():
            return cls.open(path)
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise WorkFolderError(f"{path}: is a file; give a folder") from None
        except OSError as error:
            raise WorkFolderError(
                f"{path}: cannot be made ({error.strerror}); choose a folder you can write to"
            ) from error
        strangers = [p.name for p in folder.path.iterdir() if not p.name.startswith(".")]
        if strangers:
            raise WorkFolderError(f"{path}: holds other files ({strangers[0]}, ...); give an empty or new folder")
        marker = {"schema_version": SCHEMA_VERSION, "made": utc_now(), "software": software_versions()}
        write_text_whole(folder.path / "shotsort.json", json.dumps(marker, indent=1) + "\n")
        with writing(path):
            for name in ("models", "manifests"):
                (folder.path / name).mkdir(exist_ok=True)
        return folder

    @contextmanager
    def lock(self, stage: str, beside: bool = False) -> Iterator[None]:
        """Hold the folder for writing; raises WorkFolderError that says who holds it. Freed when the process ends.

        beside: for what may run beside another stage, because neither changes what the other reads or writes (report, subsets).
        """
        try:
            handle = (self.path / (".lock_beside" if beside else ".lock")).open("a+")
        except OSError as error:
            raise WorkFolderError(
                f"{self.path}: cannot be written to ({error.strerror}); copy it or choose another"
            ) from error
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                handle.seek(0)
                holder = handle.read().strip() or "another process"
                raise WorkFolderError(f"{self.path}: in use by {holder}; wait for it or stop it") from None
            handle.truncate(0)
            handle.write(f"shotsort {stage} (process {os.getpid()} on {os.uname().nodename} since {utc_now()})")
            handle.flush()
            yield
            handle.truncate(0)

    # -- places ----------------------------------------------------------------------------------------------------------
    @property
    def frames_path(self) -> Path:
        """Where the frame store is, or will be."""
        return self.path / "frames.zarr"

    @property
    def labels_path(self) -> Path:
        """Where the label book is, or will be."""
        return self.path / "labels.sqlite"

    @property
    def classes_path(self) -> Path:
        """Where the classes that a person sorts into are defined, or will be."""
        return self.path / "classes.json"

    @property
    def report_path(self) -> Path:
        """Where the report is, or will be."""
        return self.path / "report.html"

    def model_path(self, name: str) -> Path:
        """Folder of the model ``name``."""
        return self.path / "models" / checked_name(name)

    def model_names(self) -> list[str]:
        """Models that are there, by name; one still in training is not."""
        folder = self.path / "models"
        return sorted(p.parent.name for p in folder.glob("*/config.json")) if folder.is_dir() else []

    # -- frames ----------------------------------------------------------------------------------------------------------
    def frames(self) -> ZarrFrameStore:
        """The frame store. Raises WorkFolderError before anything was ingested."""
        return ZarrFrameStore(self.frames_path)

    # -- results ---------------------------------------------------------------------------------------------------------
    def write_hits(self, hits: Hits) -> None:
        """Store which frames are hits."""
        arrays: dict[str, NDArray] = {k: getattr(hits, k) for k in ("frame_id", "photons", "score", "is_hit")}
        finite = hits.threshold if np.isfinite(hits.threshold) else None
        self._results.write("hits", "default", arrays, {"threshold": finite, "meta": hits.meta})

    def read_hits(self) -> Hits:
        """The hits. Raises MissingResultError before 'shotsort ingest' found them."""
        arrays, attrs = self._results.read("hits", "default", "shotsort ingest")
        threshold = -np.inf if attrs["threshold"] is None else float(attrs["threshold"])
        return Hits(**arrays, threshold=threshold, meta=attrs["meta"])

    def write_statistics(self, n_frames: int, images: dict[str, NDArray]) -> None:
        """Store what all frames together look like: images "mean", "std" and "max", (ny, nx) float64."""
        self._results.write("statistics", "frames", images, {"n_frames": n_frames})

    def read_statistics(self) -> tuple[int, dict[str, NDArray]]:
        """Number of frames and the images of `write_statistics`. Raises MissingResultError before the ingest."""
        images, attrs = self._results.read("statistics", "frames", "shotsort ingest")
        return int(attrs["n_frames"]), images

    def write_embedding(self, embedding: Embedding) -> None:
        """Store an embedding under its name."""
        arrays: dict[str, NDArray] = {"frame_id": embedding.frame_id, "vectors": embedding.vectors}
        self._results.write("embeddings", embedding.name, arrays, {"meta": embedding.meta})

    def read_embedding(self, name: str) -> Embedding:
        """The embedding ``name``. Raises MissingResultError where it is not there."""
        arrays, attrs = self._results.read("embeddings", name, "shotsort embed")
        return Embedding(name, **arrays, meta=attrs["meta"])

    def open_embedding(self, name: str) -> tuple[NDArray[np.uint64], StoredRows]:
        """frame_id (N,) of the embedding ``name``, and its vectors, which stay on disk until they are asked for."""
        return self._results.rows("embeddings", name, "vectors", "shotsort embed")

    def write_assigner(self, name: str, arrays: dict[str, NDArray], meta: dict[str, Any]) -> None:
        """Store what assigns later frames to the clusters of the clustering ``name`` (`sorter.stages.cluster.find_assigner`)."""
        self._results.write("assigners", name, arrays, {"meta": meta})

    def read_assigner(self, name: str) -> tuple[dict[str, NDArray], dict[str, Any]]:
        """Arrays and meta of `write_assigner`. Raises MissingResultError where there are none."""
        arrays, attrs = self._results.read("assigners", name, "shotsort cluster")
        return arrays, attrs["meta"]

    def write_layout(self, layout: Layout) -> None:
        """Store a layout under its name."""
        self._results.write(
            "layouts", layout.name, {"frame_id": layout.frame_id, "xy": layout.xy}, {"meta": layout.meta}
        )

    def read_layout(self, name: str) -> Layout:
        """The layout ``name``. Raises MissingResultError where it is not there."""
        arrays, attrs = self._results.read("layouts", name, "shotsort cluster")
        return Layout(name, **arrays, meta=attrs["meta"])

    def write_clustering(self, clustering: Clustering) -> None:
        """Store a clustering under its name."""
        names = ("frame_id", "labels", "strength", "assigned", "medoids")
        arrays: dict[str, NDArray] = {name: getattr(clustering, name) for name in names}
        arrays |= {f"tree_{k}": clustering.tree[k] for k in TREE_DTYPE.names or ()}
        self._results.write("clusters", clustering.name, arrays, {"meta": clustering.meta})

    def read_clustering(self, name: str) -> Clustering:
        """The clustering ``name``. Raises MissingResultError where it is not there."""
        arrays, attrs = self._results.read("clusters", name, "shotsort cluster")
        tree = np.empty(len(arrays["tree_parent"]), TREE_DTYPE)
        for key in TREE_DTYPE.names or ():
            tree[key] = arrays.pop(f"tree_{key}")
        return Clustering(name, **arrays, tree=tree, meta=attrs["meta"])

    def write_memberships(self, memberships: Memberships) -> None:
        """Store how much frames belong to the clusters of the clustering of that name."""
        arrays: dict[str, NDArray] = {name: getattr(memberships, name) for name in ("frame_id", "clusters", "shares")}
        self._results.write("memberships", memberships.name, arrays, {"labels_sha256": memberships.labels_sha256})

    def read_memberships(self, name: str) -> Memberships:
        """The memberships of the clustering ``name``. Raises MissingResultError where they are not there."""
        arrays, attrs = self._results.read("memberships", name, "shotsort cluster")
        return Memberships(name, **arrays, labels_sha256=attrs["labels_sha256"])

    def write_base(self, name: str, arrays: dict[str, NDArray], meta: dict[str, Any]) -> None:
        """Store what later frames are compared with (`sorter.stages.base`) under the name of the clustering it was made from."""
        self._results.write("bases", name, arrays, {"meta": meta})

    def read_base(self, name: str) -> tuple[dict[str, NDArray], dict[str, Any]]:
        """Arrays and meta of `write_base`. Raises MissingResultError where there is none."""
        arrays, attrs = self._results.read("bases", name, "shotsort watch")
        return arrays, attrs["meta"]

    def meta(self, kind: str, name: str) -> dict[str, Any]:
        """How a result was made, without reading its rows. Raises MissingResultError where it is not there."""
        return dict(self._results.open(kind, name, f"shotsort {kind}")[1]["meta"])

    def written(self, kind: str, name: str) -> str:
        """When a result was written as a whole, ISO 8601; rows appended since do not change it."""
        return str(self._results.open(kind, name, f"shotsort {kind}")[1]["written"])

    def write_subset(self, subset: Subset) -> None:
        """Store a subset under its name."""
        attrs = {"rule": subset.rule, "label_book_revision": subset.label_book_revision, "sha256": subset.sha256}
        self._results.write("subsets", subset.name, {"frame_id": subset.frame_id}, {**attrs, "meta": subset.meta})

    def read_subset(self, name: str) -> Subset:
        """The subset ``name``. Raises MissingResultError where it is not there."""
        arrays, attrs = self._results.read("subsets", name, "shotsort subset")
        return Subset(name, arrays["frame_id"], attrs["rule"], attrs["label_book_revision"], attrs["meta"])

    def write_proposals(self, proposals: Proposals) -> None:
        """Store proposals under their name."""
        names = ("frame_id", "probability", "unknown", "next_value", "labelled")
        arrays: dict[str, NDArray] = {name: getattr(proposals, name) for name in names}
        self._results.write(
            "proposals", proposals.name, arrays, {"classes": list(proposals.classes), "meta": proposals.meta}
        )

    def read_proposals(self, name: str = "default") -> Proposals:
        """The proposals ``name``. Raises MissingResultError where they are not there."""
        arrays, attrs = self._results.read("proposals", name, "shotsort propose")
        return Proposals(name, classes=tuple(attrs["classes"]), **arrays, meta=attrs["meta"])

    def write_score(self, name: str, frame_id: NDArray[np.uint64], score: NDArray, meta: dict[str, Any]) -> None:
        """Store a number per frame, (N,) float32, under its name."""
        check_rows(f"score {name}", frame_id, score=score)
        self._results.write(
            "scores", name, {"frame_id": frame_id, "score": np.asarray(score, np.float32)}, {"meta": meta}
        )

    def read_score(self, name: str) -> tuple[NDArray[np.uint64], NDArray[np.float32]]:
        """frame_id (N,) and score (N,). Raises MissingResultError where it is not there."""
        arrays, _ = self._results.read("scores", name, "shotsort latents")
        return arrays["frame_id"], arrays["score"]

    def write_reconstruction(
        self, name: str, frame_id: NDArray[np.uint64], columns: dict[str, NDArray], meta: dict[str, Any]
    ) -> None:
        """Store what a reconstruction found: columns (N, ...), one row per frame, and what made them (JSON-ready)."""
        check_rows(f"reconstruction {name}", frame_id, **columns)
        self._results.write("reconstructions", name, {"frame_id": frame_id, **columns}, {"meta": meta})

    def read_reconstruction(self, name: str) -> tuple[NDArray[np.uint64], dict[str, NDArray], dict[str, Any]]:
        """frame_id (N,), columns and meta of a reconstruction. Raises MissingResultError where it is not there."""
        arrays, attrs = self._results.read("reconstructions", name, "shotsort recon")
        return arrays.pop("frame_id"), arrays, attrs["meta"]

    def result_names(self, kind: str) -> list[str]:
        """Names of the results of ``kind``, oldest first: "hits", "embeddings", "layouts", "clusters", "subsets", "proposals",
        "scores" or "reconstructions"."""
        return self._results.names(kind)

    def growing(self, kind: str, name: str) -> GrowingResult:
        """The result ``name`` of ``kind``, to append rows to (`sorter.io.results.GROWING` says to which arrays).

        Whoever appends writes frames first, then hits, embeddings, clusters and layouts; whoever reads several results while
        they grow reads them the other way round, and finds every frame of one in those read after it.
        """
        return self._results.growing(kind, name)

    # -- manifests -------------------------------------------------------------------------------------------------------
    def write_manifest(self, manifest: RunManifest) -> Path:
        """Store the record of a stage; returns its path (``NNNN_stage.json``, numbered in order of writing)."""
        folder = self.path / "manifests"
        with writing(folder):
            folder.mkdir(exist_ok=True)
        number = 1 + max((int(p.name[:4]) for p in folder.glob("[0-9]" * 4 + "_*.json")), default=0)
        path = folder / f"{number:04d}_{manifest.stage}.json"
        write_text_whole(path, json.dumps(manifest.to_dict(), indent=1, allow_nan=False) + "\n")
        return path

    def manifests(self, stage: str | None = None) -> list[dict[str, Any]]:
        """Records of all stages run (or of one stage), in order."""
        paths = sorted((self.path / "manifests").glob(f"[0-9]*_{stage or '*'}.json"))
        return [json.loads(p.read_text()) for p in paths]

    @contextmanager
    def stage(
        self, name: str, config: dict[str, Any], seed: int | None, inputs: dict[str, Any], beside: bool = False
    ) -> Iterator[StageRecord]:
        """Hold the folder (``beside``: see `lock`) while stage ``name`` runs and write its manifest when it ended well.

        The stage fills ``outputs`` and ``metrics`` of the record that this yields.
        """
        record, started, clock = StageRecord(), utc_now(), time.perf_counter()
        with self.lock(name, beside):
            yield record
            seconds = round(time.perf_counter() - clock, 3)
            manifest = RunManifest(name, config, seed, inputs, record.outputs, record.metrics, started, seconds)
            self.write_manifest(manifest)


class StageRecord:
    """What a running stage reports: outputs and metrics, both JSON-ready."""

    def __init__(self) -> None:
        self.outputs: dict[str, Any] = {}
        self.metrics: dict[str, Any] = {}
