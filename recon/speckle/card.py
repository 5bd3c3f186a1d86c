"""The model card of a network that counts disks."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from recon.speckle.config import PRESETS, SpeckleTrainConfig, config_of
from recon.training.weights import figures_section

_FLAGS = {"side_px": "side"}
_FIGURES = {
    "accuracy_257": "accuracy, equal disks, 257 x 257",
    "accuracy_513": "accuracy, equal disks, 513 x 513 (read as far in k as 257 x 257)",
    "macro_f1_polydisperse": "macro F1, polydisperse (sigma = mean / 3), 257 x 257",
    "errors_beyond_one_polydisperse": "polydisperse patterns off by more than one disk",
    "first_moment_accuracy": "best first moment with a Gaussian classifier, equal disks",
    "patterns": "patterns in each test set",
}


def model_card(meta: dict[str, Any], name: str, figures: dict[str, Any] | None = None) -> tuple[str, dict[str, str]]:
    """Title and sections for `recon.training.weights.write_card`; figures: summary of an evaluation, where there is one."""
    data = meta["config"]["data"]
    spread = "mixture of 0, 1/3 and 0..0.6" if data["polydispersity"] is None else f"{data['polydispersity']:.3g}"
    start = f", beginning with {meta['start']}" if meta.get("start") else ""
    sections = {
        "What it does": f"Tells how many disks ({meta['counts'][0]} to {meta['counts'][-1]}) made a coherent speckle pattern "
        f"(a quadrant of k-space of at least {meta['side_px']} x {meta['side_px']} pixels, corner blocked, standardised). "
        f"Network: {meta['network']}, {meta['parameters']} trained values.",
        "Data": f"Simulated only: `sim disks`, exact far field of non-overlapping disks of constant total area, "
        f"polydispersity {spread}, photons {data['photons'] or 'without noise'}; {meta['config']['patterns']} different patterns "
        "at most, drawn as training goes; test patterns come from other random streams.",
        "Training": f"`{_command(meta)}`: {meta['training']['seconds']:.0f} s of steps on the machine that made it{start} "
        "(with the patterns that were still to be drawn). All settings are in the metadata of the weights.",
        "Limits": "A model system: equal contrast, two dimensions, absorption only, no detector. Not meant for noise, missing "
        "columns or partial coherence unless it was trained with them; see the curves of `recon speckle evaluate --beyond`.",
    }
    return f"{name}: disks from speckle", sections | figures_section(_FIGURES, figures)


def _command(meta: dict[str, Any]) -> str:
    """The command that trains the same weights again: the preset and what differs from it."""
    config = _flags(config_of(meta))
    name = "shen" if meta["network"] == "resnet50" else "wide" if meta["width"] else "small"
    usual = _flags(PRESETS[name])
    words = [f"--{key.replace('_', '-')} {value}" for key, value in config.items() if value not in (None, usual[key])]
    start = [f"--start {meta['start']}"] if meta.get("start") else []
    return " ".join(["shotsort recon speckle train --preset", name, *words, f"--seed {meta['seed']}", *start])


def _flags(config: SpeckleTrainConfig) -> dict[str, Any]:
    """Settings by the name of their option of `recon speckle train`."""
    values = {key: getattr(config, key) for key in ("batch", "patterns", "before", "fresh", "width", "hidden")}
    values["maps"] = ",".join(config.maps)
    values |= {_FLAGS.get(key, key): value for key, value in asdict(config.data).items()}
    return values | {key: getattr(config.loop, key) for key in ("steps", "learning_rate")}
