"""Orientations of a symmetric body without seams: spherical harmonics of the stars of its axes.

Quaternions, angles and Rodrigues vectors that are kept to one fundamental domain jump where the domain ends, and no continuous
choice of one among the equivalent quaternions exists at all (rotations are a non-trivial cover of orientations). A function on
the sphere that turns with the body and has its symmetry knows nothing of equivalents: its coefficients

    a_lm = sum over the star {v} of a body axis of Ybar_lm(R v),   l = 6 for the icosahedral group, 4 for the cube, ...

are the same for all of them, move continuously with the orientation, and tell orientations apart. When the body turns about
the beam by alpha, a_lm gains the phase exp(i m alpha).

A coefficient vector has, for every degree l, the 2 l + 1 real numbers (a_l0, sqrt2 Re a_lm .., sqrt2 Im a_lm ..), m = 1 .. l,
scaled to length 1 per degree.
"""

from __future__ import annotations

from functools import cached_property, lru_cache

import numpy as np
import torch
from torch import Tensor

from sim.orientation import from_axis_angle, multiply, normalize, rotation_matrix
from sim.symmetry import CONTINUOUS, group, random_in_fundamental

GOLDEN = (1 + 5**0.5) / 2
_X, _Z = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)
_GRID = 6000
_APART = 0.9


def real_harmonics(points: Tensor, degree: int) -> Tensor:
    """Orthonormal real harmonics of ``degree`` at unit vectors (..., 3), (..., 2 degree + 1): m = 0, cosines, sines."""
    x, y, z = points.unbind(-1)
    legendre = _legendre(z, degree)
    turn = torch.complex(x, y)
    root = torch.hypot(x, y)
    turn = torch.where(root > 1e-12, turn / root.clamp_min(1e-12), torch.ones_like(turn))
    waves = [2**0.5 * p * turn ** (m + 1) for m, p in enumerate(legendre[1:])]
    return torch.stack([legendre[0], *(w.real for w in waves), *(w.imag for w in waves)], -1)


def _legendre(z: Tensor, degree: int) -> list[Tensor]:
    """Normalised associated Legendre functions of ``degree``, orders 0 .. degree, by the stable recursion in the degree."""
    sine = (1 - z * z).clamp_min(0).sqrt()
    diagonal = torch.full_like(z, (1 / (4 * np.pi)) ** 0.5)
    found = []
    for m in range(degree + 1):
        if m:
            diagonal = diagonal * sine * ((2 * m + 1) / (2 * m)) ** 0.5
        before, now = torch.zeros_like(z), diagonal
        for n in range(m + 1, degree + 1):
            a = ((4 * n * n - 1) / (n * n - m * m)) ** 0.5
            b = (((n - 1) ** 2 - m * m) / (4 * (n - 1) ** 2 - 1)) ** 0.5
            before, now = now, a * (z * now - b * before)
        found.append(now)
    return found


def stars(symmetry: str) -> list[tuple[int, tuple[float, float, float]]]:
    """(degree, body axis) whose coefficients tell the orientations of a body of ``symmetry`` apart; none for a sphere."""
    fixed = {
        "SO3": [], "Dinf": [(2, _Z)], "Cinf": [(1, _Z), (2, _Z)], "T": [(3, (1.0, 1.0, 1.0))], "O": [(4, _Z)],
        "I": [(6, (0.0, 1.0, GOLDEN)), (10, (0.0, 1.0, GOLDEN))],
    }  # fmt: skip
    if symmetry in fixed:
        return fixed[symmetry]
    order = int(symmetry[1:])
    return [(2, _Z), (order, _X)] if symmetry[0] == "D" else [(1, _Z), (order, _X)]


