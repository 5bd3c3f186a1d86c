"""The frames of a watched source: which of them fit, and how they become those of the store."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sorter.core.config import config_from_dict
from sorter.core.errors import InputError, ShotsortError
from sorter.io.masks import bad_pixels
from sorter.io.recording import ReadOptions, Recording
from sorter.io.survey import Surveyed
from sorter.io.zarr_store import Source, ZarrFrameStore
from sorter.io.zarr_writer import FrameBlock
from sorter.online.appending import LiveResults
from sorter.online.files import FilesSource
from sorter.online.karabo import KaraboSource
from sorter.online.queue import Parcel
from sorter.stages.conditioning import RARE_SHARE, Conditioner, make_conditioner
from sorter.stages.ingest import IngestConfig, frame_block

log = logging.getLogger(__name__)


def is_stream(source: object) -> bool:
    """Whether a source is the address of a stream, not a path."""
    return "://" in str(source)


class Incoming:
    """A source of frames that are recorded just now, and what makes them frames of the work folder.

    source: what is polled for parcels. refuse: is told of n frames that do not fit, and why. dataset, pattern: see
    `sorter.stages.watch.WatchConfig`.
    """

    def __init__(
        self, path: str, store: ZarrFrameStore, results: LiveResults, refuse: Callable[[int, str], None],
        dataset: str | None, pattern: str,
    ) -> None:  # fmt: skip
        self._store, self._refuse = store, refuse
        self._ingest = config_from_dict(IngestConfig, dict(store.info.ingest["config"]))
        self._conditioners: dict[tuple[str, str], Conditioner] = {}
        self._paths: dict[tuple[str, str], str] = {}
        self.source: FilesSource | KaraboSource
        if is_stream(path):
            ny, nx = map(int, store.mask_recorded.shape)
            self.source = KaraboSource(path, (ny, nx), dataset, pattern, self._accept, results.indices, refuse)
        else:
            convention = self._ingest.mask_convention if self._ingest.mask is None else None
            options = ReadOptions(dataset or self._ingest.dataset, convention, live=True)
            self.source = FilesSource(path, options, self._accept, results.missing, refuse)

    def _accept(self, recording: Recording, source: Source) -> None:
        """Prepare for the frames of a file or stream. Raises InputError where they do not fit those of the work folder."""
        key = source.run_id, source.dataset
        same = self._paths.setdefault(key, source.absolute_path)
        if same != source.absolute_path:
            raise InputError(
                f"{source.path}: has the name (or run id) of {same}, so their frames cannot be told apart; rename it"
            )
        surveyed = Surveyed(recording, source, ReadOptions())
        conditioner = make_conditioner([surveyed], self._ingest, self._store)
        self._check_mask(source.path, bad_pixels(conditioner.mask_bits), bad_pixels(self._store.mask_recorded))
        self._conditioners[key] = conditioner

    def _check_mask(self, path: str, new: NDArray[np.bool_], known: NDArray[np.bool_]) -> None:
        """Frames are sorted with the mask of the work folder: what only the new one takes would count as recorded."""
        more = float((new & ~known).mean())
        if more > RARE_SHARE:
            raise InputError(
                f"{path}: its mask takes {new.mean():.0%} of the detector, that of the work folder {known.mean():.0%}; sort some"
                " of its frames into a new work folder, and watch with that"
            )
        if more:
            log.warning(
                "%s: its mask takes %d pixels that the work folder's does not; they are taken as recorded",
                path,
                (new & ~known).sum(),
            )

    def read(self, taken: list[Parcel]) -> tuple[list[Parcel], list[tuple[Source, FrameBlock]]]:
        """The parcels that could be read, and their frames, each unbroken run of them as one block; the others are refused."""
        kept: list[Parcel] = []
        blocks: list[tuple[Source, FrameBlock]] = []
        for run in unbroken(taken):
            try:
                blocks.append(self._block(run))
                kept += run
            except (ShotsortError, OSError) as error:
                if len(run) == 1:
                    self._refuse(run[0].n_frames, str(error))
                    continue
                for part in map(self.read, ([parcel] for parcel in run)):
                    kept += part[0]
                    blocks += part[1]
        return kept, blocks

    def _block(self, run: list[Parcel]) -> tuple[Source, FrameBlock]:
        source = run[0].origin.source
        with run[0].origin.open() as reader:
            conditioner = self._conditioners[source.run_id, source.dataset]
            return source, frame_block(reader, conditioner, 0, run[0].start, run[-1].stop)


def unbroken(parcels: list[Parcel]) -> list[list[Parcel]]:
    """Parcels in groups of neighbours, each of which begins where the one before it ends."""
    runs: list[list[Parcel]] = []
    for parcel in parcels:
        last = runs[-1][-1] if runs else None
        if last is not None and last.origin is parcel.origin and last.stop == parcel.start:
            runs[-1].append(parcel)
        else:
            runs.append([parcel])
    return runs
