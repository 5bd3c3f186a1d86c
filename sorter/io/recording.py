"""What every adapter of a recorded file offers: a description, and frames and columns by range."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sorter.core.errors import InputError
from sorter.core.frames import Unit
from sorter.core.geometry import Geometry

#: Machine data with more values per frame than this are not carried along.
MAX_COLUMN_VALUES = 64


@dataclass(frozen=True)
class ReadOptions:
    """What a person says about files: dataset of the frames, convention of the mask in the file (one of masks.CONVENTIONS).

    live: the file may be recorded just now: it is read without a lock, which could stop its writer.
    """

    dataset: str | None = None
    mask_convention: str | None = None
    live: bool = False


@dataclass(frozen=True)
class Recording:
    """What a recorded file says of itself.

    path: as it was given; dataset: where in the file the frames are; run_id: the run's id in the file, else the base name;
    reader: name in the table of adapters; dtype: of the recorded values; unit: None where the file does not say;
    mask_bits: (ny, nx) uint32 CXI flags, 0 = perfect, or None; has_frame_masks: `Reader.read_bad` gives a mask per frame;
    remarks: what a person should know of (one line each).
    """

    path: str
    dataset: str
    run_id: str
    reader: str
    n_frames: int
    dtype: np.dtype
    geometry: Geometry
    unit: Unit | None = None
    mask_bits: NDArray[np.uint32] | None = None
    has_frame_masks: bool = False
    remarks: tuple[str, ...] = ()

    @property
    def shape_px(self) -> tuple[int, int]:
        """(ny, nx) of a recorded frame."""
        return self.geometry.shape_px


class Reader(ABC):
    """An open recorded file, a context manager. Raises InputError where the file cannot be read as frames."""

    name: ClassVar[str]
    recording: Recording
    #: Whether `refresh` can find more frames than there were at first.
    grows: bool = False

    @abstractmethod
    def __init__(self, path: str | Path, options: ReadOptions) -> None:
        """Open ``path``."""

    @abstractmethod
    def read(self, start: int, stop: int) -> NDArray:
        """(stop - start, ny, nx) frames in their recorded type."""

    def read_bad(self, start: int, stop: int) -> NDArray[np.bool_]:
        """(stop - start, ny, nx) bad pixels of each frame; only where ``recording.has_frame_masks``."""
        raise NotImplementedError(f"{self.name} has no mask per frame")

    def columns(self, start: int, stop: int) -> Mapping[str, NDArray]:
        """Machine data of frames start..stop-1: name -> (stop - start, ...) numbers or text."""
        return {}

    def truth(self, start: int, stop: int) -> Mapping[str, NDArray]:
        """Truth of frames start..stop-1 where they were simulated: name -> (stop - start, ...) numbers or text."""
        return {}

    def refresh(self) -> int:
        """Number of frames that can be read now; it grows where the file does."""
        return self.recording.n_frames

    def close(self) -> None:  # noqa: B027  most readers hold nothing open
        """Let go of the file."""

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def require_file(path: str | Path) -> Path:
    """The path, if there is something to read. Raises InputError."""
    found = Path(path)
    if not found.exists():
        raise InputError(f"{path}: no such file; check the name")
    return found


def check_frames(path: str | Path, dataset: str, shape: tuple[int, ...]) -> None:
    """Raise InputError unless ``shape`` is (N, ny, nx) with something in it."""
    if len(shape) != 3:
        raise InputError(f"{path}: {dataset} has shape {shape}; frames need three axes (N, ny, nx)")
    if shape[0] == 0:
        raise InputError(f"{path}: {dataset} holds zero frames; nothing to ingest")
    if 0 in shape:
        raise InputError(f"{path}: {dataset} has shape {shape}; its frames have no pixels")
