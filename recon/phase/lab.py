"""From the axes of a scan to the laboratory: voxels along rocking angle, rows and columns are neither equal nor orthogonal.

Laboratory: z along the beam, y up, x = y x z. The detector arm turns by delta about +y and rises by gamma; columns grow along
+x of the turned detector, rows downwards; the crystal turns about +y. (APS 34-ID-C.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from recon.phase.spec import ScanGeometry
from sorter.core.errors import InputError

_HC_KEV_NM = 1.239841984


@dataclass(frozen=True)
class LabFrame:
    """q_inv_nm (3,): the Bragg peak's scattering vector. reciprocal_inv_nm (3, 3): change of q from one voxel to the next, a
    row for each axis of the array. direct_nm (3, 3): steps of the object's voxels, a row for each axis. All in (x, y, z)."""

    q_inv_nm: NDArray[np.float64]
    reciprocal_inv_nm: NDArray[np.float64]
    direct_nm: NDArray[np.float64]

    @property
    def spacing_nm(self) -> float:
        """Distance of the lattice planes that reflect."""
        return float(2 * np.pi / np.linalg.norm(self.q_inv_nm))

    def strain_phase_to_nm(self, phase_rad: NDArray) -> NDArray:
        """Displacement along Q in nm that belongs to a phase."""
        return phase_rad / np.linalg.norm(self.q_inv_nm)


def lab_frame(geometry: ScanGeometry, side: int, name: str = "scan") -> LabFrame:
    """The frame of a cube of ``side`` voxels. Raises InputError that lists what is missing."""
    if geometry.missing:
        options = ", ".join("--" + n.lower().replace("_", "-") for n in geometry.missing)
        raise InputError(
            f"{name}: the scan does not give {', '.join(geometry.missing)}: no laboratory frame; give {options}"
        )
    k = 2 * np.pi * geometry.energy_keV / _HC_KEV_NM
    delta, gamma = np.radians(geometry.delta_deg), np.radians(geometry.gamma_deg)
    turn = np.array([[np.cos(delta), 0, np.sin(delta)], [0, 1, 0], [-np.sin(delta), 0, np.cos(delta)]])
    rise = np.array([[1, 0, 0], [0, np.cos(gamma), np.sin(gamma)], [0, -np.sin(gamma), np.cos(gamma)]])
    arm = turn @ rise
    q = k * (arm @ [0, 0, 1] - [0, 0, 1])
    pixel = k * geometry.pixel_m / geometry.distance_m
    rows, columns = pixel * arm @ [0, -1, 0], pixel * arm @ [1, 0, 0]
    # a crystal turned by +d moves its lattice point by d (y x q); what the detector sees moves the other way in the crystal
    rocking = -np.radians(geometry.step_deg) * np.cross([0, 1, 0], q)
    reciprocal = np.stack([rocking, rows, columns])
    direct = 2 * np.pi * np.linalg.inv(side * reciprocal).T
    return LabFrame(q, reciprocal, direct)


def to_lab(
    obj: NDArray[np.complex64], frame: LabFrame, voxel_nm: float | None = None
) -> tuple[NDArray[np.complex64], float]:
    """``obj`` (n, n, n) on a cubic grid along the laboratory's (z, y, x), and its voxel in nm (default: the scan's mean voxel).

    Linear interpolation about the middle, which stays the middle.
    """
    voxel = voxel_nm or float(np.abs(np.linalg.det(frame.direct_nm)) ** (1 / 3))
    n = obj.shape[0]
    along = (np.arange(n) - n // 2) * voxel
    z, y, x = np.meshgrid(along, along, along, indexing="ij")
    places = np.linalg.inv(frame.direct_nm.T) @ np.stack([x, y, z]).reshape(3, -1) + n // 2
    parts = [ndimage.map_coordinates(part, places, order=1).reshape(obj.shape) for part in (obj.real, obj.imag)]
    return (parts[0] + 1j * parts[1]).astype(np.complex64), voxel


@dataclass(frozen=True)
class LabVolumes:
    """amplitude, displacement_nm (along Q, the mean is arbitrary) and strain (d u / d x along Q), each (n, n, n) on a cubic grid
    of ``voxel_nm`` along (z, y, x); displacement NaN where there is no matter, strain also at the rim."""

    amplitude: NDArray[np.float32]
    displacement_nm: NDArray[np.float64]
    strain: NDArray[np.float64]
    voxel_nm: float


def lab_volumes(obj: NDArray[np.complex64], frame: LabFrame, level: float = 0.3) -> LabVolumes:
    """Of an object on the scan's axes; matter is where its modulus exceeds ``level`` of the largest."""
    cubic, voxel_nm = to_lab(obj, frame)
    modulus, phase = np.abs(cubic), np.angle(cubic)
    matter = modulus > level * modulus.max()
    displacement = np.where(matter, frame.strain_phase_to_nm(phase), np.nan)
    return LabVolumes(modulus, displacement, strain_along_q(phase, matter, frame, voxel_nm), voxel_nm)


def strain_along_q(
    phase_rad: NDArray, support: NDArray[np.bool_], lab: LabFrame, voxel_nm: float
) -> NDArray[np.float64]:
    """d u / d x along Q (n, n, n) of a phase on the laboratory's cubic grid (z, y, x); NaN outside and at the rim of the
    support."""
    inner = ndimage.binary_erosion(support)
    direction = lab.q_inv_nm[::-1] / np.linalg.norm(lab.q_inv_nm)
    wave = np.exp(1j * phase_rad)
    slopes = [np.angle(np.roll(wave, -1, a) * np.roll(wave, 1, a).conj()) / (2 * voxel_nm) for a in range(3)]
    strain = sum(d * s for d, s in zip(direction, slopes, strict=True)) / np.linalg.norm(lab.q_inv_nm)
    return np.where(inner, strain, np.nan)
