"""How fast runs are simulated, stage by stage, and how alike atomistic and continuum crystals are."""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sorter.core.config import require
from sorter.core.errors import InputError

log = logging.getLogger(__name__)

HELP = "Frames a second of simulated runs, of the detector stage alone, and crystals a minute with their statistics."
EXAMPLE = """  shotsort bench simulation
  shotsort bench simulation --workers 2 --json
  shotsort bench simulation --workers 1 --device cuda
  shotsort bench simulation --crystals 24 --plot docs/crystal_statistics.png
"""


@dataclass(frozen=True)
class SimulationBenchConfig:
    """workers: processes; frames: of the runs that are written; seconds: that rates are measured for; crystals: of each
    generator (0 leaves them out); device: where far fields and detector are computed."""

    workers: int = 2
    frames: int = 4096
    seconds: float = 10.0
    crystals: int = 16
    seed: int = 0
    plot: str | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        require(self.workers >= 1 and self.frames >= 1, "workers and frames must be at least 1")
        require(self.seconds > 0, f"seconds = {self.seconds}: must be positive")
        require(self.crystals >= 0, f"crystals = {self.crystals}: must be 0 or more")


def bench_simulation(config: SimulationBenchConfig) -> dict[str, Any]:
    """All figures, JSON-ready. Rates of stages are sums over ``workers`` processes that run together, start-up left out."""
    from apps.bench.multislice_rate import multislice_rate

    result: dict[str, Any] = {
        "workers": config.workers, "cores": os.cpu_count(), "device": config.device, "frames": config.frames
    }  # fmt: skip
    log.info("far fields alone")
    result |= multislice_rate(config.device, config.workers, config.seconds, config.seed)
    log.info("clusters, whole blocks")
    result["clusters_frames_per_s"] = _rate(config, _clusters_block)
    log.info("detector stage alone")
    result["detector_frames_per_s"] = _rate(config, _detector_block)
    log.info("varied frames")
    result["varied_frames_per_s"] = _rate(config, _varied_block)
    log.info("a run written to HDF5, start-up of the workers included")
    result["written_run_frames_per_s"] = _written(config)
    if config.crystals:
        result["crystals"] = [_crystals(config, "continuum"), _crystals(config, "atomistic")]
        result["crystals"] = [row for row in result["crystals"] if row]
        if config.plot:
            plot_crystals(result["crystals"], Path(config.plot))
    return result


Step = Callable[[int], int]


def _clusters_block(seed: int, device: str) -> Step:
    from sim.recipes import make_recipe

    recipe = make_recipe("clusters", None, seed, device)
    return lambda number: len(recipe.block(number).frames)


def _varied_block(seed: int, device: str) -> Step:
    from sim.recipes import make_recipe

    recipe = make_recipe("clusters", {"vary": 256}, seed, device)
    return lambda number: len(recipe.block(number).frames)


def _detector_block(seed: int, device: str) -> Step:
    """Fluence, noise and detector of the default mixture, far fields computed before."""
    from sim.recipes import make_recipe
    from sim.recipes.base import single_thread

    recipe = make_recipe("clusters", None, seed, device)
    scenes = recipe.scenes(0)
    intensity = recipe.intensities(scenes)

    def step(number: int) -> int:
        with single_thread():
            shots = [scene.shot for scene in scenes]
            return len(recipe.detector.expose(intensity, shots, recipe.noise(number * 1000, len(scenes))).frames)

    return step


def _timed(make: Callable[[int, str], Step], seed: int, device: str, seconds: float) -> float:
    """Frames a second of one process: one step to warm up, then steps until the time is over."""
    from sim.memory import keep_freed_memory

    keep_freed_memory()
    step = make(seed, device)
    step(0)
    frames, number, begin = 0, 1, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        frames += step(number)
        number += 1
    return frames / (time.perf_counter() - begin)


