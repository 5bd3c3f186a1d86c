"""Speckle of 2-D disks, the data of Shen et al., arXiv 2211.08194: how many disks are there?

Frame i shows ``fewest + i mod (most - fewest + 1)`` disks, so every class has its share whatever the number of frames (19,000
frames: 1,000 for each of 2..20). Radii and places are fresh for each frame. In the paper's public code all polydisperse frames
of a class have the same radii; shared_radii gives that.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import torch

from sim.particles.disks import TOTAL_AREA, draw_radii, place_disks
from sim.recipes.base import Block, Recipe, Recording, object_array
from sim.scattering.disks import BLOCKED, PIXEL, detect, intensity, standardise
from sorter.core.config import require
from sorter.core.seeds import child_rng


def class_name(count: int) -> str:
    """Class of frames with ``count`` disks: "disks_07"."""
    return f"disks_{count:02d}"


@dataclass(frozen=True)
class DisksOptions:
    """fewest .. most disks; side_px: pixels along each side of the quadrant (257 or 513 in the paper); polydispersity: standard
    deviation of the radii over their mean (0: equal; the paper's other case: 1/3); shared_radii: one draw of radii for each
    number of disks; blocked_px: side of the blocked corner; photons: expected number outside it (null: no noise);
    coherence_length: transverse coherence in units of the 2,000 wide box (null: full); standardised: mean 0, variance 1 each."""

    fewest: int = 2
    most: int = 20
    side_px: int = 257
    polydispersity: float = 0.0
    shared_radii: bool = False
    blocked_px: int = BLOCKED
    photons: float | None = None
    coherence_length: float | None = None
    standardised: bool = True

    def __post_init__(self) -> None:
        require(
            1 <= self.fewest <= self.most <= 200, f"disks {self.fewest}..{self.most}: need 1 <= fewest <= most <= 200"
        )
        require(16 <= self.side_px <= 4097, f"side_px = {self.side_px}: must lie in 16..4097")
        require(0 <= self.polydispersity <= 1, f"polydispersity = {self.polydispersity}: must lie in 0..1")
        require(
            0 <= self.blocked_px < self.side_px, f"blocked_px = {self.blocked_px}: must lie in 0..{self.side_px - 1}"
        )
        require(self.photons is None or self.photons > 0, f"photons = {self.photons}: must be positive, or null")
        require(self.coherence_length is None or self.coherence_length > 0,
                f"coherence_length = {self.coherence_length}: must be positive, or null")  # fmt: skip


class DisksRecipe(Recipe):
    """See the module."""

    NAME = "disks"
    SUMMARY = "speckle of 2 to 20 disks in a box, exact far field on a quadrant of k-space"
    OPTIONS = DisksOptions
    options: DisksOptions

    @property
    def recording(self) -> Recording:
        """See `Recipe`."""
        side = self.options.side_px
        attrs = {"k_pixel_rad_per_unit": float(PIXEL), "total_area": float(TOTAL_AREA)}
        return Recording((side, side), np.dtype(np.float32), "arbitrary", "patterns", attrs=attrs)

    def compute_block(self, number: int) -> Block:
        """See `Recipe`."""
        start = number * self.BLOCK_FRAMES
        made = [self.frame(index) for index in range(start, start + self.BLOCK_FRAMES)]
        frames = torch.stack([frame for frame, _ in made]).cpu().numpy()
        counts = np.array([len(truth["radii"]) for _, truth in made], np.int64)
        truth = {
            "class": object_array([class_name(int(c)) for c in counts]),
            "hit": np.ones(len(made), bool),
            "n_disks": counts,
            "pair_id": np.arange(start, start + len(made), dtype=np.int64),
            "mean_radius": np.array([np.mean(t["radii"]) for _, t in made]),
            "parameters": object_array([json.dumps(t) for _, t in made]),
        }
        return Block(start, frames, truth)

    def frame(self, index: int) -> tuple[torch.Tensor, dict[str, list]]:
        """Frame ``index`` (side, side) float32 with its radii and centres."""
        options = self.options
        count = options.fewest + index % (options.most - options.fewest + 1)
        rng = child_rng(self.seed, "disks", index)
        radii_rng = child_rng(self.seed, "disks radii", count) if options.shared_radii else rng
        disks = place_disks(draw_radii(count, options.polydispersity, radii_rng), rng)
        pattern = intensity(disks, options.side_px - 1, options.coherence_length, self.device)
        if options.photons is not None:
            pattern = detect(pattern, options.photons, rng, options.blocked_px)
        if options.standardised:
            pattern = standardise(pattern, options.blocked_px)
        else:
            pattern[: options.blocked_px, : options.blocked_px] = 0
        return pattern, {"radii": disks.radii.tolist(), "centres": disks.centres.tolist()}
