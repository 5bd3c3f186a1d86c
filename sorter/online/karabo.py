"""Frames from a ZeroMQ stream in the Karabo bridge protocol, as the European XFEL serves its detectors.

One message is one train: {source: {key: value}}, with the frames of the train in an array of a source. Their axes are
(pulse, module, y, x), (pulse, y, x) or (y, x), or, as the facility's online calibration sends them, with the pulses last; which
one it is follows from the shape that the frames must have.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.core.errors import InputError
from sorter.core.geometry import Geometry
from sorter.io.recording import Reader, Recording
from sorter.io.zarr_store import Source
from sorter.online.files import Accept, Refuse
from sorter.online.queue import Parcel, SourceAway, parcels

#: Indices of the frames of a source that are stored.
Stored = Callable[[Source], NDArray[np.int64]]
PATTERNS = ("REQ", "SUB", "PULL")
#: Frames are counted from this times the train's id; no train holds as many pulses.
PULSES_PER_TRAIN = 4096
_WAIT_S = 0.2
#: After so long without a train the connection is made anew: a server that was restarted has forgotten our request.
_SILENT_S = 5.0
_IMAGE_KEYS = ("image.data", "data.image.data", "data.image", "data.adc")
#: Numbers that go with each pulse, under the name that they get as columns.
_PER_PULSE = {"image.pulseId": "pulse_id", "image.cellId": "cell_id"}


class Train(Reader):
    """The frames of one train, in memory, under the indices that they have in the stream."""

    name = "karabo"
    can_wait = False

    def __init__(
        self, source: Source, recording: Recording, frames: NDArray, first: int, columns: Mapping[str, NDArray]
    ):
        self.source, self.recording, self.first = source, recording, first
        self._frames, self._columns = frames, columns

    def __len__(self) -> int:
        return len(self._frames)

    @contextmanager
    def open(self) -> Iterator[Train]:
        """Itself."""
        yield self

    def read(self, start: int, stop: int) -> NDArray:
        """(stop - start, ny, nx) frames."""
        return self._frames[start - self.first : stop - self.first]

    def columns(self, start: int, stop: int) -> dict[str, NDArray]:
        """train_id, and pulse_id, cell_id where the stream has them."""
        return {name: values[start - self.first : stop - self.first] for name, values in self._columns.items()}


class KaraboSource:
    """New frames of a Karabo bridge.

    endpoint: tcp://HOST:PORT; shape_px of the recorded frames; dataset: SOURCE, or SOURCE/KEY with a key of the source's
    data (None: the only one that looks like frames); pattern: one of PATTERNS, the counterpart of the server's socket.
    """

    def __init__(
        self,
        endpoint: str,
        shape_px: tuple[int, int],
        dataset: str | None,
        pattern: str,
        accept: Accept,
        stored: Stored,
        refuse: Refuse,
    ) -> None:
        self.endpoint, self._shape_px, self._wanted, self._pattern = endpoint, shape_px, dataset, pattern
        self._accept, self._stored, self._refuse = accept, stored, refuse
        self._client: Any = None
        self._heard_s = time.monotonic()
        self._known: dict[str, tuple[Source, Recording]] = {}
        self._trains: dict[str, set[int]] = {}
        self._connect()

    def _connect(self) -> None:
        try:
            import zmq
            from karabo_bridge import Client
        except ImportError:
            raise InputError(
                f"{self.endpoint}: needs the Karabo bridge client; pip install 'shotsort[online]'"
            ) from None
        self.close()
        context = zmq.Context()
        try:
            self._client = Client(self.endpoint, sock=self._pattern, timeout=_WAIT_S, context=context)
        except Exception as error:  # ZMQError, and whatever a malformed address makes the client do
            context.destroy(linger=0)  # left to the garbage collector, it may wait for its socket for ever
            raise InputError(f"{self.endpoint}: no address of a stream ({error}); give tcp://HOST:PORT") from error

    def close(self) -> None:
        """Let go of the connection."""
        if self._client is not None:
            self._client.__exit__(None, None, None)
            self._client = None

    def poll(self) -> list[Parcel]:
        """The frames of the next train; none where none comes for a moment. Raises SourceAway after a longer silence."""
        try:
            data, meta = self._client.next()
        except TimeoutError:
            if time.monotonic() - self._heard_s < _SILENT_S:
                return []
            self._connect()
            raise SourceAway(f"{self.endpoint}: no train for {_SILENT_S:.0f} s") from None
        now = self._heard_s = time.monotonic()
        try:
            name, key = _frames_of(data, self._wanted, self.endpoint)
        except InputError as error:
            self._refuse(1, str(error))
            return []
        try:
            train = self._train(name, key, data[name], meta.get(name, {}))
        except InputError as error:
            self._refuse(_count(data[name][key]), str(error))
            return []
        return [] if train is None else parcels(train, train.first, train.first + len(train), now)

    def _train(self, name: str, key: str, values: dict[str, Any], meta: dict[str, Any]) -> Train | None:
        """The frames of a train; None where they are stored already. Raises InputError where they do not fit."""
        frames = as_frames(np.asarray(values[key]), self._shape_px)
        if frames is None:
            found = " x ".join(map(str, np.shape(values[key])))
            raise InputError(
                f"{self.endpoint}: {name} {key} holds {np.asarray(values[key]).dtype} of shape {found}; frames of"
                f" {self._shape_px[0]} x {self._shape_px[1]} pixels, numbers, are sorted here"
            )
        dataset = f"{name}/{key}"
        if dataset not in self._known:
            recording = Recording(self.endpoint, dataset, name, "karabo", 0, frames.dtype, Geometry(self._shape_px))
            source = Source(self.endpoint, dataset, name, 0, None, self.endpoint, "karabo")
            self._accept(recording, source)
            self._known[dataset] = source, recording
            self._wanted = self._wanted or dataset  # another array in a later train is not what is sorted here
            self._trains[dataset] = set((self._stored(source) // PULSES_PER_TRAIN).tolist())
        source, recording = self._known[dataset]
        if not np.can_cast(frames.dtype, recording.dtype):
            raise InputError(
                f"{self.endpoint}: {name} {key} holds {frames.dtype}, its first train held {recording.dtype}; watch it anew"
            )
        n, trains = len(frames), self._trains[dataset]
        train_id = int(meta.get("timestamp.tid", max(trains, default=0) + 1))
        if train_id in trains:
            return None
        trains.add(train_id)
        columns = {"train_id": np.full(n, train_id, np.int64)}
        for there, column in _PER_PULSE.items():
            if np.shape(values.get(there, ())) == (n,):
                columns[column] = np.asarray(values[there]).astype(np.int64)
        return Train(source, recording, frames, train_id * PULSES_PER_TRAIN, columns)


def as_frames(values: NDArray, shape_px: tuple[int, int]) -> NDArray | None:
    """The array of a train as frames (n, ny, nx) of that shape, modules stacked along y; None where it does not fit."""
    ny, nx = shape_px
    if values.dtype.kind not in "uif":
        return None
    one = values[None] if values.ndim == 2 or (values.ndim == 3 and values.shape[0] * values.shape[1] == ny) else values
    for frames in (one, np.moveaxis(values, -1, 0) if values.ndim > 2 else one):
        if frames.ndim == 4 and frames.shape[3] == nx and frames.shape[1] * frames.shape[2] == ny:
            frames = frames.reshape(len(frames), ny, nx)
        if frames.ndim == 3 and frames.shape[1:] == (ny, nx) and len(frames) < PULSES_PER_TRAIN:
            return frames
    return None


def _count(values: NDArray) -> int:
    """Frames that an array which does not fit seems to hold."""
    shape = np.shape(values)
    return int(shape[-1] if len(shape) == 4 else shape[0] if len(shape) == 3 else 1)


def _frames_of(data: dict[str, Any], wanted: str | None, endpoint: str) -> tuple[str, str]:
    """Source and key of the frames in a train. Raises InputError that lists what is there."""
    arrays = [
        (name, key)
        for name, values in data.items()
        for key, value in values.items()
        if isinstance(value, np.ndarray) and value.ndim >= 2 and min(value.shape[:2]) > 0
    ]
    if wanted is not None:
        fits = [(name, key) for name, key in arrays if wanted in (name, f"{name}/{key}")]
    else:
        fits = arrays
    named = [(name, key) for name, key in fits if key in _IMAGE_KEYS]
    chosen = named or fits
    if len(chosen) != 1:
        there = ", ".join(f"{name}/{key}" for name, key in arrays[:12]) or "no arrays"
        what = "holds no such frames" if not chosen else "holds several arrays that could be the frames"
        raise InputError(f"{endpoint}: a train {what} (there: {there}); choose with --dataset SOURCE/KEY")
    return chosen[0]
