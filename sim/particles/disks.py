"""Disks in a box: the model sample of Shen et al., arXiv 2211.08194, section 2. Lengths are in units of the box.

n disks of constant total area lie in a 2,000 x 2,000 box without overlap. Their radii are equal or follow a normal distribution
cut off at zero. Where the paper is silent, its public code (uw-cmg/ML4XraySpecklePattern) decides: centres keep 90 from the
edge and rims 2 from each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sorter.core.config import require
from sorter.core.errors import InputError

BOX = 2000.0
"""Side of the box."""
TOTAL_AREA = 2 * np.pi * 90.0**2
"""Area of all disks together: that of two of radius 90."""
MARGIN = 90.0
GAP = 2.0
_TRIES = 64
_RESTARTS = 1000


@dataclass(frozen=True)
class Disks:
    """centres (n, 2) float64 as (x, y) in [0, BOX]; radii (n,) float64."""

    centres: NDArray[np.float64]
    radii: NDArray[np.float64]

    @property
    def count(self) -> int:
        """Number of disks."""
        return len(self.radii)


def equal_radius(count: int) -> float:
    """Radius of each of ``count`` equal disks: sqrt(16200 / count)."""
    return float(np.sqrt(TOTAL_AREA / np.pi / count))


def draw_radii(count: int, polydispersity: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Radii (count,): normal with standard deviation ``polydispersity`` x mean, positive ones only, rescaled to TOTAL_AREA.

    The paper takes polydispersity = 1/3. Raises InputError for fewer than one disk or a polydispersity outside 0..1.
    """
    require(count >= 1, f"disks = {count}: need at least 1")
    require(
        0 <= polydispersity <= 1, f"polydispersity = {polydispersity}: must lie in 0..1 (standard deviation over mean)"
    )
    radii = np.ones(count)
    if polydispersity > 0:
        radii = rng.normal(1, polydispersity, count)
        while (radii <= 0).any():
            again = radii <= 0
            radii[again] = rng.normal(1, polydispersity, int(again.sum()))
    return radii * np.sqrt(TOTAL_AREA / (np.pi * (radii**2).sum()))


def place_disks(radii: NDArray[np.float64], rng: np.random.Generator) -> Disks:
    """Disks of these radii at random places in the box, one after the other, each drawn until it overlaps none before it.

    Starts anew where the box has become too full for the next one. Raises InputError for radii that are not positive and for
    disks that do not fit into the box, or so tightly that no random arrangement is found.
    """
    radii = np.asarray(radii, float)
    require(len(radii) > 0 and bool((radii > 0).all()), "disks: need at least one radius, all of them positive")
    require(2 * radii.max() < BOX, f"disks: a radius of {radii.max():.4g} does not fit into the box of side {BOX:g}")
    inset = np.maximum(radii, MARGIN)
    for _ in range(_RESTARTS):
        centres = np.empty((len(radii), 2))
        for i, radius in enumerate(radii):
            tries = (
                rng.uniform(inset[i], BOX - inset[i], (_TRIES, 2))
                if i
                else rng.uniform(inset[i], BOX - inset[i], (1, 2))
            )
            distance = np.hypot(*(tries[:, None] - centres[None, :i]).transpose(2, 0, 1))
            free = (distance >= radii[:i] + radius + GAP).all(1)
            if not free.any():
                break
            centres[i] = tries[free.argmax()]
        else:
            return Disks(centres, radii)
    share = np.pi * (radii**2).sum() / BOX**2
    raise InputError(
        f"disks: {len(radii)} of radius up to {radii.max():.4g} fill {share:.0%} of the box and could not be placed without "
        "overlap; take fewer or smaller ones"
    )


def draw_disks(count: int, polydispersity: float, rng: np.random.Generator) -> Disks:
    """``count`` disks of random radii (see `draw_radii`) at random places (see `place_disks`)."""
    return place_disks(draw_radii(count, polydispersity, rng), rng)