def _rate(config: SimulationBenchConfig, make: Callable[[int, str], Step]) -> float:
    with ProcessPoolExecutor(config.workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        rates = [
            pool.submit(_timed, make, config.seed + i, config.device, config.seconds) for i in range(config.workers)
        ]
        return sum(rate.result() for rate in rates)


def _written(config: SimulationBenchConfig) -> float:
    from sim.run import simulate

    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        path = Path(folder) / "run.h5"
        simulate("clusters", config.frames, config.seed, path, workers=config.workers, device=config.device)
        return config.frames / (time.perf_counter() - begin)


def _crystals(config: SimulationBenchConfig, source: str) -> dict[str, Any] | None:
    """Crystals of 10 nm on voxels of one cell: rate, failed attempts, statistics of density and phase."""
    from sim.recipes import make_recipe

    options = {"source": source, "crystal.edge_nm": 10, "crystal.voxel_cells": 1}
    try:
        make_recipe("crystals", options, config.seed)
    except InputError as error:
        log.warning("%s", error)
        return None
    log.info("%s crystals", source)
    begin = time.perf_counter()
    with ProcessPoolExecutor(config.workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        made = list(pool.map(_one_crystal, [(options, config.seed, i) for i in range(config.crystals)]))
    minutes = (time.perf_counter() - begin) / 60
    failed = sum(row.pop("failed_attempts") for row in made)
    return {
        "source": source,
        "crystals": config.crystals,
        "crystals_per_min": config.crystals / minutes,
        "failed_share": failed / (failed + config.crystals),
        "statistics": {name: [row[name] for row in made] for name in made[0]},
    }


def _one_crystal(task: tuple[dict[str, Any], int, int]) -> dict[str, float]:
    from sim.recipes import make_recipe

    options, seed, index = task
    crystal, failed = make_recipe("crystals", options, seed).crystal(index)
    return {"failed_attempts": failed, **crystal_statistics(crystal)}


def crystal_statistics(crystal: Any) -> dict[str, float]:
    """Volume in nm^3; rms of the phase; rms of what no homogeneous strain explains of it; share of the applied strain along
    [111] that is left (least squares through the voxels inside)."""
    inside = crystal.density > 0.5
    phase = crystal.phase_rad()[inside]
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in crystal.density.shape], indexing="ij"), -1)[inside][:, ::-1]
    design = np.column_stack([grid * crystal.voxel_nm, np.ones(len(grid))])
    slope, *_ = np.linalg.lstsq(design, phase, rcond=None)
    applied = 2 * np.pi / crystal.lattice_nm * crystal.strain.sum(0)
    return {
        "volume_nm3": float(inside.sum() * crystal.voxel_nm**3),
        "phase_rms_rad": float(phase.std()),
        "smooth_phase_rms_rad": float((phase - design @ slope).std()),
        "strain_left": float(slope[:3] @ applied / (applied @ applied)),
    }


def plot_crystals(rows: list[dict[str, Any]], path: Path) -> None:
    """Cumulative distributions of the statistics, one line per generator."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = list(rows[0]["statistics"])
    figure = Figure(figsize=(3.1 * len(names), 3), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    for place, name in enumerate(names):
        axes = figure.add_subplot(1, len(names), place + 1)
        for row in rows:
            values = np.sort(row["statistics"][name])
            axes.step(values, (np.arange(len(values)) + 1) / len(values), where="post", label=row["source"])
        axes.set_xlabel(name)
        axes.set_ylim(0, 1.02)
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("share of crystals")
    figure.axes[-1].legend(frameon=False)
    try:
        figure.savefig(path)
    except OSError as error:
        raise InputError(f"--plot {path}: cannot write ({error.strerror or error})") from error


def table_text(result: dict[str, Any]) -> str:
    """The figures for a person."""
    lines = [f"{result['workers']} processes on {result['cores']} cores, device {result['device']}"]
    lines += [f"{name:28} {result[name]:10.0f}" for name in result if name.endswith("_per_s")]
    lines.append(
        f"{'multislice_share_of_limit':28} {result['multislice_share_of_limit']:10.0%} of the matrix products' rate"
    )
    for row in result.get("crystals", []):
        medians = ", ".join(f"{n} {np.median(v):.3g}" for n, v in row["statistics"].items())
        lines.append(
            f"{row['source']:10} {row['crystals_per_min']:8.0f} crystals/min, {row['failed_share']:.1%} failed"
        )
        lines.append(f"{'':10} medians: {medians}")
    return "\n".join(lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    from apps.cli.output import add_json

    default = SimulationBenchConfig()
    parser.add_argument("--workers", type=int, default=default.workers, help="processes (default: 2)")
    parser.add_argument(
        "--frames", type=int, default=default.frames, help="frames of the run that is written (default: 4096)"
    )
    parser.add_argument(
        "--seconds", type=float, default=default.seconds, help="how long each rate is measured (default: 10)"
    )
    parser.add_argument(
        "--crystals", type=int, default=default.crystals, help="of each generator (default: 16; 0: none)"
    )
    parser.add_argument("--device", default=default.device, help="cpu or cuda: where far fields are computed")
    parser.add_argument("--plot", metavar="PNG", help="statistics of atomistic and continuum crystals as a picture")
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    from apps.cli.output import print_result

    names = ("workers", "frames", "seconds", "crystals", "plot", "device")
    result = bench_simulation(SimulationBenchConfig(**{name: getattr(args, name) for name in names}))
    print_result(result, args.json, table_text)
    return 0
