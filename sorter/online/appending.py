"""Appends sorted frames to a work folder, so that whoever reads it sees frames with all their results."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sorter.core.errors import InputError
from sorter.io.workfolder import WorkFolder
from sorter.io.zarr_store import Source
from sorter.io.zarr_writer import FrameBlock, FrameWriter
from sorter.online.sorting import Sorted

log = logging.getLogger(__name__)

_ROOM_FRAMES = 65536


class LiveResults:
    """Frames, hits, embeddings ``parts``, clustering and layout of a work folder, grown together.

    Written in this order, so a kill can leave frames without results, or results without clusters: `open_rows` says which
    frames have to be sorted again, and what was half done does not count any more.
    """

    def __init__(
        self, work: WorkFolder, parts: list[str], clustering: str, layout: str, n_unclustered: int = 0
    ) -> None:
        """n_unclustered: hits, found before anybody watched, that are in no other result because they could not be read."""
        self._writer = FrameWriter(work.frames_path, by_rows=True)
        self._lock = threading.Lock()  # the source asks what is missing while frames are written
        self._unfit: set[str] = set()
        self._hits = work.growing("hits", "default")
        self._embeddings = {name: work.growing("embeddings", name) for name in parts}
        self._clusters = work.growing("clusters", clustering)
        self._layout = work.growing("layouts", layout)
        self._drop_half_done(work, n_unclustered)

    def _drop_half_done(self, work: WorkFolder, n_unclustered: int) -> None:
        by_hit = [*self._embeddings.values(), self._clusters, self._layout]
        whole = min(result.n_rows for result in by_hit)
        is_hit = work.read_hits().is_hit[: self.n_stored]
        before = np.concatenate([[0], np.cumsum(is_hit)]) - n_unclustered
        n = int(np.searchsorted(before, whole, side="right")) - 1
        for result in by_hit:
            if result.n_rows > before[n]:
                result.keep(int(before[n]))
        if self._hits.n_rows > n:
            self._hits.keep(n)

    @property
    def n_stored(self) -> int:
        """Frames in the store."""
        return self._writer.info.n_valid

    @property
    def n_sorted(self) -> int:
        """Frames, the first ones of the store, that have all their results."""
        return self._hits.n_rows

    def missing(self, source: Source, n_frames: int) -> list[tuple[int, int]]:
        """Ranges (start, stop) of the first ``n_frames`` frames of a source that are not stored yet. Raises InputError where
        another file of the same name or run id is."""
        with self._lock:
            for known in self._writer.sources:
                same_name = (known.run_id, known.dataset) == (source.run_id, source.dataset)
                if same_name and known.fingerprint != source.fingerprint:
                    raise InputError(
                        f"{source.path}: has the name (or run id) of {known.absolute_path}, which is in the work folder, and"
                        " other frames; rename it"
                    )
            return self._writer.missing(self._writer.source(source), n_frames)

    def indices(self, source: Source) -> NDArray[np.int64]:
        """Indices of the stored frames of a source."""
        with self._lock:
            return self._writer.stored_indices(self._writer.source(source))

    def append_frames(self, blocks: list[tuple[Source, FrameBlock]]) -> None:
        """Store recorded frames; `append_results` follows for the same frames in the same order."""
        n = sum(len(block.frames) for _, block in blocks)
        with self._lock:
            if self._writer.n_frames + n > self._writer.capacity:
                self._writer.reserve(max(n, _ROOM_FRAMES))
            for source, block in blocks:
                fit = {name: values for name, values in block.columns.items() if self._fits(name, values)}
                place = self._writer.source(source)
                self._writer.append(replace(block, source=place, columns=fit), gaps=True)
            self._writer.commit()

    def _fits(self, name: str, values: NDArray) -> bool:
        if self._writer.column_fits(name, values):
            return True
        if name not in self._unfit:
            self._unfit.add(name)
            log.warning("column %s: is of another kind than in the frames stored before; left out", name)
        return False

    def append_results(self, found: Sorted) -> None:
        """Store what was found of the frames that follow the sorted ones."""
        ids = found.hit_ids
        columns = {name: getattr(found, name) for name in ("frame_id", "photons", "score", "is_hit")}
        self._hits.append(columns)
        for name, result in self._embeddings.items():
            result.append({"frame_id": ids, "vectors": found.vectors[name]})
        at = found.placement
        self._clusters.append({"frame_id": ids, "labels": at.labels, "strength": at.strength, "assigned": at.assigned})
        self._layout.append({"frame_id": ids, "xy": at.xy})
