"""Far fields against Mie theory, finer grids and pyMSFT: error and time of each rung, in one run."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

from apps.bench.farfield_config import SILVER, FarFieldBenchConfig
from sorter.core.errors import InputError

log = logging.getLogger(__name__)

HELP = "Far fields of particles: each rung's error and time, against Mie theory, finer grids and (if given) pyMSFT."
EXAMPLE = """  shotsort bench farfield
  shotsort bench farfield --threads 2 --pymsft-python ~/pymsft/bin/python --json
  shotsort bench farfield --plot docs/farfield_convergence.png
"""


def bench_farfield(config: FarFieldBenchConfig) -> dict[str, Any]:
    """All tables, as JSON-ready values; writes the convergence plot where one is asked for."""
    import torch

    from apps.bench import farfield_tables as tables
    from apps.bench import straight_paths
    from sim.recipes.base import torch_threads

    with torch_threads(config.threads):
        result: dict[str, Any] = {"threads": config.threads, "batch": config.batch, "torch": torch.__version__}
        log.info("rungs against Mie theory")
        result["rungs"] = tables.rungs(config)
        if config.pymsft_python:
            from apps.bench import pymsft

            log.info("pyMSFT")
            wavelength, radius = config.wavelength_nm * 1e-9, config.radius_nm * 1e-9
            result["rungs"] += pymsft.rows(
                config.pymsft_python, wavelength, radius, SILVER, config.threads, config.repeats
            )
        log.info("sizes and materials against Mie theory")
        result["sizes"] = tables.sizes(config)
        result["materials"] = tables.materials(config)
        log.info("polyhedra against closed forms and finer grids")
        result["polyhedra"] = tables.polyhedra(config)
        log.info("straight paths: the rungs and padded Fourier transforms")
        result["straight"] = straight_paths.rows(config)
        if config.reference:
            result["reference"] = tables.reference(config)
        if config.plot:
            log.info("convergence")
            result["convergence"] = tables.convergence(config)
            tables.plot(result["convergence"], config, Path(config.plot))
        return result


def table_text(result: dict[str, Any]) -> str:
    """The tables for a person."""
    titles = {
        "rungs": "Rungs against Mie theory: rms of log10 of the radial average up to 45 and 30 degrees; ms per frame",
        "sizes": "Multislice against Mie theory, by radius",
        "materials": "Multislice against Mie theory, by refractive index",
        "polyhedra": "Polyhedra, 30 degrees: rms of log10 of the pixels in the inner, middle and outer third",
        "straight": "Icosahedra, 30 degrees, rms of log10 of the pixels by radial third: in silver against the exact sum of "
        "the same model, without absorption against the closed form",
        "reference": "Stored reference far fields: rms of log10 of the pixels up to 30 degrees",
        "convergence": "Error in the outer third by number of slices",
    }
    parts = []
    for key, title in titles.items():
        if key in result:
            parts.append(f"{title}\n{_table(result[key])}")
    return "\n\n".join(parts)


def _table(rows: list[dict[str, Any]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [names] + [[_cell(row.get(name, "")) for name in names] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in cells]
    return "\n".join([lines[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *lines[1:]])


def _cell(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    from apps.cli.output import add_json

    default = FarFieldBenchConfig()
    for name, meaning in (
        ("threads", "threads of torch"), ("batch", "particles computed at once"), ("repeats", "best of so many timings"),
    ):  # fmt: skip
        value = getattr(default, name)
        parser.add_argument(f"--{name}", type=int, default=value, help=f"{meaning} (default: {value})")
    parser.add_argument(
        "--radius-nm", type=float, default=default.radius_nm, help="radius of the main table (default: 100)"
    )
    parser.add_argument(
        "--pymsft-python", metavar="PATH", help="python of an environment with pyMSFT, timed in the same run"
    )
    parser.add_argument("--reference", metavar="FILE", help="stored far fields of pyMSFT (.npz) to compare with")
    parser.add_argument("--plot", metavar="PNG", help="write the convergence in slices as a picture")
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    from apps.cli.output import print_result

    if args.reference and not Path(args.reference).exists():
        raise InputError(f"--reference {args.reference}: no such file")
    names = ("threads", "batch", "repeats", "radius_nm", "pymsft_python", "reference", "plot")
    result = bench_farfield(FarFieldBenchConfig(**{name: getattr(args, name) for name in names}))
    print_result(result, args.json, table_text)
    return 0
