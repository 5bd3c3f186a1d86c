"""How bright a shot is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from sorter.core.config import require

Kind = Literal["log_uniform", "gaussian_beam"]


@dataclass(frozen=True)
class FluenceConfig:
    """kind "log_uniform": the expected number of a particle's photons on good pixels lies between min_photons and max_photons,
    whatever the particle. kind "gaussian_beam": the particle crosses a Gaussian focus of full width at half maximum fwhm_um
    at a random place (uniform over the area where the fluence exceeds min_share of the peak), so what is detected follows from
    its cross-section and the peak fluence.
    """

    kind: Kind = "log_uniform"
    min_photons: float = 1e2
    max_photons: float = 1e6
    peak_photons_per_um2: float = 1e11
    fwhm_um: float = 5.0
    min_share: float = 1e-3

    def __post_init__(self) -> None:
        require(
            self.kind in get_args(Kind), f"fluence.kind = {self.kind!r}: must be one of {', '.join(get_args(Kind))}"
        )
        require(
            0 < self.min_photons <= self.max_photons <= 1e12,
            f"fluence: min_photons = {self.min_photons}, max_photons = {self.max_photons}: need 0 < min <= max <= 1e12",
        )
        require(
            0 < self.peak_photons_per_um2 < 1e20,
            f"fluence.peak_photons_per_um2 = {self.peak_photons_per_um2}: must be positive and below 1e20",
        )
        require(self.fwhm_um > 0, f"fluence.fwhm_um = {self.fwhm_um}: must be positive")
        require(0 < self.min_share < 1, f"fluence.min_share = {self.min_share}: must lie between 0 and 1")


@dataclass(frozen=True)
class Shot:
    """Brightness of one shot: expected photons on good pixels, or (where that is None) the fluence, photons per m^2, with the
    distance of the particle from the axis of the beam."""

    expected_photons: float | None
    fluence_photons_per_m2: float = 0.0
    impact_um: float = 0.0


def draw_shot(config: FluenceConfig, rng: np.random.Generator) -> Shot:
    """Draw the brightness of one shot.

    In a Gaussian beam the fluence at distance r is peak * 2^(-(2 r / fwhm)^2); r^2 is uniform up to where that is min_share.
    """
    if config.kind == "log_uniform":
        low, high = np.log(config.min_photons), np.log(config.max_photons)
        return Shot(expected_photons=float(np.exp(rng.uniform(low, high))))
    reach_squared = (config.fwhm_um / 2) ** 2 * np.log2(1 / config.min_share)
    r_squared = rng.uniform(0, reach_squared)
    share = 2.0 ** (-4 * r_squared / config.fwhm_um**2)
    return Shot(None, float(config.peak_photons_per_um2 * 1e12 * share), float(np.sqrt(r_squared)))
