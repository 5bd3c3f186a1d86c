"""Simulate a benchmark run with its truth."""

from __future__ import annotations

import argparse
import json
import logging
import time

from apps.cli.output import add_json, print_json, print_text

log = logging.getLogger(__name__)

HELP = "simulate a run of frames with known truth"
EXAMPLE = """\
shotsort sim --list
shotsort sim clusters --frames 8000 --seed 1 --to run.h5
shotsort sim clusters --frames 1000 --seed 1 --set blank_fraction=0 --set detector.blur_px=0.8 --to hits.cxi
shotsort sim clusters --frames 1000000 --seed 1 --vary 512 --to load.zarr
shotsort sim droplets --show droplets.png"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("recipe", nargs="?", help="name of the recipe (see --list)")
    parser.add_argument("--list", action="store_true", help="list the recipes and stop")
    parser.add_argument(
        "--options", action="store_true", help="list the options of the recipe with their defaults and stop"
    )
    parser.add_argument(
        "--frames", type=int, default=None, metavar="N", help="number of frames (with --show: of the sheet)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="root of all random numbers (default 0)")
    parser.add_argument("--to", metavar="X", help="file to write: .h5, .cxi or .zarr")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="set an option of the recipe; repeat"
    )
    parser.add_argument(
        "--vary",
        type=int,
        default=None,
        metavar="F",
        help="make all frames from F far fields: fresh brightness, rotation in the plane and noise",
    )
    parser.add_argument(
        "--show",
        nargs="?",
        const="",
        default=None,
        metavar="PNG",
        help="write a contact sheet instead of a run (default RECIPE.png)",
    )
    parser.add_argument(
        "--gallery", metavar="PNG", help="write a picture with a row of frames of every recipe and stop"
    )
    parser.add_argument("--polydisperse", action="store_true", help="disks: radii of standard deviation mean / 3")
    parser.add_argument("--workers", type=int, default=None, metavar="W", help="processes (default: one per core)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda: where far fields are computed")
    parser.add_argument("--overwrite", action="store_true", help="replace what is at X")
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    from sim.recipes import RECIPES, recipe_class
    from sorter.core.errors import InputError

    if args.gallery:
        from sim.contact_sheet import gallery

        gallery(tuple(RECIPES), args.gallery, args.seed)
        return _picture(args, args.gallery, "gallery of all recipes")
    if args.list or args.recipe is None:
        return _list_recipes(args, {name: recipe_class(name).SUMMARY for name in RECIPES})
    if args.options:
        return _list_options(args)
    options = options_of(args.set)
    if args.polydisperse:
        options.setdefault("polydispersity", 1 / 3)
    if args.vary is not None:
        options["vary"] = args.vary
    if args.show is not None:
        return _show(args, options)
    if not args.to or args.frames is None:
        raise InputError("give --frames N and --to FILE (or --show for a contact sheet)")
    from sim.run import simulate

    begin = time.monotonic()
    state = simulate(
        args.recipe,
        args.frames,
        args.seed,
        args.to,
        options,
        workers=args.workers,
        overwrite=args.overwrite,
        device=args.device,
    )
    seconds = time.monotonic() - begin
    if args.json:
        result = {
            "recipe": args.recipe,
            "frames": args.frames,
            "seed": args.seed,
            "to": str(args.to),
            "state": state,
            "seconds": round(seconds, 3),
        }
        print_json(result)
    else:
        log.info("%s: %s, %d frames", args.to, state, args.frames)
    return 0


def options_of(settings: list[str]) -> dict[str, object]:
    """Options of a recipe from NAME=VALUE texts. Raises InputError for a text without "="."""
    from sorter.core.errors import InputError

    options: dict[str, object] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name.strip():
            raise InputError(f"--set {setting}: give NAME=VALUE")
        options[name.strip()] = value
    return options


def _list_recipes(args: argparse.Namespace, summaries: dict[str, str]) -> int:
    if args.json:
        print_json({"recipes": summaries})
    else:
        print_text("\n".join(f"{name:12} {summary}" for name, summary in summaries.items()))
    return 0


def _list_options(args: argparse.Namespace) -> int:
    from sim.recipes import make_recipe
    from sim.recipes.options import flat_options

    options = flat_options(make_recipe(args.recipe, None, 0).options)
    if args.json:
        print_json({"recipe": args.recipe, "options": options})
    else:
        print_text("\n".join(f"{name} = {json.dumps(value)}" for name, value in options.items()))
    return 0


def _show(args: argparse.Namespace, options: dict[str, object]) -> int:
    from sim.contact_sheet import contact_sheet

    path = args.show or f"{args.recipe}.png"
    contact_sheet(args.recipe, path, args.frames or 48, args.seed, options, device=args.device)
    return _picture(args, path, f"contact sheet of {args.recipe}")


def _picture(args: argparse.Namespace, path: str, what: str) -> int:
    log.info("%s: %s", path, what)
    if args.json:
        print_json({"picture": path})
    return 0
