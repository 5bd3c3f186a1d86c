"""Strained nanocrystals on a voxel grid: faceted fcc crystals with a smooth displacement field.

The continuum generator; `sim.particles.atomistic` makes the same thing from minimised atoms. The sample is that of Chan et al.
2020 (Methods): gold, a block of 20 nm clipped by 4-20 planes, strained by compression, tension and shear of up to 1 %, on 32^3
voxels of two lattice constants.

Reading of the paper's phase ("displacements projected along [111] and scaled by 2 pi", lattice constant 1): Q.u with
Q = 2 pi (1, 1, 1) / a, the (111) reflection. Arrays are (nz, ny, nx); x, y, z are the cubic axes of the crystal.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sim.orientation import random_quaternions, rotation_matrix
from sorter.core.config import require

GOLD_LATTICE_NM = 0.4078
FAMILIES = ((1, 1, 1), (1, 0, 0), (1, 1, 0))
"""High-symmetry planes of an fcc crystal: 8 + 6 + 12 normals."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class CrystalConfig:
    """edge_nm: side of the block; min_planes .. max_planes clip it at min_cut .. 1 times half its edge from the centre.
    max_strain: of each component. voxels per axis, each voxel_cells lattice constants wide (whole numbers: as many lattice
    planes in each). relaxed_min .. relaxed_max: share of the strain that the relaxation leaves; smooth_strain:
    gradients of the smooth field that it leaves, relative to the strain. Their defaults span what the atomistic crystals of
    10 to 20 nm show. min_edge_nm: the edge is drawn between this and edge_nm (null: always edge_nm). rotated: crystals lie at
    random in the grid of voxels (x, y, z stay their cubic axes); corners that leave the grid are cut off."""

    edge_nm: float = 20.0
    min_planes: int = 4
    max_planes: int = 20
    min_cut: float = 0.45
    max_strain: float = 0.01
    voxels: int = 32
    voxel_cells: int = 2
    lattice_nm: float = GOLD_LATTICE_NM
    relaxed_min: float = 0.0
    relaxed_max: float = 0.9
    smooth_strain: float = 1.2
    min_edge_nm: float | None = None
    rotated: bool = False

    def __post_init__(self) -> None:
        require(
            4 <= self.min_planes <= self.max_planes <= 26,
            f"crystal planes {self.min_planes}..{self.max_planes}: need 4 <= min <= max <= 26",
        )
        require(0.1 <= self.min_cut <= 1, f"crystal.min_cut = {self.min_cut}: must lie in 0.1..1")
        require(0 <= self.max_strain <= 0.05, f"crystal.max_strain = {self.max_strain}: must lie in 0..0.05")
        require(
            8 <= self.voxels <= 256 and self.voxel_cells >= 1,
            f"crystal: {self.voxels} voxels of {self.voxel_cells} cells: need 8..256 voxels of at least 1 cell",
        )
        require(
            0 <= self.relaxed_min <= self.relaxed_max <= 1 and self.smooth_strain >= 0,
            "crystal: need 0 <= relaxed_min <= relaxed_max <= 1 and smooth_strain 0 or more",
        )
        require(
            self.min_edge_nm is None or 0 < self.min_edge_nm <= self.edge_nm,
            f"crystal.min_edge_nm = {self.min_edge_nm}: must lie between 0 and edge_nm = {self.edge_nm}",
        )
        field_nm = self.voxels * self.voxel_nm
        require(
            0 < self.edge_nm <= 0.95 * field_nm,
            f"crystal.edge_nm = {self.edge_nm}: must be at most "
            f"{0.95 * field_nm:.4g} nm, 95 % of the field of voxels; take more voxels or more cells per voxel",
        )

    @property
    def voxel_nm(self) -> float:
        """Side of a voxel."""
        return self.voxel_cells * self.lattice_nm


@dataclass(frozen=True)
class Crystal:
    """density (n, n, n), 1 inside; displacement_nm (3, n, n, n) as (x, y, z), 0 outside; strain (3, 3), what was applied."""

    density: Array
    displacement_nm: Array
    strain: Array
    voxel_nm: float
    lattice_nm: float

    def phase_rad(self) -> Array:
        """Q.u of each voxel with Q = 2 pi (1, 1, 1) / a."""
        return 2 * np.pi / self.lattice_nm * self.displacement_nm.sum(0)

    def object(self) -> NDArray[np.complex128]:
        """Effective electron density at the (111) reflection: density times exp(i Q.u)."""
        return self.density * np.exp(1j * self.phase_rad())


