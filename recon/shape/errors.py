"""Error measures of Stielow et al. 2020 (Appendix C): five relative errors, each over the span of its parameter."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import nnls
from torch import Tensor

from sim.orientation import normalize
from sim.particles.shape import vertices_of
from sim.symmetry import distance_rad, equivalents, group, to_fundamental

#: Radii of the paper's data, nm.
LOW_NM, HIGH_NM = 30.0, 160.0


@lru_cache(maxsize=8)
def quaternion_spans(symmetry: str = "I") -> Tensor:
    """Span of w, x, y, z over the fundamental domain of ``symmetry``, (4,) float64.

    The domain is the cone |v . n| <= w tan(angle / 4) of quaternions (w, v), one pair of faces for each rotation by
    ``angle`` about n.
    The largest component of a unit vector in a convex cone is the length of that axis' projection on the cone, found by
    non-negative least squares (Moreau's decomposition); w is smallest at a corner.
    """
    turns = group(symmetry)[1:].numpy()
    axes = turns[:, 1:] / np.linalg.norm(turns[:, 1:], axis=1, keepdims=True)
    tangents = np.tan(np.arccos(np.clip(turns[:, 0], -1, 1)) / 2)
    normals, tangents = np.concatenate([axes, -axes]), np.concatenate([tangents, tangents])
    corners = vertices_of(normals, tangents)
    least_w = 1 / np.sqrt(1 + (corners**2).sum(1).max())
    faces = np.column_stack([-tangents, normals])
    spans = [sum(nnls(faces.T, sign * axis)[1] for sign in (1.0, -1.0)) for axis in np.eye(4)[1:]]
    return torch.tensor([1 - least_w, *spans], dtype=torch.float64)


def scaled_targets(q: Tensor, radius_nm: Tensor) -> Tensor:
    """What the paper's network regresses, (B, 5): w of the fundamental quaternion scaled to [0, 1], x, y, z, radius scaled."""
    q = to_fundamental(q.double(), "I")
    w_span = quaternion_spans("I")[0]
    w = (q[:, :1] - (1 - w_span)) / w_span
    return torch.cat([w, q[:, 1:], (radius_nm.double()[:, None] - LOW_NM) / (HIGH_NM - LOW_NM)], 1).float()


def from_scaled(outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Quaternions (B, 4), as they come, and radii (B,) in nm of outputs (B, 5); inverse of `scaled_targets`."""
    outputs = outputs.double()
    w_span = quaternion_spans("I")[0]
    q = torch.cat([outputs[:, :1] * w_span + (1 - w_span), outputs[:, 1:4]], 1)
    return q, outputs[:, 4] * (HIGH_NM - LOW_NM) + LOW_NM


@dataclass(frozen=True)
class PoseErrors:
    """Of N frames: relative (N, 5) errors of w, x, y, z, radius over their spans; raw (N, 5): the same without looking for the
    equivalent nearest to the truth or normalising; angle_deg and radius_nm (N,) absolute."""

    relative: NDArray[np.float64]
    raw: NDArray[np.float64]
    angle_deg: NDArray[np.float64]
    radius_nm: NDArray[np.float64]

    @property
    def mean(self) -> NDArray[np.float64]:
        """(N,) mean relative error."""
        return self.relative.mean(1)

    @property
    def maximum(self) -> NDArray[np.float64]:
        """(N,) maximum relative error."""
        return self.relative.max(1)


def pose_errors(
    q: Tensor, radius_nm: Tensor, true_q: Tensor, true_radius_nm: Tensor, symmetry: str = "I"
) -> PoseErrors:
    """Errors of predicted ``q`` (N, 4) and ``radius_nm`` (N,) against the truth, which is brought into the fundamental domain.

    The prediction is normalised and replaced by its symmetry equivalent (and sign) nearest to the truth: a prediction on
    the other side of a face of the domain shows the same particle.
    """
    truth = to_fundamental(true_q.double(), symmetry)
    unit = normalize(q.double())
    alike = equivalents(unit, symmetry)
    overlap = (alike * truth[:, None]).sum(-1)
    best = overlap.abs().argmax(1)
    rows = torch.arange(len(unit))
    nearest = alike[rows, best] * torch.sign(overlap[rows, best])[:, None]
    spans = quaternion_spans(symmetry)
    size = ((radius_nm.double() - true_radius_nm.double()).abs() / (HIGH_NM - LOW_NM))[:, None]
    relative = torch.cat([(nearest - truth).abs() / spans, size], 1)
    raw = torch.cat([(q.double() - truth).abs() / spans, size], 1)
    angle = torch.rad2deg(distance_rad(unit, truth, symmetry))
    return PoseErrors(relative.numpy(), raw.numpy(), angle.numpy(), (radius_nm - true_radius_nm).double().numpy())
