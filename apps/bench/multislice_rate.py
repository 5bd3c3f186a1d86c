"""How many far fields of the multislice a device makes in a second, and how near that is to the limit of its matrix products."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from apps.bench.farfield_config import SILVER
from sim.orientation import random_quaternions
from sim.particles import library, place
from sim.recipes.base import computing_device, torch_threads
from sim.scattering import detector_geometry, far_field, intensity

RADIUS_M, WAVELENGTH_M, EDGE_DEG = 100e-9, 13.5e-9, 30.0
BATCH = {"cpu": 64, "cuda": 1024}
SIDE = {"cpu": 1024, "cuda": 8192}
"""Of the square matrices whose product tells the limit."""


def multislice_rate(device_name: str, threads: int, seconds: float, seed: int) -> dict[str, Any]:
    """Frames a second of silver icosahedra of 100 nm, 128 x 128 to 30 degrees, from the bodies to the intensity; operations of
    the matrix products in a frame; their share of what the device makes of large square products in float32.

    Raises InputError for a device that this machine has not.
    """
    device = computing_device(device_name)
    geometry = detector_geometry((128, 128), WAVELENGTH_M, math.radians(EDGE_DEG))
    batch = BATCH[device.type]
    q = random_quaternions(batch, np.random.default_rng(seed))
    bodies = place(library.make("icosahedron"), RADIUS_M, SILVER, q)

    def frames() -> torch.Tensor:
        return intensity(far_field(bodies, geometry, "multislice", device=device), geometry)

    with torch_threads(threads), torch.no_grad():
        with FlopCounterMode(display=False) as counter:
            frames()
        per_frame = counter.get_total_flops() / batch
        rate = batch * _calls_per_s(frames, device, seconds)
        square = torch.ones(SIDE[device.type], SIDE[device.type], device=device)
        limit = 2 * len(square) ** 3 * _calls_per_s(lambda: square @ square, device, seconds / 3)
    return {
        "multislice_frames_per_s": rate,
        "multislice_gflop": per_frame / 1e9,
        "matrix_limit_gflop_per_s": limit / 1e9,
        "multislice_share_of_limit": rate * per_frame / limit,
    }


def _calls_per_s(call: Callable[[], object], device: torch.device, seconds: float) -> float:
    """Calls a second after one to warm up; work that the device has queued is waited for."""

    def finished() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    call()
    calls, begin, now = 0, finished(), 0.0
    while now < seconds:
        call()
        calls += 1
        now = finished() - begin
    return calls / now