def plane_normals() -> Array:
    """Unit normals of the high-symmetry planes, (26, 3)."""
    found = {
        tuple(s * h for s, h in zip(signs, order, strict=True))
        for family in FAMILIES
        for order in itertools.permutations(family)
        for signs in itertools.product((1, -1), repeat=3)
    }
    normals = np.array(sorted(found), float)
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)


def draw_planes(config: CrystalConfig, rng: np.random.Generator) -> tuple[Array, Array]:
    """Clipping planes: unit normals (F, 3) and their distances (F,) in nm; the six faces of the block come last."""
    count = int(rng.integers(config.min_planes, config.max_planes + 1))
    known = plane_normals()
    normals = known[rng.choice(len(known), count, replace=False)]
    distances = rng.uniform(config.min_cut, 1, count) * config.edge_nm / 2
    block = np.concatenate([np.eye(3), -np.eye(3)])
    return np.concatenate([normals, block]), np.concatenate([distances, np.full(6, config.edge_nm / 2)])


def draw_strain(config: CrystalConfig, rng: np.random.Generator) -> Array:
    """Symmetric strain (3, 3): compression or tension along, shear between the axes, each up to max_strain."""
    draw = rng.uniform(-config.max_strain, config.max_strain, (3, 3))
    return np.triu(draw) + np.triu(draw, 1).T


def voxel_positions_nm(config: CrystalConfig, rotation: Array | None = None) -> Array:
    """Positions (3, n, n, n) of the voxel centres as (x, y, z), about the middle of the grid, on axes (z, y, x).

    rotation (3, 3): turns the crystal's axes into the grid's; positions are then along the crystal's axes.
    """
    along = (np.arange(config.voxels) - (config.voxels - 1) / 2) * config.voxel_nm
    z, y, x = np.meshgrid(along, along, along, indexing="ij")
    place = np.stack([x, y, z])
    return place if rotation is None else np.tensordot(rotation.T, place, 1)


def faceted_density(config: CrystalConfig, normals: Array, distances: Array, rotation: Array | None = None) -> Array:
    """Share of each voxel inside all half-spaces n.x <= d (nm); faces are smooth over one voxel. rotation: see
    `voxel_positions_nm`."""
    place = voxel_positions_nm(config, rotation)
    density = np.ones(place.shape[1:])
    for normal, distance in zip(normals, distances, strict=True):
        depth = (distance - np.tensordot(normal, place, 1)) / config.voxel_nm
        density *= np.clip(depth + 0.5, 0, 1)
    return density


def smooth_field(
    config: CrystalConfig, rng: np.random.Generator, modes: int = 12, rotation: Array | None = None
) -> Array:
    """Random smooth displacement (3, n, n, n) of unit rms gradient: waves of half a period to two periods over the block."""
    place = voxel_positions_nm(config, rotation)
    field = np.zeros_like(place)
    for _ in range(modes):
        direction = rng.standard_normal(3)
        k = direction / np.linalg.norm(direction) * np.pi / config.edge_nm * rng.uniform(1, 4)
        amplitude = rng.standard_normal(3) / np.linalg.norm(k)
        field += amplitude[:, None, None, None] * np.cos(np.tensordot(k, place, 1) + rng.uniform(0, 2 * np.pi))
    return field / np.sqrt(3 * modes / 2)


def draw_crystal(config: CrystalConfig, rng: np.random.Generator) -> Crystal:
    """A faceted crystal with the strain that a stopped relaxation leaves: a share of the applied strain and a smooth field.

    A free crystal relaxes to no strain at all; what is measured, and what a minimisation that stops at a tolerance leaves, is
    the applied strain times a share, and smooth deviations from it near the faces.
    """
    if config.min_edge_nm is not None:
        config = replace(config, edge_nm=rng.uniform(config.min_edge_nm, config.edge_nm), min_edge_nm=None)
    rotation = rotation_matrix(random_quaternions(1, rng))[0].numpy() if config.rotated else None
    density = faceted_density(config, *draw_planes(config, rng), rotation)
    strain = draw_strain(config, rng)
    left = rng.uniform(config.relaxed_min, config.relaxed_max) * strain
    place = voxel_positions_nm(config, rotation)
    smooth = config.smooth_strain * np.sqrt((strain**2).mean()) * smooth_field(config, rng, rotation=rotation)
    displacement = np.tensordot(left, place, 1) + smooth
    mean = (displacement * density).sum((1, 2, 3), keepdims=True) / density.sum()
    return Crystal(density, (displacement - mean) * (density > 0), strain, config.voxel_nm, config.lattice_nm)
