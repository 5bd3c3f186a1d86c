"""The encoder that was pre-trained on simulated pairs: one file of weights, for frames of any size, mask and geometry."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from sorter.core.config import config_from_dict
from sorter.core.errors import InputError
from sorter.core.frames import FrameStore
from sorter.io.weights import read_arrays, write_arrays
from sorter.models.contrastive import ContrastiveModel, ContrastiveModelConfig
from sorter.models.polar_model import ModelCard, PolarModel
from sorter.preprocess.polar import PolarGrid, PolarMap, choose_grid
from sorter.preprocess.scaling import choose_softening

log = logging.getLogger(__name__)

PRETRAINED = "pretrained"
SHIPPED = Path(__file__).parent / "weights" / f"{PRETRAINED}.safetensors"
_SAMPLE = 512


@dataclass(frozen=True)
class Pretrained:
    """network, in eval mode; meta: how it was made, JSON-ready: "network", "scale" (see `scale_of`) and the training's record."""

    network: ContrastiveModel
    meta: dict[str, Any]

    def for_store(
        self, store: FrameStore, measure: Callable[[PolarMap], float] | None = None
    ) -> tuple[PolarModel, PolarMap]:
        """The encoder on the polar grid of a store's frames, and the map onto it.

        The grid runs from the beam to where 80 % of the good pixels lie, but no further than the patterns it was trained on
        where the geometry says how far that is; what the mask takes has no weight. Rates are counted per pixel of the usual
        detector, so neither size nor binning of the frames matters. Values that are not photons are scaled by the run's own
        median, or by what ``measure`` finds. Raises InputError where every pixel is bad.
        """
        config, scale = self.network.config, self.meta["scale"]
        grid = choose_grid(store.geometry, store.bad_pixels, config.n_radii, config.n_angles, from_beam=True)
        grid = _within_reach(grid, store, scale["largest_tan_two_theta"])
        polar = PolarMap.of_store(store, grid)
        if store.unit == "photon":
            softening = scale["softening"] * (grid.outer_px / scale["usual_outer_px"]) ** -2
        else:
            softening = measure(polar) if measure else _measured(store, polar)
            log.info("embed %s: frames in %s: scaled by their median, not by photons", PRETRAINED, store.unit)
        card = ModelCard(
            "contrastive", asdict(config), grid.to_dict(), tuple(store.shape_px), store.unit, softening,
            training={name: self.meta[name] for name in ("steps", "patterns", "seconds") if name in self.meta},
        )  # fmt: skip
        return PolarModel(card, self.network).eval(), polar


def _measured(store: FrameStore, polar: PolarMap) -> float:
    return choose_softening(polar(store.read(store.frame_ids[:_SAMPLE])), polar.area, store.unit)


def _within_reach(grid: PolarGrid, store: FrameStore, largest_tan: float) -> PolarGrid:
    geometry = store.geometry
    if geometry.pixel_size_m is None or geometry.distance_m is None:
        log.info("embed %s: distance or pixel size not known; the whole frame is taken as it is", PRETRAINED)
        return grid
    reach_px = largest_tan * geometry.distance_m / geometry.pixel_size_m
    if reach_px >= grid.outer_px:
        return grid
    degrees = math.degrees(math.atan(largest_tan))
    log.info("embed %s: trained out to %.0f degrees; what lies beyond is left out", PRETRAINED, degrees)
    return replace(grid, outer_px=reach_px)


def save_pretrained(path: str | Path, network: ContrastiveModel, meta: dict[str, Any]) -> None:
    """Write weights (matrices in half precision, which changes no nearest neighbour) and meta as one .safetensors file."""
    state = {
        name: (value.half() if value.ndim > 1 else value).detach().cpu().numpy()
        for name, value in network.state_dict().items()
    }
    write_arrays(path, state, PRETRAINED, {**meta, "network": asdict(network.config)})


def load_pretrained(path: str | Path = SHIPPED) -> Pretrained:
    """The encoder in ``path``, by default the one that is shipped. No code is loaded, only numbers and JSON.

    Raises InputError where the file is missing, is something else, or was written by a newer version.
    """
    arrays, meta = read_arrays(path, PRETRAINED, "shotsort pretrain")
    state = {name: torch.from_numpy(array) for name, array in arrays.items()}
    network = ContrastiveModel(config_from_dict(ContrastiveModelConfig, meta["network"]))
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(f"{path}: weights do not fit the network they name ({str(error).splitlines()[0]})") from error
    return Pretrained(network.eval(), meta)


def n_parameters(network: torch.nn.Module) -> int:
    """Number of trained values."""
    return sum(p.numel() for p in network.parameters())
