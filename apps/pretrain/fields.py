"""The patterns for pre-training: far fields of the recipes' scenes on a fine polar grid, without noise, kept on disk."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from apps.pretrain.config import BLOCK_PATTERNS, FieldsConfig
from sim.recipes import make_recipe
from sim.recipes.base import single_thread
from sim.recipes.clusters import MULTI, SINGLE
from sim.recipes.families import FAMILIES
from sim.recipes.particle_run import ParticleRun
from sim.scattering.pixels import polarisation, solid_angle_sr
from sorter.core.errors import InputError
from sorter.core.geometry import Geometry
from sorter.core.seeds import child_seed
from sorter.io.progress import Progress
from sorter.io.whole import write_text_whole
from sorter.preprocess.polar import PolarGrid, PolarMap
from sorter.train.pairs import PatternBank

#: The fine polar grid, and by how much it reaches further out (in tan two_theta) than the recipes' own detectors.
FINE_RADII, FINE_ANGLES, REACH = 80, 64, 1.375
_SIDE_PX = 176
#: Patterns of each body, where bodies are told apart.
_VIEWS = {"families": 8}
#: Families whose members are told apart.
BROAD = (
    "triaxial", "prism", "plate", "random_facets", "cubic_facets", "stretched_facets", "rounded_facets",
    "aggregate", "core_shell", "bubble", "bent_rod", "torus", "cylinder",
)  # fmt: skip
#: Options of the recipes that differ from their defaults.
OPTIONS: dict[str, dict[str, Any]] = {
    "clusters": {"blank_fraction": 0.0, "mixture": dict.fromkeys([*SINGLE, MULTI], 1.0)},
    "families": {"families": dict.fromkeys([*FAMILIES, MULTI], 1.0) | {"torus": 0.5, "two_lobed": 0.5}},
    "droplets": {"empty_fraction": 0.0},
    "spi": {"blank_fraction": 0.0},
}


def make_fields(folder: str | Path, config: FieldsConfig) -> PatternBank:
    """Compute the patterns that ``folder`` lacks, block by block, and return them all.

    A call that was stopped goes on; one with more fields adds to what is there. Raises InputError where the folder holds
    patterns of another seed or version.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    description = {"seed": config.seed, "options": OPTIONS, "grid": asdict(fine_grid())}
    marker = folder / "description.json"
    if marker.exists() and json.loads(marker.read_text()) != json.loads(json.dumps(description)):
        raise InputError(f"{folder}: holds patterns of another seed or version; give another --folder")
    write_text_whole(marker, json.dumps(description, indent=1) + "\n")
    blocks = config.blocks()
    paths = [folder / f"{name}-{number:05d}.npz" for name, number in blocks]
    recipes: dict[str, ParticleRun] = {}
    with Progress(
        "far fields", len(blocks) * BLOCK_PATTERNS, "patterns", sum(p.exists() for p in paths) * BLOCK_PATTERNS
    ) as bar:
        for (name, number), path in zip(blocks, paths, strict=True):
            if path.exists():
                continue
            if name not in recipes:
                recipes = {name: pretraining_recipe(name, config.seed)}
            partial = path.with_name(f".{path.stem}.partial.npz")
            compute_block(recipes[name], number).save(partial)
            os.replace(partial, path)
            bar.update(BLOCK_PATTERNS)
    return PatternBank.load(paths)


def fine_grid() -> PolarGrid:
    """The polar grid of the patterns, on a square detector of ``_SIDE_PX`` pixels."""
    return PolarGrid(FINE_RADII, FINE_ANGLES, 0.0, _SIDE_PX / 2)


def wide_geometry(recipe: ParticleRun) -> Geometry:
    """The recipe's detector, reaching ``REACH`` times as far in tan two_theta."""
    own = recipe.geometry
    edge = REACH * min(own.shape_px) / 2 * own.pixel_size_m / own.distance_m  # type: ignore[operator]
    distance = _SIDE_PX / 2 * own.pixel_size_m / edge  # type: ignore[operator]
    middle = ((_SIDE_PX - 1) / 2, (_SIDE_PX - 1) / 2)
    return replace(own, shape_px=(_SIDE_PX, _SIDE_PX), distance_m=distance, beam_center_px=middle)


def pretraining_recipe(name: str, seed: int) -> ParticleRun:
    """The recipe ``name`` for a pre-training of ``seed``."""
    return make_recipe(
        name, OPTIONS[name] | {"views_per_particle": _VIEWS.get(name, 1)}, child_seed(seed, "pretrain", name)
    )  # type: ignore[return-value]


def compute_block(recipe: ParticleRun, number: int) -> PatternBank:
    """Block ``number`` of 256 patterns of a recipe."""
    geometry = wide_geometry(recipe)
    flat = (solid_angle_sr(geometry) * polarisation(geometry)).float()
    polar = PolarMap(geometry, np.ones(geometry.shape_px, np.float32), fine_grid())
    with single_thread():
        scenes = recipe.scenes(number)
        rate = polar.expand(polar(recipe.intensities(scenes, geometry) * flat) / polar.area.clamp_min(1))
    log_rate = torch.log((rate / rate.mean((1, 2), keepdim=True)).clamp_min(math.exp(-30)))
    return PatternBank(
        log_rate.to(torch.float16).numpy(),
        np.full(len(scenes), recipe.NAME),
        np.array([s.name for s in scenes]),
        np.array([";".join(s.labels) for s in scenes]),
        np.array([s.pair_id for s in scenes], np.int64),
        np.array([recipe.NAME == "families" and s.name in BROAD for s in scenes]),
    )
