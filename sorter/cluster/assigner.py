"""From the points of frames that a clustering has not seen to its clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sorter.cluster.assign import Assigned, DensityAssigner
from sorter.cluster.reduce import Placement
from sorter.core.clustering import NOISE


@dataclass(frozen=True)
class Level:
    """One fit of density clusters. placement: into the space in which density was sought, None where that is the space of the
    points; density: HDBSCAN's rule there; numbers (C,) int32: what each of its clusters is called; far_distance: core
    distance, among the points, from which a point lies alone and is noise whatever the rule says."""

    placement: Placement | None
    density: DensityAssigner
    numbers: NDArray[np.int32]
    far_distance: float

    def __call__(self, points: NDArray, n_soft: int = 0) -> Assigned:
        """Cluster, strength, core distance (among the points) and ``n_soft`` shares of ``points`` (N, k)."""
        if self.placement is None:
            found = self.density(points, n_soft)
            core = found.core_distance
        else:
            places, core = self.placement(points, self.density.min_samples + 1)
            found = self.density(places, n_soft)
        full, far = np.append(self.numbers, np.int32(NOISE)), core > self.far_distance
        labels, soft_labels = full[found.labels], full[found.soft_labels]
        labels[far], soft_labels[far] = NOISE, NOISE
        strength, shares = np.where(labels < 0, 0, found.strength), np.where(soft_labels < 0, 0, found.soft_shares)
        return Assigned(labels, strength.astype(np.float32), core, soft_labels, shares.astype(np.float32))

    def arrays(self) -> dict[str, NDArray]:
        """What the level is made of."""
        out = {f"density_{name}": values for name, values in self.density.arrays().items()}
        if self.placement is not None:
            out |= {"placement_base": self.placement.base, "placement_places": self.placement.places}
        return out | {"numbers": self.numbers, "far_distance": np.array([self.far_distance])}

    @classmethod
    def of_arrays(cls, arrays: dict[str, NDArray]) -> Level:
        """Inverse of `arrays`."""
        density = {k.removeprefix("density_"): v for k, v in arrays.items() if k.startswith("density_")}
        placement = None
        if "placement_base" in arrays:
            placement = Placement(arrays["placement_base"], arrays["placement_places"])
        return cls(placement, DensityAssigner(**density), arrays["numbers"], float(arrays["far_distance"].item()))


@dataclass(frozen=True)
class Assigner:
    """Levels in order: what is noise to one is shown to the next, in which rare groups were found. No levels: no clusters."""

    levels: tuple[Level, ...]

    def __call__(self, points: NDArray) -> Assigned:
        """Cluster and strength of ``points`` (N, k) of `Projection`, core distance among those of the first level."""
        found = Assigned.nowhere(len(points))
        for number, level in enumerate(self.levels):
            if number == 0:
                found = level(points)
                continue
            open_rows = np.flatnonzero(found.labels < 0)
            more = level(points[open_rows])
            found.labels[open_rows], found.strength[open_rows] = more.labels, more.strength
        return found

    def arrays(self) -> dict[str, NDArray]:
        """What the assigner is made of, to be stored."""
        return {f"level{i}_{name}": v for i, level in enumerate(self.levels) for name, v in level.arrays().items()}

    @classmethod
    def of_arrays(cls, arrays: dict[str, NDArray]) -> Assigner:
        """Inverse of `arrays`."""
        levels = []
        while mine := {k.split("_", 1)[1]: v for k, v in arrays.items() if k.startswith(f"level{len(levels)}_")}:
            levels.append(Level.of_arrays(mine))
        return cls(tuple(levels))
