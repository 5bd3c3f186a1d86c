"""Are the errors that network and refinement tell honest? Pulls: the true error over the told one, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recon.shape.errors import PoseErrors

#: Median of |x| of a normal number; median of the length of a vector of three, over the root of 3.
MEDIAN_1, MEDIAN_3 = 0.6745, 1.5382 / 3**0.5
#: The same for 95 % of them.
_MOST_1, _MOST_3 = 1.95996, 2.7955 / 3**0.5


@dataclass(frozen=True)
class Pulls:
    """Of N frames: radius (N,), with its sign, over its standard error; orientation (N,), the angle over the root of the sum of
    squares of the standard errors about three axes. told_deg (N,): that root."""

    radius: NDArray[np.float64]
    orientation: NDArray[np.float64]
    told_deg: NDArray[np.float64]

    def figures(self, prefix: str = "") -> dict[str, float]:
        """Median pull over that of a normal distribution (1: honest; above: told too small), and the share of frames within
        what should hold 95 % of them."""
        return {
            f"{prefix}radius_error_pull": float(np.median(np.abs(self.radius)) / MEDIAN_1),
            f"{prefix}orientation_error_pull": float(np.median(self.orientation) / MEDIAN_3),
            f"{prefix}radius_coverage_95": float((np.abs(self.radius) <= _MOST_1).mean()),
            f"{prefix}orientation_coverage_95": float((self.orientation <= _MOST_3).mean()),
        }


def pulls(errors: PoseErrors, radius_error_nm: NDArray, orientation_error_deg: NDArray) -> Pulls | None:
    """Pulls of N frames whose told errors are given; None where none are told (the paper's outputs)."""
    if np.isnan(radius_error_nm).any():
        return None
    told = np.asarray(orientation_error_deg, float)
    return Pulls(errors.radius_nm / radius_error_nm, errors.angle_deg / told, told)


def told_outliers(outlier: NDArray[np.bool_], told_deg: NDArray[np.float64], share: float = 0.05) -> float | None:
    """Which part of the outliers (N,) is among the ``share`` of frames with the largest told error of orientation; None without
    outliers."""
    least_certain = told_deg >= np.quantile(told_deg, 1 - share)
    return float(least_certain[outlier].mean()) if outlier.any() else None
