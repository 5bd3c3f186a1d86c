"""A trained network with all that frames need to reach it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from sorter.core.config import config_from_dict
from sorter.core.errors import InputError, MissingResultError
from sorter.core.frames import FrameStore
from sorter.io.whole import whole_file, write_text_whole, writing
from sorter.models.contrastive import ContrastiveModel, ContrastiveModelConfig
from sorter.models.factor_vae import FactorVAE, FactorVAEConfig
from sorter.preprocess.canonical import canonical
from sorter.preprocess.polar import PolarGrid, PolarMap
from sorter.preprocess.scaling import log_scaled, polar_picture

SCHEMA_VERSION = 1
NETWORKS: dict[str, tuple[type[nn.Module], type]] = {
    "contrastive": (ContrastiveModel, ContrastiveModelConfig),
    "factorvae": (FactorVAE, FactorVAEConfig),
}

#: A model takes no frames of which so much of the polar map is masked otherwise than where it was trained.
_OTHER_MASK = 0.1


@dataclass(frozen=True)
class ModelCard:
    """What stands in ``config.json`` beside the weights. All values JSON-ready.

    kind: key of NETWORKS; network: its config; grid: the `PolarGrid`; shape_px and unit of the frames it was trained on;
    softening: see `log_scaled`; align: whether pictures are turned into the canonical orientation first; training: record;
    seen: `seen_sectors` of those frames, None in models of earlier versions.
    """

    kind: str
    network: dict[str, Any]
    grid: dict[str, Any]
    shape_px: tuple[int, int]
    unit: str
    softening: float
    align: bool = False
    training: dict[str, Any] = field(default_factory=dict)
    seen: str | None = None
    schema_version: int = SCHEMA_VERSION


def seen_sectors(polar: PolarMap) -> str:
    """Which sectors of a polar map have good pixels: bits, as hexadecimal text."""
    return np.packbits(polar.area.cpu().numpy() > 0).tobytes().hex()


def _sectors(text: str, n: int) -> NDArray[np.bool_]:
    return np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8), count=n).astype(bool)


def build_network(kind: str, config: dict[str, Any]) -> nn.Module:
    """A fresh network of ``kind``. Raises InputError for a kind that is not known."""
    if kind not in NETWORKS:
        raise InputError(f"model '{kind}': not known; there are {', '.join(NETWORKS)}")
    network, config_class = NETWORKS[kind]
    return network(config_from_dict(config_class, config))


class PolarModel(nn.Module):
    """From sector counts (B, S) to embedding vectors (B, d): picture, scaling, orientation, network."""

    def __init__(self, card: ModelCard, network: nn.Module) -> None:
        super().__init__()
        self.card, self.network = card, network
        self.grid = PolarGrid(**card.grid)
        self.register_buffer("index", torch.from_numpy(self.grid.expand), persistent=False)

    def pictures(self, counts: Tensor, area: Tensor) -> tuple[Tensor, Tensor]:
        """Scaled pictures and weights, (B, R, T) each, of counts (B, S); area (S,): see `PolarMap`."""
        rate, weight = polar_picture(counts, area, self.index)
        picture = log_scaled(rate, weight, self.card.softening)
        return canonical(picture, weight) if self.card.align else (picture, weight)

    def forward(self, counts: Tensor, area: Tensor) -> Tensor:
        """Embedding vectors (B, d)."""
        return self.network.encode(*self.pictures(counts, area))  # type: ignore[operator]

    def map_for(self, store: FrameStore) -> PolarMap:
        """The polar map of a store's frames. Raises InputError where the model was trained on other frames."""
        if tuple(self.card.shape_px) != tuple(store.shape_px):
            raise InputError(
                f"model '{self.card.kind}' was trained on frames of {tuple(self.card.shape_px)} pixels, these are"
                f" {tuple(store.shape_px)}; train it on these frames, or ingest them with the same binning"
            )
        if self.card.unit != store.unit:
            raise InputError(
                f"model '{self.card.kind}' was trained on frames in {self.card.unit}, these are in {store.unit};"
                " train it on these frames"
            )
        polar = PolarMap.of_store(store, self.grid)
        self._check_mask(polar)
        return polar

    def _check_mask(self, polar: PolarMap) -> None:
        """Masks may differ a little (views have gaps in them), but not by a module."""
        if self.card.seen is None:
            return
        before, now = (_sectors(text, len(polar.area)) for text in (self.card.seen, seen_sectors(polar)))
        other = float((before != now).sum() / max(1, (before | now).sum()))
        if other > _OTHER_MASK:
            raise InputError(
                f"model '{self.card.kind}' was trained with another mask: {before.mean():.0%} of the polar map were seen then,"
                f" {now.mean():.0%} are in these frames, {other:.0%} differ; train it on these frames, or ingest them with"
                " that mask (--mask)"
            )


def save_model(folder: Path, model: PolarModel) -> None:
    """Write ``weights.safetensors`` and ``config.json``; the config comes last, so a folder that has it is whole."""
    state = {name: value.detach().cpu().contiguous() for name, value in model.network.state_dict().items()}
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / "weights.safetensors") as partial:
        partial.write_bytes(save(state))
    write_text_whole(folder / "config.json", json.dumps(asdict(model.card), indent=1, allow_nan=False) + "\n")


def load_model(folder: Path) -> PolarModel:
    """The model in ``folder``, ready to embed. No code is loaded, only numbers and JSON.

    Raises MissingResultError where there is none, InputError for a newer schema or weights that do not fit their config.
    """
    try:
        values = json.loads((folder / "config.json").read_text())
    except FileNotFoundError:
        raise MissingResultError(f"{folder}: no trained model here; run 'shotsort train' first") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{folder}/config.json: not JSON ({error}); train again") from error
    if values.get("schema_version", 0) > SCHEMA_VERSION:
        raise InputError(f"{folder}: written by a newer shotsort (schema {values['schema_version']}); update shotsort")
    card = config_from_dict(ModelCard, values)
    network = build_network(card.kind, card.network)
    try:
        network.load_state_dict(load_file(str(folder / "weights.safetensors")))
    except (OSError, RuntimeError, SafetensorError) as error:
        first = str(error).splitlines()[0]
        raise InputError(
            f"{folder}/weights.safetensors: does not fit its config.json ({first}); train again"
        ) from error
    return PolarModel(card, network).eval()