class Harmonics:
    """Coefficient vectors of bodies of one symmetry; see the module. `harmonics_of` keeps one of each."""

    def __init__(self, symmetry: str) -> None:
        self.symmetry = symmetry

    @cached_property
    def degrees(self) -> tuple[int, ...]:
        """Degree of each block."""
        return tuple(degree for degree, _ in stars(self.symmetry))

    @property
    def size(self) -> int:
        """Length of a coefficient vector."""
        return sum(2 * degree + 1 for degree in self.degrees)

    @cached_property
    def _axes(self) -> list[Tensor]:
        found = []
        for degree, axis in stars(self.symmetry):
            vector = torch.tensor(axis, dtype=torch.float64)
            vector = vector / vector.norm()
            star = rotation_matrix(group(_finite(self.symmetry))) @ vector
            if degree % 2 == 0:  # an axis and its opposite count the same
                star = star[((star @ star.T).round(decimals=9).abs() == 1).long().argmax(1) == torch.arange(len(star))]
            found.append(star)
        return found

    def of(self, q: Tensor) -> Tensor:
        """Coefficient vectors (..., size) of orientations ``q`` (..., 4)."""
        matrix = rotation_matrix(q)[..., None, :, :]
        blocks = []
        for degree, axes in zip(self.degrees, self._axes, strict=True):
            turned = (matrix @ axes.to(q)[..., None])[..., 0]
            blocks.append(normalize(real_harmonics(turned, degree).sum(-2)))
        return torch.cat(blocks, -1) if blocks else q.new_zeros(*q.shape[:-1], 0)

    @cached_property
    def generators(self) -> Tensor:
        """(3, size, size) float64: how coefficients move when the body turns about x, y, z of the laboratory."""
        return torch.stack([torch.block_diag(*(_generator(d)[i] for d in self.degrees)) for i in range(3)])

    @cached_property
    def grid(self) -> tuple[Tensor, Tensor]:
        """Orientations (N, 4) over the fundamental domain and their coefficient vectors (N, size), float64."""
        q = random_in_fundamental(_GRID, _finite(self.symmetry), np.random.default_rng(0))
        return q, self.of(q)

    def orientations(self, coefficients: Tensor, candidates: int = 1, steps: int = 6) -> tuple[Tensor, Tensor]:
        """The orientations whose coefficients are nearest in direction to ``coefficients`` (B, size).

        Returns quaternions (B, K, 4) float64, best first, and the cosines (B, K) between given and found vectors. The best of a
        grid over the fundamental domain is improved by Gauss-Newton steps with the generators of rotations; the further
        candidates are the next best grid points that look different from all before them.
        """
        if not self.size:
            one = torch.tensor([1.0, 0, 0, 0], dtype=torch.float64).expand(len(coefficients), candidates, 4)
            return one, torch.ones(len(coefficients), candidates, dtype=torch.float64)
        q, grid = self.grid
        wanted = normalize(coefficients.double() + 1e-12)
        grid = normalize(grid)
        scores = wanted @ grid.T
        found = []
        for _ in range(candidates):
            best = scores.argmax(1)
            found.append(q[best])
            alike = grid[best] @ grid.T
            scores = scores.masked_fill(alike > _APART, -2.0)
        best = found[0][:, None]
        for _ in range(steps):
            best = self._step(best, wanted[:, None])
        turned = torch.cat([best, *(q[:, None] for q in found[1:])], 1)
        return turned, (normalize(self.of(turned)) * wanted[:, None]).sum(-1)

    def _step(self, q: Tensor, wanted: Tensor) -> Tensor:
        now = self.of(q)
        length = now.norm(dim=-1, keepdim=True)
        slopes = torch.einsum("gij,bkj->bkig", self.generators, now)
        normal = slopes.mT @ slopes + 1e-6 * torch.eye(3, dtype=torch.float64)
        turn = torch.linalg.solve(normal, slopes.mT @ (length * wanted - now)[..., None])[..., 0]
        return multiply(rotation(turn.clamp(-0.2, 0.2)), q)

    def angle_per_length(self) -> float:
        """Root mean square turn (radians per axis) that moves the coefficients by one unit in every direction; inf for a
        sphere."""
        if not self.size:
            return float("inf")
        slopes = torch.einsum("gij,j->ig", self.generators, self.grid[1][0])
        return float(1 / (slopes.square().sum() / 3).sqrt())


@lru_cache(maxsize=32)
def harmonics_of(symmetry: str) -> Harmonics:
    """The `Harmonics` of ``symmetry``, with its tables."""
    return Harmonics(symmetry)


def _finite(symmetry: str) -> str:
    return "C1" if symmetry in CONTINUOUS else symmetry


def rotation(vector: Tensor) -> Tensor:
    """Quaternions (..., 4) of rotation vectors (..., 3), radians."""
    angle = vector.norm(dim=-1)
    safe = torch.where(angle[..., None] > 1e-12, vector, torch.tensor(_Z, dtype=vector.dtype))
    return from_axis_angle(safe, angle)


@lru_cache(maxsize=16)
def _generator(degree: int) -> Tensor:
    """(3, 2 l + 1, 2 l + 1): derivative of the harmonics' rotation matrices at the identity, from central differences."""
    points = normalize(torch.from_numpy(np.random.default_rng(degree).standard_normal((8 * degree + 40, 3))))
    here = real_harmonics(points, degree)
    small, found = 1e-4, []
    for axis in torch.eye(3, dtype=torch.float64):
        ahead, behind = (
            real_harmonics(points @ rotation_matrix(rotation(s * small * axis)).T, degree) for s in (1, -1)
        )
        found.append(torch.linalg.lstsq(here, (ahead - behind) / (2 * small)).solution.T)
    return torch.stack(found)
