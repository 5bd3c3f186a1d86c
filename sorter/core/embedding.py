"""One vector per frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.core.errors import InputError
from sorter.core.identity import ascending

SCHEMA_VERSION = 1


def check_rows(what: str, frame_id: NDArray[np.uint64], **arrays: NDArray) -> None:
    """Raise InputError unless ids are unique and each array has one row per id."""
    if len(ascending(frame_id)) != len(frame_id):
        raise InputError(f"{what}: frame_id holds the same frame twice")
    for name, array in arrays.items():
        if len(array) != len(frame_id):
            raise InputError(f"{what}: {name} has {len(array)} rows for {len(frame_id)} frames")


@dataclass(frozen=True)
class Embedding:
    """name; frame_id (N,) uint64; vectors (N, d) float32; meta: how it was made (model, config), JSON-ready."""

    name: str
    frame_id: NDArray[np.uint64]
    vectors: NDArray[np.float32]
    meta: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_rows(f"embedding {self.name}", self.frame_id, vectors=self.vectors)
        if self.vectors.ndim != 2:
            raise InputError(f"embedding {self.name}: vectors of shape {self.vectors.shape}: need (N, d)")


@dataclass(frozen=True)
class Layout:
    """A 2-D embedding for looking at: name; frame_id (N,) uint64; xy (N, 2) float32; meta."""

    name: str
    frame_id: NDArray[np.uint64]
    xy: NDArray[np.float32]
    meta: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_rows(f"layout {self.name}", self.frame_id, xy=self.xy)
        if self.xy.ndim != 2 or self.xy.shape[1] != 2:
            raise InputError(f"layout {self.name}: xy of shape {self.xy.shape}: need (N, 2)")
