"""The model card of a network that phases."""

from __future__ import annotations

from typing import Any

from recon.phase.data import crystal_law
from recon.training.weights import figures_section

_FIGURES = {
    "network_shape_error": "error of the shape, network alone (sum |a - t| / sum t)",
    "network_phase_error_rad": "error of the phase inside the crystal, network alone, rad",
    "success_refined": "share of successes after refinement (phased, free log-likelihood no worse)",
    "success_iterative": "share of successes of 620 iterations of ER/HIO from one start",
    "refined_speedup": "times faster than those iterations, refinement included",
    "crystals": "unseen crystals",
}


def model_card(meta: dict[str, Any], name: str, figures: dict[str, Any] | None = None) -> tuple[str, dict[str, str]]:
    """Title and sections for `recon.training.weights.write_card`; figures: summary of an evaluation, where there is one."""
    config = meta["config"]
    data, crystal = config["data"], config["data"]["crystal"]
    noise = "no noise"
    if data["fewest_photons"] is not None:
        noise = f"{data['fewest_photons']:.3g} to {data['most_photons']:.3g} photons (log-uniform)"
    sections = {
        "What it does": "Reads the magnitudes of a 3-D Bragg pattern, downsampled to what the network takes, and gives shape and "
        f"phase of the crystal on 32 x 32 x 32 voxels. Network: {meta['network']}, widths {meta['widths']}, {meta['parameters']} "
        f"trained values; loss: {config['loss']}.",
        "Data": f"Simulated only: faceted crystals of {crystal['min_edge_nm'] or crystal['edge_nm']:g} to "
        f"{crystal['edge_nm']:g} nm on "
        f"voxels of {crystal['voxel_cells']} lattice constants, {'turned at random, ' if crystal['rotated'] else ''}strain up to "
        f"{crystal['max_strain']:g} before relaxation, {100 * config['unstrained']:.0f} % without strain, {noise}, oversampling "
        f"{data['oversampling']}; {meta['training']['crystals']} crystals, each turned and mirrored by the symmetries of "
        f"the cube; "
        f"{meta['training']['patterns_seen']} patterns seen. Test crystals come from other random streams.",
        "Training": f"`{_command(meta)}`: {meta['training']['seconds']:.0f} s on one core of the machine that made it. "
        f"All settings "
        "are in the metadata of the weights.",
        "Limits": "Coherent illumination, one crystal, one peak, nearly constant density. Twin and sign of the strain are "
        "not in a "
        "pattern: the answer may be the twin. Meant as a start for refinement; alone it is a sketch.",
    }
    return f"{name}: crystals from 3-D Bragg patterns", sections | figures_section(_FIGURES, figures)


def _command(meta: dict[str, Any]) -> str:
    config = meta["config"]
    known = {"chan": "chan2020", "autophase": "autophase", "complex": "complex", "patterson": "small"}
    words = [f"shotsort recon phase train --preset {known[config['network']]}", "--widths", *map(str, config["widths"])]
    words += [f"--{name} {config[name]}" for name in ("batch", "crystals", "before", "fresh", "unstrained")]
    data = config["data"]
    if data["fewest_photons"] is not None:
        words.append(f"--photons {data['fewest_photons']:g} {data['most_photons']:g}")
    if data["atomistic"]:
        words.append("--atomistic")
    elif data["crystal"]["edge_nm"] != crystal_law().edge_nm:
        words.append(f"--edge-nm {data['crystal']['edge_nm']:g}")
    words += [
        f"--steps {config['loop']['steps']}",
        f"--learning-rate {config['loop']['learning_rate']}",
        f"--seed {meta['seed']}",
    ]
    if meta["training"]["steps"] < config["loop"]["steps"]:
        words.append(f"--stop-at {meta['training']['steps']}")
    return " ".join(words)
