"""Train a network to see the object in its pattern."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from recon.phase.card import model_card
from recon.phase.data import CrystalData, CrystalPool, magnitudes, measured, noisy
from recon.phase.downsample import block_dct
from recon.phase.loss import aligned_error, magnitude_error, shape_and_phase_errors, shape_cross_entropy
from recon.phase.network import NETWORKS
from recon.training.loop import LoopConfig, fit
from recon.training.weights import load_into, n_parameters, pick_device, read_weights, save_weights, write_card
from sorter.core.config import config_from_dict, require
from sorter.core.errors import InputError
from sorter.core.seeds import child_rng, child_seed

_log = logging.getLogger(__name__)
KIND = "phase"
LOSSES = ("aligned", "staged", "magnitude")


@dataclass(frozen=True)
class PhaseTrainConfig:
    """network: "patterson", "complex", "chan" or "autophase", with its widths. loss: "aligned" (distance to the object, free of
    twin, shift and phase), "staged" (Chan et al. 2020: shape, then phase, then both; needs "chan") or "magnitude" (no labels).
    physics: weight of the Fourier magnitudes' error beside the labels. data: what the crystals are; unstrained: share of them
    that is without strain. batch: patterns per step. crystals: how many different ones; before: how many are drawn before the
    first step, fresh: how many more with each step."""

    network: str = "patterson"
    widths: tuple[int, ...] = (32, 64, 128)
    loss: str = "aligned"
    physics: float = 0.3
    data: CrystalData = field(default_factory=lambda: CrystalData(fewest_photons=1e4, most_photons=1e8))
    unstrained: float = 0.25
    batch: int = 16
    crystals: int = 6000
    before: int = 1000
    fresh: int = 2
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=2000, learning_rate=2e-3, average=0.995))

    def __post_init__(self) -> None:
        require(self.network in NETWORKS, f"network = {self.network}: must be one of {', '.join(NETWORKS)}")
        require(self.loss in LOSSES, f"loss = {self.loss}: must be one of {', '.join(LOSSES)}")
        require(self.loss != "staged" or self.network == "chan", "loss = staged: is for the network 'chan'")
        levels = 4 if self.network == "autophase" else 3
        require(
            len(self.widths) == levels and min(self.widths) >= 1,
            f"widths = {self.widths}: network {self.network} has {levels}",
        )
        side = NETWORKS[self.network].input_side
        require(self.data.side >= side, f"oversampling = {self.data.oversampling}: the network reads {side} voxels")
        require(
            self.batch >= 1 and self.crystals >= self.before >= 1,
            "need batch and before of at least 1, crystals >= before",
        )
        require(0 <= self.unstrained <= 1, f"unstrained = {self.unstrained}: must lie in 0..1")

    def held(self, step: int) -> int:
        """Crystals that the batch of ``step`` is drawn from."""
        return min(self.before + self.fresh * step, self.crystals)


#: The paper's training: 100,000 crystals and their unstrained twins on the object's own grid, 50 epochs in batches of 256, Adam.
_CHAN = PhaseTrainConfig(
    "chan", (64, 128, 256), "staged", 1.0, CrystalData(oversampling=1), 0.5, batch=256, crystals=100_000, before=100_000, fresh=0,
    loop=LoopConfig(steps=50 * 782, learning_rate=1e-3, warmup_steps=1, schedule="constant", weight_decay=0.0, average=0.0,
                    checkpoint_steps=782),
)  # fmt: skip
#: AutoPhaseNN's: 45,000 patterns of 64^3 with noise, 60 epochs in batches of 128, the magnitudes alone in the loss.
_AUTOPHASE = PhaseTrainConfig(
    "autophase", (32, 64, 128, 256), "magnitude", data=CrystalData(fewest_photons=1e4, most_photons=1e8), batch=128,
    crystals=45_000, before=45_000, fresh=0,
    loop=LoopConfig(steps=60 * 352, learning_rate=4e-4, average=0.0, checkpoint_steps=352),
)  # fmt: skip
#: small: what ships, half an hour on one core; complex: its complex-valued variant.
PRESETS = {
    "chan2020": _CHAN,
    "autophase": _AUTOPHASE,
    "small": PhaseTrainConfig(),
    "complex": PhaseTrainConfig("complex", (24, 48, 96)),
}


def load_network(path: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """The network in a file of weights, in eval mode, and its meta (see `train`)."""
    state, meta = read_weights(path, KIND)
    model = NETWORKS[meta["network"]](tuple(meta["widths"]))
    return load_into(model, state, path), meta


def train(
    to: str | Path, config: PhaseTrainConfig, seed: int = 0, *, device: str = "cpu", stop_at: int | None = None
) -> dict[str, Any]:
    """Train and write ``to`` (.safetensors) and its card; the run's files lie in the folder of the same name with ".run" and let
    it go on.

    stop_at: step of the schedule after which to end before its time. Returns the meta of the weights: network, widths,
    parameters, config, training. Raises InputError for impossible settings.
    """
    to = Path(to)
    require(to.suffix == ".safetensors", f"{to}: weights end in .safetensors")
    require(stop_at is None or stop_at >= 1, f"stop_at = {stop_at}: must be at least 1")
    torch.manual_seed(child_seed(seed, "phase", "network"))
    model = NETWORKS[config.network](config.widths).to(pick_device(device))
    run = to.with_suffix(".run")
    pool = CrystalPool(run / "pool", config.data, seed, config.crystals)
    begin = time.monotonic()
    history = fit(
        model, _loss(config, seed, pool), config.loop, run, {"config": asdict(config), "seed": seed}, stop_at=stop_at
    )
    steps = history[-1]["step"]
    meta = {
        "network": config.network, "widths": list(config.widths), "parameters": n_parameters(model), "seed": seed,
        "config": asdict(config),
        "training": {"steps": steps, "patterns_seen": steps * config.batch, "crystals": config.held(steps - 1),
                     "seconds": history[-1]["seconds"], "history": history},
    }  # fmt: skip
    save_weights(model, to, KIND, meta)
    write_card(to.with_suffix(".md"), *model_card(meta, to.name))
    _log.info("%s: trained (%.0f s in this call)", to, time.monotonic() - begin)
    return meta


def _loss(config: PhaseTrainConfig, seed: int, pool: CrystalPool) -> Callable[[nn.Module, int], Tensor]:
    side = NETWORKS[config.network].input_side

    def loss(model: nn.Module, step: int) -> Tensor:
        pool.grow(config.held(step))
        torch.manual_seed(child_seed(seed, "phase", "dropout", step))
        magnitude, target = _batch(config, seed, pool, step, side)
        device = next(model.parameters()).device
        magnitude, target = magnitude.to(device), target.to(device)
        if config.loss == "staged":
            return _staged(model, magnitude, target, step / config.loop.steps, config.physics)
        if config.loss == "magnitude":
            if config.network == "autophase":  # raised as training goes, as AutoPhaseNN does
                model.threshold.fill_(0.07 + 0.03 * step / config.loop.steps)
            return magnitude_error(model(magnitude), magnitude, side).mean()
        found = model(magnitude)
        total = aligned_error(found, target).mean()
        if config.physics:
            sampled = torch.fft.fftshift(torch.fft.fftn(target, dim=(-3, -2, -1)).abs(), (-3, -2, -1))
            total = total + config.physics * magnitude_error(found, sampled, found.shape[-1]).mean()
        return total

    return loss


def _batch(config: PhaseTrainConfig, seed: int, pool: CrystalPool, step: int, side: int) -> tuple[Tensor, Tensor]:
    """Magnitudes (B, side, side, side) and objects (B, 32, 32, 32) of ``step``."""
    rng = child_rng(seed, "phase", "batch", step)
    generator = torch.Generator().manual_seed(child_seed(seed, "phase", "noise", step))
    intensity, objects = measured(
        pool.batch(rng, config.batch, config.unstrained, config.held(step)), config.data.oversampling
    )
    binned = block_dct(intensity, side)  # the sum over blocks, so that noise may come after it
    return magnitudes(torch.stack([noisy(pattern, config.data.photons(rng), generator) for pattern in binned])), objects


def _staged(model: nn.Module, magnitude: Tensor, target: Tensor, done: float, physics: float) -> Tensor:
    """Encoder and shape; phase decoder alone; encoder and phase; all with the Fourier magnitudes (Chan et al. 2020, Methods; the
    first stage by cross-entropy, see `shape_cross_entropy`)."""
    stage = min(int(4 * done), 3)
    model.encoder.requires_grad_(stage != 1)
    model.shape_decoder.requires_grad_(stage in (0, 3))
    model.phase_decoder.requires_grad_(stage != 0)
    shape, phase = model.shape_and_phase(magnitude)
    if stage == 0:
        return shape_cross_entropy(shape, target).mean()
    shape_error, phase_error = (e.mean() for e in shape_and_phase_errors(shape, phase, target))
    if stage < 3:
        return phase_error
    fourier = magnitude_error(torch.polar(shape, phase), magnitude, magnitude.shape[-1]).mean()
    return shape_error + phase_error + physics * fourier


def preset(name: str, **changes: Any) -> PhaseTrainConfig:
    """A preset with some of its settings changed; "data" and "loop" take dictionaries of changes.

    Raises InputError for an unknown preset or setting.
    """
    if name not in PRESETS:
        raise InputError(f"preset {name!r}: unknown; presets are {', '.join(PRESETS)}")
    base = PRESETS[name]
    for part, cls in (("data", CrystalData), ("loop", LoopConfig)):
        if part in changes:
            kept = {f: getattr(getattr(base, part), f) for f in cls.__dataclass_fields__}
            changes[part] = config_from_dict(cls, {**kept, **changes[part]})
    return replace(base, **changes)
