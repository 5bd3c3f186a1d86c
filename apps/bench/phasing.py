"""Iterative phasing beside bare Fourier transforms and cohere-core: iterations a second, and errors on the same patterns."""

from __future__ import annotations

import argparse
import logging
from dataclasses import dataclass
from typing import Any

from sorter.core.config import require

log = logging.getLogger(__name__)

HELP = "Iterative phasing: iterations a second and errors, beside bare Fourier transforms and (if given) cohere-core."
EXAMPLE = """  shotsort bench phasing
  shotsort bench phasing --cohere-python ~/cohere/bin/python --json
  shotsort bench phasing --cohere-python ~/cohere/bin/python --sides --crystals 0 --scan scan54/ --scan-threshold 2
"""


@dataclass(frozen=True)
class PhasingBenchConfig:
    """sides: of the cubes that rates are measured on, best of ``repeats`` runs of ``iterations``; crystals: unseen ones of 64^3
    voxels and ``photons`` that all phase with 620 iterations; scan: a measured one, cut to scan_side, smaller counts than
    scan_threshold being background; threads of torch; cohere_python: interpreter with cohere-core (None: left out)."""

    sides: tuple[int, ...] = (64, 128)
    iterations: int = 20
    repeats: int = 3
    crystals: int = 4
    photons: float = 1e6
    scan: str | None = None
    scan_side: int = 128
    scan_threshold: float = 0.0
    threads: int = 1
    cohere_python: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        require(all(side >= 32 and side % 2 == 0 for side in self.sides), f"sides {self.sides}: even, at least 32")
        require(self.iterations >= 1 and self.repeats >= 1, "iterations and repeats must be at least 1")
        require(self.crystals >= 0, f"crystals = {self.crystals}: must be 0 or more")
        require(self.threads >= 1, f"threads = {self.threads}: need at least 1")


def bench_phasing(config: PhasingBenchConfig) -> dict[str, Any]:
    """All tables, as JSON-ready values."""
    import torch

    from apps.bench import phasing_tables as tables
    from sim.recipes.base import torch_threads

    with torch_threads(config.threads):
        result: dict[str, Any] = {"threads": config.threads, "torch": torch.__version__, "seed": config.seed}
        result["rates"] = []
        for side in config.sides:
            log.info("rates at %d^3", side)
            result["rates"] += tables.rates(config, side)
        if config.crystals:
            log.info("%d crystals", config.crystals)
            result["crystals"] = tables.crystals(config)
        if config.scan:
            log.info("%s", config.scan)
            result["scan"] = tables.scan(config, config.scan)
        return result


def table_text(result: dict[str, Any]) -> str:
    """The tables for a person."""
    titles = {
        "rates": "Iterations (pairs of transforms) a second",
        "crystals": "620 iterations of ER/HIO on unseen crystals, medians",
        "scan": "620 iterations on the measured scan",
    }
    parts = []
    for key, title in titles.items():
        if rows := result.get(key):
            lines = [" | ".join(rows[0])]
            lines += [" | ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values()) for row in rows]
            parts.append("\n".join([title, *(f"| {line} |" for line in lines)]))
    return "\n\n".join(parts)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    from apps.cli.output import add_json

    default = PhasingBenchConfig()
    parser.add_argument("--sides", type=int, nargs="*", default=default.sides, help="of the cubes (default: 64 128)")
    for name, meaning in (
        ("iterations", "in a timing"), ("repeats", "best of so many timings"), ("crystals", "unseen, all ways; 0: none"),
        ("threads", "of torch"), ("scan-side", "cube about the peak of the scan"), ("seed", "root of all random numbers"),
    ):  # fmt: skip
        value = getattr(default, name.replace("-", "_"))
        parser.add_argument(f"--{name}", type=int, default=value, help=f"{meaning} (default: {value})")
    parser.add_argument("--photons", type=float, default=default.photons, help="in a pattern (default: 1e6)")
    parser.add_argument("--scan", metavar="SCAN", help="a measured scan as well")
    parser.add_argument("--scan-threshold", type=float, default=0.0, help="smaller counts are background (default: 0)")
    parser.add_argument("--cohere-python", metavar="PATH", help="python of an environment with cohere-core")
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    from apps.cli.output import print_result

    values = {name: getattr(args, name) for name in PhasingBenchConfig.__dataclass_fields__}
    result = bench_phasing(PhasingBenchConfig(**values | {"sides": tuple(args.sides)}))
    print_result(result, args.json, table_text)
    return 0
