"""Settings of a training that counts disks, and the presets."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from recon.speckle.data import PatternConfig
from recon.speckle.pattern import MAPS
from recon.training.loop import LoopConfig
from sorter.core.config import config_from_dict, require
from sorter.core.errors import InputError


@dataclass(frozen=True)
class SpeckleTrainConfig:
    """network: "small" or "resnet50"; width of its first layer (0 for "small": histograms and curves only, no convolution);
    hidden: units of its perceptron, maps: whose histograms it sees (small network).
    data: what the patterns are. batch: patterns per step. patterns: how many different ones there are for training.
    before: how many are drawn before the first step, fresh: how many more with each step (small network; a batch is drawn from
    all that there are). ordinal: weight of the earth
    mover's distance in the loss. loop: see `LoopConfig`."""

    network: str = "small"
    width: int = 0
    hidden: int = 192
    maps: tuple[str, ...] = MAPS
    data: PatternConfig = field(default_factory=lambda: PatternConfig(polydispersity=None))
    batch: int = 128
    patterns: int = 40000
    before: int = 2048
    fresh: int = 10
    ordinal: float = 0.2
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=3000, weight_decay=0.05, average=0.99))

    def __post_init__(self) -> None:
        require(self.network in ("small", "resnet50"), f"network = {self.network}: small or resnet50")
        require(self.width >= (1 if self.network == "resnet50" else 0), f"width = {self.width}: must be positive")
        require(self.hidden >= 2, f"hidden = {self.hidden}: need at least 2")
        unknown = [name for name in self.maps if name not in MAPS]
        require(not unknown and len(self.maps) > 0, f"maps = {list(self.maps)}: give some of {', '.join(MAPS)}")
        require(
            self.batch >= 2 and self.patterns >= self.batch,
            f"batch = {self.batch}, patterns = {self.patterns}: too few",
        )


#: The paper's training: ResNet-50, Adam with Keras' default rate, cross-entropy, 200 epochs of 15,200 patterns in batches of 40.
_SHEN = SpeckleTrainConfig(
    "resnet50", 64, data=PatternConfig(), batch=40, patterns=15200, ordinal=0.0,
    loop=LoopConfig(steps=200 * 380, learning_rate=1e-3, warmup_steps=1, schedule="constant", weight_decay=0.0, average=0.0,
                    checkpoint_steps=380),
)  # fmt: skip
#: small: statistics of the map and curves through a perceptron, minutes on a CPU; wide: with convolutions on the map.
PRESETS = {
    "shen": _SHEN,
    "small": SpeckleTrainConfig(),
    "wide": SpeckleTrainConfig(width=8, batch=64, fresh=4, loop=LoopConfig(steps=8000)),
}


def preset(name: str, **changes: Any) -> SpeckleTrainConfig:
    """A preset with some of its settings changed; "data" and "loop" take dictionaries of changes.

    Raises InputError for an unknown preset or setting.
    """
    if name not in PRESETS:
        raise InputError(f"preset {name!r}: unknown; presets are {', '.join(PRESETS)}")
    base = PRESETS[name]
    for part, cls in (("data", PatternConfig), ("loop", LoopConfig)):
        if part in changes:
            changes[part] = config_from_dict(cls, {**asdict(getattr(base, part)), **changes[part]})
    return replace(base, **changes)


def config_of(meta: dict[str, Any]) -> SpeckleTrainConfig:
    """The settings that weights of this meta were trained with; those from before there were several maps saw the first."""
    values = {"maps": MAPS[:1], **meta["config"]}
    values["data"] = config_from_dict(PatternConfig, values["data"])
    values["loop"] = config_from_dict(LoopConfig, values["loop"])
    values["maps"] = tuple(values["maps"])
    return config_from_dict(SpeckleTrainConfig, values)
