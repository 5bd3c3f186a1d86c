"""The model card of a network for size and orientation."""

from __future__ import annotations

from typing import Any

from recon.training.loop import LoopConfig
from recon.training.weights import figures_section

_FIGURES = {
    "median_mean_relative_error": "median of the mean relative error (fraction)",
    "outlier_share": "share with a mean relative error above 0.05",
    "refined_median_mean_relative_error": "the same median after refinement",
    "median_angle_deg": "median error of the orientation, degrees",
    "median_radius_error_nm": "median error of the radius, nm",
    "frames": "frames in the test set",
    "accuracy": "share of frames whose solid is right",
    "bright_accuracy": "the same, frames of 10^4 photons and more",
    "calibration_error": "calibration error of the confidence",
    "solids_frames": "frames in the test set",
}


def model_card(meta: dict[str, Any], name: str, figures: dict[str, Any] | None = None) -> tuple[str, dict[str, str]]:
    """Title and sections for `recon.training.weights.write_card`; figures: summary of an evaluation, where there is one."""
    config, data = meta["config"], {"augmented": 0.0, **meta["config"]["data"]}  # early weights do not tell
    if meta["network"] == "resnet34":
        frames = f"{data['frames']} frames of `sim icosahedra`, a fifth for validation, under the eleven filters of the paper."
    else:
        frames = (
            f"{data['frames']} noise-free frames (propagating multislice, silver at 13.5 nm, 28 to 163 nm, detector edge at 30 "
            f"degrees) under fresh noise of {data['min_photons']:.0e} to {data['max_photons']:.0e} photons, background, masks, "
            f"beam offsets, turns and mirror images{_augmented(data['augmented'], config['loop'])}."
        )
    seconds, seen = meta["training"]["seconds"], meta["training"]["frames_seen"]
    sections = {
        "What it does": "Size and orientation of a single particle from one wide-angle frame; solids: "
        f"{', '.join(meta['solids'])}. Network: {meta['network']}, orientation as {config['representation']}, "
        f"{meta['parameters']} trained values.",
        "Data": f"Simulated only: {frames} Random streams that no public seed reaches.",
        "Training": f"`{_command(meta)}`: {seen} frames seen, {seconds:.0f} s of steps on one core of a busy machine (the "
        "noise-free frames come on top). All settings are in the metadata of the weights.",
        "Limits": "One particle, silver-like optical constants (n = 0.89 + 0.086i), 13.5 nm. Other solids, dimers and multiple "
        "hits are answered all the same: look at the chi^2 of `recon shape refine`.",
    }
    return f"{name}: size and orientation from one wide-angle frame", sections | figures_section(_FIGURES, figures)


def _augmented(share: float, loop: dict[str, Any]) -> str:
    if not share:
        return ""
    begin = LoopConfig(**loop).turn
    return f"; {share:.0%} of them{f' from step {begin} on' if begin else ''} under one of the paper's eleven filters"


def _command(meta: dict[str, Any]) -> str:
    config = meta["config"]
    words = ["shotsort recon shape train --preset", meta["preset"], f"--frames {config['data']['frames']}"]
    words += [f"--batch {config['batch']}", f"--steps {config['loop']['steps']}", f"--seed {meta['seed']}"]
    if meta["training"]["steps"] < config["loop"]["steps"]:
        words.append(f"--stop-at {meta['training']['steps']}")
    if meta["network"] == "small":
        words.append(f"--width {config['width']}")
        if "augmented" in config["data"]:
            words.append(f"--augmented {config['data']['augmented']}")
        if config["representation"] != "harmonics":
            words.append(f"--representation {config['representation']}")
    return " ".join(words)
