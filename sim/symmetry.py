"""Proper symmetry groups of bodies, and orientations counted once: the fundamental domain of a group.

A body of symmetry s looks the same as ``q`` and as ``q s`` (the symmetry turns the body's own frame first). Of the
equivalent orientations ``q s`` the one with the smallest angle represents them all (Stielow 2020, Appendix A); these
representatives fill, in the Rodrigues vector tan(angle/2) n, a polyhedron about the origin: for the icosahedral group a
dodecahedron.

Names: "I", "O", "T"; "D5", "C2" and so on (main axis z, for D a two-fold axis along x); "Cinf", "Dinf" for bodies of
revolution about z, one-sided or two-sided; "SO3" for spheres. Axes as in `sim.particles.polyhedra`.
"""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from sim.orientation import conjugate, from_axis_angle, multiply, random_quaternions
from sorter.core.errors import InputError

CONTINUOUS = ("Cinf", "Dinf", "SO3")
_GOLDEN = (1 + 5**0.5) / 2
_X, _Z = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)


@lru_cache(maxsize=64)
def group(name: str) -> Tensor:
    """The rotations (G, 4) float64 of the finite group ``name``, the identity first, w >= 0; "C1" is the identity alone.

    Raises InputError for an unknown name and for the continuous groups, which cannot be listed.
    """
    elements = torch.tensor([[1.0, 0, 0, 0]], dtype=torch.float64)
    generators = _generators(name)
    while True:
        products = [multiply(g, elements) for g in generators]
        grown = _distinct(torch.cat([elements, *products]))
        if len(grown) == len(elements):
            return elements
        elements = grown


def _generators(name: str) -> list[Tensor]:
    known = {
        "I": [((0.0, 1.0, _GOLDEN), 5), ((1.0, 1.0, 1.0), 3)],
        "O": [(_Z, 4), ((1.0, 1.0, 1.0), 3)],
        "T": [(_Z, 2), ((1.0, 1.0, 1.0), 3)],
    }
    match = re.fullmatch(r"([CD])([1-9]\d{0,2})", name)
    if match:
        order = int(match[2])
        known[name] = [(_Z, order), (_X, 2)] if match[1] == "D" else [(_Z, order)]
    if name not in known:
        raise InputError(f"symmetry {name!r}: no finite group of this name; there are I, O, T, C1.. and D1..")
    return [from_axis_angle(torch.tensor(axis, dtype=torch.float64), 2 * np.pi / n) for axis, n in known[name]]


def _distinct(elements: Tensor) -> Tensor:
    """``elements`` without repetitions, q and -q being one rotation; in order of first appearance."""
    overlap = (elements @ elements.T).abs() > 1 - 1e-9
    first = overlap.long().argmax(1) == torch.arange(len(elements))
    kept = elements[first]
    return torch.where(kept[:, :1] < -1e-12, -kept, kept)


def equivalents(q: Tensor, name: str) -> Tensor:
    """All orientations ``q s`` (..., G, 4) that look like ``q`` (..., 4)."""
    return multiply(q[..., None, :], group(name).to(q))


def to_fundamental(q: Tensor, name: str) -> Tensor:
    """The equivalent of ``q`` (..., 4) with the smallest rotation angle, w >= 0."""
    if name == "SO3":
        return torch.zeros_like(q).index_fill(-1, torch.zeros(1, dtype=torch.int64, device=q.device), 1.0)
    if name in CONTINUOUS:
        best = _without_spin(q)
        if name == "Dinf":
            other = _without_spin(multiply(q, q.new_tensor([0.0, 1.0, 0.0, 0.0])))
            best = torch.where(other[..., :1] > best[..., :1], other, best)
        return best
    all_of_them = equivalents(q, name)
    choice = all_of_them[..., 0].abs().argmax(-1)
    best = all_of_them.gather(-2, choice[..., None, None].expand(*choice.shape, 1, 4))[..., 0, :]
    return torch.where(best[..., :1] < 0, -best, best)


def _without_spin(q: Tensor) -> Tensor:
    """``q`` after the turn about the body's z axis that makes the angle smallest: the shortest way to tilt the axis."""
    w, x, y, z = q.unbind(-1)
    length = torch.hypot(w, z)
    safe = torch.where(length > 0, length, torch.ones_like(length))
    c, s = torch.where(length > 0, w / safe, torch.ones_like(w)), -z / safe
    return torch.stack([length, x * c + y * s, y * c - x * s, torch.zeros_like(w)], -1)


def in_fundamental(q: Tensor, name: str, tolerance: float = 1e-9) -> Tensor:
    """Whether ``q`` (..., 4) is (within ``tolerance``) a representative: no equivalent has a smaller angle; (...) bool."""
    return q[..., 0].abs() >= to_fundamental(q, name)[..., 0] - tolerance


def random_in_fundamental(count: int, name: str, rng: np.random.Generator) -> Tensor:
    """``count`` orientations, uniform over the fundamental domain, (count, 4) float64.

    The equivalents of the domain tile all rotations, so uniform rotations brought into it are uniform.
    """
    return to_fundamental(random_quaternions(count, rng), name)


def distance_rad(q: Tensor, p: Tensor, name: str) -> Tensor:
    """Smallest angle (...) between any equivalents of ``q`` and ``p`` (..., 4)."""
    if name in CONTINUOUS:
        return _axis_distance(q, p, name)
    # The smallest angle of s^-1 q^-1 p t over s and t is that of q^-1 p t over t alone.
    between = multiply(conjugate(q), p)
    turned = equivalents(between, name)
    # atan2 keeps its precision at small angles, where acos(w) loses half the digits.
    return 2 * torch.atan2(turned[..., 1:].norm(dim=-1), turned[..., 0].abs()).amin(-1)


def _axis_distance(q: Tensor, p: Tensor, name: str) -> Tensor:
    if name == "SO3":
        return torch.zeros_like(q[..., 0])
    _, x, y, _ = (between := multiply(conjugate(q), p)).unbind(-1)
    angle = 2 * torch.atan2(torch.hypot(x, y), torch.hypot(between[..., 0], between[..., 3]))
    return torch.minimum(angle, torch.pi - angle) if name == "Dinf" else angle


def rodrigues(q: Tensor) -> Tensor:
    """Rodrigues vector tan(angle/2) n, (..., 3), of ``q`` (..., 4); infinite for half turns."""
    return q[..., 1:] / q[..., :1]
