"""Run folders of the European XFEL, through EXtra-data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sorter.core.errors import InputError
from sorter.core.geometry import Geometry
from sorter.io.hdf5_tree import natural_key
from sorter.io.masks import bad_pixels, to_cxi_bits
from sorter.io.recording import Reader, ReadOptions, Recording, check_frames, require_file

#: Keys of detectors and cameras that hold images, the likeliest first.
_IMAGE_KEYS = ("image.data", "data.adc", "data.image.pixels", "data.image.data")
_MODULE = re.compile(r"(/(?:DET|CORR)/\D*)\d+(?=(?:CH0)?[:/])")


class EuxfelReader(Reader):
    """Frames of one detector of a run: those of all its modules, stacked along y; trains in which a module is missing are left
    out, and said so. Frames are told by trainId and pulseId, which are carried along."""

    name: ClassVar[str] = "euxfel"

    def __init__(self, path: str | Path, options: ReadOptions) -> None:
        try:
            import extra_data
        except ImportError:
            raise InputError(
                f"{path}: an EuXFEL run needs EXtra-data; install it with: pip install 'shotsort[euxfel]'"
            ) from None
        self._path = path
        found = require_file(path)
        try:
            run: Any = extra_data.RunDirectory(str(found))
        except Exception as error:  # EXtra-data raises whatever its files meet
            raise InputError(f"{path}: cannot be opened as a EuXFEL run ({error}); check the folder") from error
        detector, self._key, modules = self._choose(_detectors(run), options.dataset)
        complete = run.select([(source, self._key) for source in modules], require_all=True)
        self._data = [complete[source, self._key] for source in modules]
        *cells, ny, nx = self._data[0].entry_shape
        self._tile, self._cells = (ny, nx), int(np.prod(cells))
        if self._cells == 2:
            raise InputError(
                f"{path}: {detector} is raw (data and gain stages in one array); give the run that the facility calibrated"
            )
        self._per_train = self._counts(detector) * self._cells
        self._ends = np.cumsum(self._per_train)
        n = int(self._per_train.sum())
        check_frames(path, detector, (n, ny, nx))
        self._run, self._modules, self._convention = run, modules, options.mask_convention or "euxfel"
        self._mask = self._beside("mask")
        per_frame = {name: self._beside(name) for name in ("pulseId", "cellId")}
        self._extra = {name: keys[0] for name, keys in per_frame.items() if keys and self._cells == 1}
        lost = len(run.train_ids) - len(complete.train_ids)
        remarks = [f"{len(modules)} modules are stacked along y, not assembled"] if len(modules) > 1 else []
        if lost:
            remarks.append(f"{lost} of {len(run.train_ids)} trains lack a module and are left out")
        self.recording = Recording(
            str(path), f"{detector}/{self._key}", _run_id(run, found), self.name, n, np.dtype(self._data[0].dtype),
            Geometry((ny * len(modules), nx)), has_frame_masks=bool(self._mask), remarks=tuple(remarks),
        )  # fmt: skip

    def _choose(self, found: Mapping[tuple[str, str], list[str]], wanted: str | None) -> tuple[str, str, list[str]]:
        there = ", ".join(f"{d}/{k} ({len(m)} modules)" for (d, k), m in found.items()) or "none"
        names = [(d, k) for d, k in found if wanted is None or wanted.strip("/") in (d, f"{d}/{k}")]
        if len(names) != 1:
            what = "no image detector" if not names else f"{len(names)} detectors could be meant"
            raise InputError(f"{self._path}: {what}; there are: {there}; choose with --dataset")
        return *names[0], found[names[0]]

    def _counts(self, detector: str) -> NDArray[np.int64]:
        """Frames per train, the same in all modules."""
        counts = [np.asarray(d.data_counts(labelled=False), np.int64) for d in self._data]
        if any(not np.array_equal(c, counts[0]) for c in counts[1:]):
            raise InputError(
                f"{self._path}: modules of {detector} have different numbers of frames per train; check the run"
            )
        return counts[0]

    def _beside(self, name: str) -> list[Any]:
        """The key ``image.NAME`` of all modules where all have it."""
        key = f"{self._key.rsplit('.', 1)[0]}.{name}"
        if any(key not in self._run.keys_for_source(source) for source in self._modules):
            return []
        chosen = self._run.select_trains(_by_id(self._data[0].train_ids))
        return [chosen[source, key] for source in self._modules]

    def _rows(self, keys: Any, start: int, stop: int, depth: int = 2) -> NDArray:
        """Frames start..stop-1 of one module, ``depth`` axes each; only their trains are read."""
        first = int(np.searchsorted(self._ends, start, side="right"))
        last = int(np.searchsorted(self._ends, stop, side="left"))
        skip = start - int(self._ends[first] - self._per_train[first])
        try:
            values = keys.select_trains(np.s_[first : last + 1]).ndarray()
        except Exception as error:
            raise InputError(
                f"{self._path}: frames {start}..{stop - 1} cannot be read ({error}); check the run"
            ) from error
        return values.reshape(-1, *values.shape[values.ndim - depth :])[skip : skip + stop - start]

    def read(self, start: int, stop: int) -> NDArray:
        """(stop - start, modules * ny, nx) frames."""
        return np.concatenate([self._rows(d, start, stop) for d in self._data], axis=1)

    def read_bad(self, start: int, stop: int) -> NDArray[np.bool_]:
        """(stop - start, modules * ny, nx) from the detector's own mask (BadPixels)."""
        bits = [to_cxi_bits(self._rows(m, start, stop), self._convention) for m in self._mask]
        return bad_pixels(np.concatenate(bits, axis=1))

    def columns(self, start: int, stop: int) -> dict[str, NDArray]:
        """trainId, and pulseId and cellId where the detector has them."""
        trains = np.repeat(np.asarray(self._data[0].train_ids, np.uint64), self._per_train)
        out = {"trainId": trains[start:stop]}
        for name, keys in self._extra.items():
            out[name] = self._rows(keys, start, stop, depth=0)
        return out


def _by_id(trains: list[int]) -> Any:
    from extra_data import by_id

    return by_id[list(trains)]


def _detectors(run: Any) -> dict[tuple[str, str], list[str]]:
    """(detector, key) -> its sources in natural order; modules of one detector differ by the number after ``/DET/``."""
    found: dict[tuple[str, str], list[str]] = {}
    for source in sorted(run.instrument_sources - set(run.legacy_sources), key=natural_key):
        key = next((k for k in _IMAGE_KEYS if k in run.keys_for_source(source)), None)
        if key is not None:
            detector = _MODULE.sub(r"\1*", source).split(":")[0]
            found.setdefault((detector, key), []).append(source)
    return found


def _run_id(run: Any, found: Path) -> str:
    """Proposal and run number where the files have them, else the folder's name."""
    try:
        metadata = run.run_metadata()
        return f"p{int(metadata['proposalNumber']):06d}_r{int(metadata['runNumber']):04d}"
    except (KeyError, ValueError, OSError, TypeError):
        return found.resolve().name
