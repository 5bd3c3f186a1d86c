"""Pre-train an encoder on simulated pairs and store it with its card."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from apps.pretrain.config import FieldsConfig, also_called
from apps.pretrain.detectors import random_detectors
from apps.pretrain.fields import REACH, make_fields
from sim.detector.config import LayoutConfig
from sorter.core.config import require
from sorter.io.whole import write_text_whole
from sorter.models.contrastive import ContrastiveModel
from sorter.models.pretrained import n_parameters, save_pretrained
from sorter.train.config import PairConfig
from sorter.train.pretrain import pretrain
from sorter.views.shots import USUAL_OUTER_PX, ShotConfig

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PretrainConfig:
    """Settings of `shotsort pretrain`.

    to: the .safetensors file; a card of the same name ending in .md comes beside it. folder: where patterns and checkpoints are
    kept. fields: the patterns. pairs: the training. shots: what differs from shot to shot. detectors: how many different
    ones. without: kinds that are left out, wherever they occur and whatever they are called there (`also_called`).
    """

    to: str
    folder: str = "pretrain"
    fields: FieldsConfig = field(default_factory=FieldsConfig)
    pairs: PairConfig = field(default_factory=PairConfig)
    shots: ShotConfig = field(default_factory=ShotConfig)
    detectors: int = 64
    without: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require(self.to.endswith(".safetensors"), f"--to {self.to}: give a name that ends in .safetensors")
        require(self.detectors >= 1, f"detectors = {self.detectors}: need at least 1")


def pretrain_encoder(config: PretrainConfig) -> tuple[ContrastiveModel, dict[str, Any]]:
    """Compute the patterns that are missing, train, store. Returns the network and its meta.

    The same config gives the same weights on the same machine. A call that was stopped goes on. Raises InputError for a kind
    that is not there to be left out.
    """
    folder, seed = Path(config.folder), config.pairs.seed
    bank = make_fields(folder / "fields", config.fields)
    if config.without:
        bank = bank.without(config.without, also_called(config.without))
        log.info("pretrain: %d patterns are left without %s", len(bank), ", ".join(config.without))
    detectors = random_detectors(config.detectors, seed, config.pairs.n_radii, config.pairs.n_angles)
    inputs = {"fields": asdict(config.fields), "detectors": config.detectors, "without": list(config.without)}
    network, record = pretrain(bank, detectors, config.shots, config.pairs, folder / Path(config.to).stem, inputs)
    layout = LayoutConfig().geometry()
    tan_edge = layout.shape_px[0] / 2 * layout.pixel_size_m / layout.distance_m  # type: ignore[operator]
    scale = {
        "softening": config.shots.softening,
        "usual_outer_px": USUAL_OUTER_PX,
        "largest_tan_two_theta": REACH * tan_edge,
    }
    meta = {**record, "scale": scale, "kinds": sorted(set(bank.kind.tolist())), "parameters": n_parameters(network)}
    save_pretrained(config.to, network, meta)
    write_text_whole(Path(config.to).with_suffix(".md"), card(Path(config.to).stem, meta))
    return network, meta


def card(name: str, meta: dict[str, Any]) -> str:
    """The model card, Markdown."""
    pairs, fields, without = meta["config"], meta["fields"], meta["without"]
    words = [
        "shotsort pretrain",
        f"--to {name}.safetensors",
        f"--fields {fields['fields']}",
        f"--steps {pairs['steps']}",
    ]
    words += [f"--seed {pairs['seed']}"] + ([f"--without {' '.join(without)}"] if without else [])
    sources = ", ".join(f"{share:.0%} {source}" for source, share in pairs["shares"].items())
    return f"""# {name}: encoder pre-trained on simulated pairs

## What it does
One unit vector ({meta["network"]["projection_dim"]} numbers) per diffraction frame, the same for a frame that is turned about \
the beam, mirrored, brighter or dimmer, and close for the same kind of particle in another orientation and size. Frames of any \
size, mask and geometry: they are summed on a polar grid of {pairs["n_radii"]} rings x {pairs["n_angles"]} sectors about the \
beam. {meta["parameters"]} trained values.

## Data
Simulated only: {meta["patterns"]} far fields ({sources} of the training shots), each shown in fresh shots: other detector, \
mask, beam centre, angle about the beam, brightness, background and noise each time. Seeds are derived, 63-bit: no run of \
`shotsort sim --seed N` is among them. Kinds: {", ".join(meta["kinds"])}. Left out: {", ".join(without) or "none"}.

## Training
`{" ".join(words)}`: {meta["steps"]} steps of {pairs["batch"]} shots, {meta["seconds"]:.0f} s on the machine that made it (one \
CPU thread, other work beside it). Supervised contrastive loss over kinds, over single bodies where a kind is a wide family, \
with cross-entropy over kinds; all settings are in the metadata of the weights.

## Limits
It saw the names of these kinds: of runs that hold them it is a classifier, not an unsupervised method. Figures on kinds left \
out, other recipes, masks and geometries: docs/pretraining.md.
"""
