"""Benchmark runs, one file each: options and a seed in, frames with their truth out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sorter.core.errors import InputError

if TYPE_CHECKING:
    from sim.recipes.base import Recipe

#: Name of a recipe -> its class; imported when asked for.
RECIPES = {
    "clusters": "sim.recipes.clusters:Clusters",
    "icosahedra": "sim.recipes.icosahedra:Icosahedra",
    "droplets": "sim.recipes.droplets:Droplets",
    "spi": "sim.recipes.spi:Spi",
    "families": "sim.recipes.families:Families",
    "crystals": "sim.recipes.crystals:Crystals",
    "disks": "sim.recipes.disks:DisksRecipe",
}


def recipe_class(name: str) -> type[Recipe]:
    """The class of a recipe. Raises InputError that lists the recipes for an unknown name."""
    if name not in RECIPES:
        raise InputError(f"recipe {name!r}: unknown; recipes are {', '.join(RECIPES)}")
    module, _, cls = RECIPES[name].partition(":")
    return getattr(import_module(module), cls)


def make_recipe(name: str, options: dict[str, Any] | None, seed: int, device: str = "cpu") -> Recipe:
    """A recipe with its options (see `sim.recipes.options.options_from`) and seed.

    Raises InputError for an unknown recipe or option and for impossible values.
    """
    from sim.recipes.options import options_from

    cls = recipe_class(name)
    return cls(options_from(cls.OPTIONS, options), seed, device)
