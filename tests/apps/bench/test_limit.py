"""The likelihood of simulated patterns names frames that were made of them."""

import itertools

import numpy as np
import pytest
import torch

from apps.bench.limit import BANDS, LimitBenchConfig, draw, table_text
from apps.bench.pattern_likelihood import PatternLikelihood
from sorter.core.errors import InputError
from sorter.core.geometry import Geometry, azimuth_rad, radius_px
from sorter.preprocess.polar import PolarMap, choose_grid

GEOMETRY = Geometry((64, 64), beam_center_px=(31.5, 31.5))
BAD = np.zeros((64, 64), bool)
BAD[30:33] = True
GRID = choose_grid(GEOMETRY, BAD, 32, 64, from_beam=True)
#: Number of arms of the pattern of each kind.
ARMS = {"two": 2, "three": 3, "five": 5}


def pattern(arms, radius, azimuth, turn=0.0, handed=0.7):
    return np.exp(-radius / 12) * (1.05 + np.cos(arms * (azimuth - turn) + handed * np.sin(radius / 4)))


@pytest.fixture(scope="module")
def likelihood():
    azimuth, radius = np.meshgrid((np.arange(64) + 0.5) / 64 * 2 * np.pi, GRID.radii_px)
    rate = torch.from_numpy(np.stack([pattern(arms, radius, azimuth) for arms in ARMS.values()])).float()
    polar = PolarMap(GEOMETRY, (~BAD).astype(np.float32), GRID)
    return PatternLikelihood(polar, rate, np.array(list(ARMS)), background=0.01)


def frames_of(kind, photons, n, mirrored=False):
    rng, radius, azimuth = np.random.default_rng(0), radius_px(GEOMETRY), azimuth_rad(GEOMETRY)
    turns = rng.uniform(0, 2 * np.pi, n)
    mean = np.stack([pattern(ARMS[kind], radius, -azimuth if mirrored else azimuth, turn) for turn in turns]) * ~BAD
    return rng.poisson(mean * photons / mean.sum((1, 2), keepdims=True) + 0.01 * ~BAD)


@pytest.mark.parametrize("kind", ARMS)
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_frame_is_named_whatever_its_turn_and_hand(likelihood, kind, mirrored):
    assert (likelihood.name(frames_of(kind, 2000, 20, mirrored)) == kind).mean() >= 0.95


def test_fewer_photons_are_named_less_often(likelihood):
    right = [(likelihood.name(frames_of("five", photons, 60)) == "five").mean() for photons in (30, 3000)]
    assert 0.2 < right[0] < right[1]


def test_table_and_figure(tmp_path):
    bands = [{"from": a, "to": None if b == np.inf else b, "hits": 3, "likelihood": 0.5, "encoder": 0.4}
             for a, b in itertools.pairwise(BANDS)]  # fmt: skip
    bands[0] |= {"hits": 0, "likelihood": None, "encoder": None}
    result = {"patterns": 10, "bands": bands, "balanced_accuracy": {"likelihood": 0.5, "encoder": 0.4}}
    lines = table_text(result).splitlines()
    assert len(lines) == len(bands) + 3 and "from 10,000" in lines[-2]
    draw(result, tmp_path / "limit.png")
    assert (tmp_path / "limit.png").stat().st_size > 5000


def test_too_few_patterns_are_refused():
    with pytest.raises(InputError, match="--patterns"):
        LimitBenchConfig(patterns=3)
