"""Weights of a network of a stage, and a card for people beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sorter.core.errors import InputError
from sorter.core.manifest import software_versions
from sorter.io.weights import read_arrays, write_arrays


def save_weights(model: nn.Module, path: str | Path, kind: str, meta: dict[str, Any]) -> None:
    """Write the state of ``model``; kind: the stage ("speckle"); meta: JSON-ready (architecture, classes, training, figures)."""
    state = {name: value.detach().cpu().numpy() for name, value in model.state_dict().items()}
    write_arrays(path, state, kind, {"software": software_versions(), **meta})


def read_weights(path: str | Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The state and meta of a file of weights. Raises InputError, see `sorter.io.weights.read_arrays`."""
    arrays, meta = read_arrays(path, kind, f"recon {kind} train")
    return {name: torch.from_numpy(array) for name, array in arrays.items()}, meta


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


def figures_section(texts: dict[str, str], figures: dict[str, Any] | None) -> dict[str, str]:
    """The section "Figures" of a card, nothing where there are none; texts: what a person reads for each key of ``figures``."""
    if not figures:
        return {}
    lines = [f"- {text}: {figures[key]:.4g}" for key, text in texts.items() if figures.get(key) is not None]
    return {"Figures": "\n".join([*lines, f"- test seed {figures['seed']}"])}


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
