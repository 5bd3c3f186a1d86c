"""Weights of a network with all that is needed to use them, in one safetensors file, and a card for people beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from sorter.core.errors import InputError
from sorter.core.manifest import software_versions
from sorter.io.whole import whole_file, writing

SCHEMA_VERSION = 1


def save_weights(model: nn.Module, path: str | Path, kind: str, meta: dict[str, Any]) -> None:
    """Write the state of ``model``; kind: the stage ("speckle"); meta: JSON-ready (architecture, classes, training, figures)."""
    path = Path(path)
    meta = {"schema_version": SCHEMA_VERSION, "kind": kind, "software": software_versions(), **meta}
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial:
        partial.write_bytes(save(state, {"shotsort": json.dumps(meta)}))


def read_weights(path: str | Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The state and meta of a file of weights.

    Raises InputError where it is missing, no such file, of another stage, or written by a newer version.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such weights; give a .safetensors file that 'recon {kind} train' has written")
    try:
        with safe_open(path, "pt") as file:
            meta = json.loads((file.metadata() or {})["shotsort"])
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise InputError(f"{path}: not weights of shotsort ({error})") from error
    if meta["kind"] != kind:
        raise InputError(f"{path}: weights of recon {meta['kind']}, not of recon {kind}")
    if meta["schema_version"] > SCHEMA_VERSION:
        raise InputError(f"{path}: written by a newer shotsort (schema {meta['schema_version']}); update shotsort")
    return state, meta


def load_into(model: nn.Module, state: dict[str, Tensor], path: str | Path) -> nn.Module:
    """``model`` with these weights, in eval mode. Raises InputError where they do not fit."""
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        first = str(error).splitlines()[0]
        raise InputError(f"{path}: weights do not fit the network that they name ({first})") from error
    return model.eval()


def write_card(path: str | Path, title: str, sections: dict[str, str]) -> None:
    """A model card in Markdown: what it does, data, command, figures, limits."""
    parts = [f"# {title}", *(f"## {name}\n{text.strip()}" for name, text in sections.items())]
    Path(path).write_text("\n\n".join(parts) + "\n")


def n_parameters(model: nn.Module) -> int:
    """Number of trained values."""
    return sum(p.numel() for p in model.parameters())


def pick_device(name: str) -> torch.device:
    """The device ``name``: "cpu", "cuda" or "auto" (a GPU where there is one). Raises InputError where it is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"device {name}: no CUDA device here; use --device cpu")
    return torch.device(name)
