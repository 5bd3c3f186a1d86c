"""Weights of a network with all that is needed to use them, in one safetensors file: arrays and JSON, no code, no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from sorter.core.errors import InputError
from sorter.io.whole import whole_file, writing

SCHEMA_VERSION = 1
_META = "shotsort"


def write_arrays(path: str | Path, arrays: dict[str, NDArray], kind: str, meta: dict[str, Any]) -> None:
    """Write ``arrays`` and ``meta`` (JSON-ready); kind: whose weights these are ("speckle"). Raises WorkFolderError."""
    path = Path(path)
    text = json.dumps({"schema_version": SCHEMA_VERSION, "kind": kind, **meta})
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial:
        partial.write_bytes(save({name: np.asarray(a, order="C") for name, a in arrays.items()}, {_META: text}))


def read_arrays(path: str | Path, kind: str, command: str) -> tuple[dict[str, NDArray], dict[str, Any]]:
    """The arrays and meta of a file that `write_arrays` has written; command: what writes such files, for the message.

    Raises InputError where the file is missing, something else, of another kind, or written by a newer version.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such weights; give a .safetensors file that '{command}' has written")
    try:
        with safe_open(path, "numpy") as file:
            meta = json.loads((file.metadata() or {})[_META])
            arrays = {name: np.asarray(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise InputError(f"{path}: not weights of shotsort ({error})") from error
    if meta.get("kind") != kind:
        raise InputError(f"{path}: weights of '{meta.get('kind')}', not of '{kind}'; '{command}' makes those")
    if meta["schema_version"] > SCHEMA_VERSION:
        raise InputError(f"{path}: written by a newer shotsort (schema {meta['schema_version']}); update shotsort")
    return arrays, meta
