"""Detectors that a run might have been recorded on: sizes, gaps, beam stops, holes, stalks, defects, beam centres."""

from __future__ import annotations

import numpy as np

from sim.detector.config import DetectorConfig, LayoutConfig
from sim.detector.masks import pixel_map
from sorter.core.seeds import child_rng, child_seed
from sorter.preprocess.polar import PolarMap, choose_grid
from sorter.views.shots import Detectors

_SIDES_PX = (64, 96, 128, 128, 192, 256)
_PANELS = ((1, 1), (1, 1), (2, 1), (1, 2), (2, 2), (2, 4))


def random_detectors(count: int, seed: int, n_radii: int, n_angles: int) -> Detectors:
    """``count`` detectors drawn from ``seed``, on polar grids from the beam outwards. Some have no mask at all."""
    return Detectors([_map(number, seed, n_radii, n_angles) for number in range(count)])


def _map(number: int, seed: int, n_radii: int, n_angles: int) -> PolarMap:
    rng = child_rng(seed, "pretrain", "detector", number)
    side = int(rng.choice(_SIDES_PX))
    unit = side / 128
    middle = (side - 1) / 2 + rng.uniform(-1, 1, 2) * (4 * unit if rng.random() < 0.5 else 0)
    geometry = LayoutConfig(n_px=side, beam_center_px=(float(middle[0]), float(middle[1]))).geometry()
    rows, columns = _PANELS[int(rng.integers(len(_PANELS)))]
    config = DetectorConfig(
        panels=(rows, columns),
        gap_px=round(float(rng.uniform(1, 8)) * unit),
        beam_stop_radius_px=float(rng.choice([0.0, rng.uniform(2, 9) * unit])),
        hole_radius_px=float(rng.choice([0.0, rng.uniform(2, 7) * unit])),
        stalk_width_px=float(rng.choice([0.0, rng.uniform(1, 5) * unit])),
        stalk_angle_deg=float(rng.uniform(0, 360)),
        dead_fraction=float(rng.choice([0.0, 10 ** rng.uniform(-3, -1.5)])),
    )
    bad = pixel_map(config, geometry, child_seed(seed, "pretrain", "pixels", number)).cxi != 0
    grid = choose_grid(geometry, bad, n_radii, n_angles, from_beam=True)
    return PolarMap(geometry, (~bad).astype(np.float32), grid)
