"""What comes out of phasing a scan, and the files it is kept in."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from recon.phase.iterate import Solutions
from recon.phase.lab import LabFrame, LabVolumes, lab_frame, lab_volumes
from recon.phase.prepare import Pattern
from recon.phase.problem import Problem
from recon.phase.quality import fourier_shell_correlation, phase_retrieval_transfer
from sorter.core.manifest import software_versions
from sorter.io.whole import whole_file, writing

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class PhaseResult:
    """object (n, n, n) complex64, the middle of its mass in the middle; support (n, n, n) bool; computed_amplitude (n, n, n)
    float32, zero frequency in the middle. chi2 and free_llk as in `recon.phase.problem` (free_llk NaN without pixels kept out).
    history: curves by name, fsc and prtf against the share of Nyquist where there are several answers. made_by: method and
    settings, JSON-ready."""

    pattern: Pattern
    object: NDArray[np.complex64]
    support: NDArray[np.bool_]
    computed_amplitude: NDArray[np.float32]
    chi2: float
    free_llk: float
    seconds: float
    made_by: dict[str, Any]
    curves: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def lab(self) -> LabFrame | None:
        """The laboratory frame, where the scan gives the angles."""
        return None if self.pattern.geometry.missing else lab_frame(self.pattern.geometry, self.pattern.side)

    @cached_property
    def in_lab(self) -> LabVolumes | None:
        """Displacement and strain in that frame."""
        return None if self.lab is None else lab_volumes(self.object, self.lab)

    def summary(self) -> dict[str, Any]:
        """Figures, JSON-ready."""
        modulus = np.abs(self.object)
        phase = np.angle(self.object[self.support & (modulus > 0.3 * modulus.max())])
        found: dict[str, Any] = {
            "name": self.pattern.name, "side": self.pattern.side, "chi2": self.chi2, "free_llk": self.free_llk,
            "support_voxels": int(self.support.sum()), "phase_rms_rad": float(phase.std()), "seconds": self.seconds,
            "counts": float(self.pattern.counts.sum()), **self.made_by,
        }  # fmt: skip
        if self.lab is not None and self.in_lab is not None:
            found["strain_rms"] = float(np.nanstd(self.in_lab.strain))
            volume = abs(float(np.linalg.det(self.lab.direct_nm)))
            found |= {"plane_spacing_nm": self.lab.spacing_nm, "volume_nm3": found["support_voxels"] * volume}
        return found


def result_of(
    pattern: Pattern, problem: Problem, found: Solutions, made_by: dict[str, Any], seconds: float | None = None
) -> PhaseResult:
    """The best of the answers ``found``, and how far the others agree with it; seconds: where preparation counts as well."""
    objects = found.objects
    best = objects[0]
    field_ = torch.fft.fftshift(torch.fft.fftn(best).abs()).cpu().numpy()
    curves = {}
    if len(objects) > 1:
        curves["fsc"] = fourier_shell_correlation(best, objects[1])
        curves["prtf"] = phase_retrieval_transfer(list(objects), problem.amplitude, problem.known)
    obj, support = _in_the_middle(best.cpu().numpy(), found.supports[0].cpu().numpy())
    return PhaseResult(
        pattern, obj, support, field_, float(found.chi2[0]), float(found.free_llk[0]),
        found.seconds if seconds is None else seconds, made_by, curves,
    )  # fmt: skip


def _in_the_middle(
    obj: NDArray[np.complex64], support: NDArray[np.bool_]
) -> tuple[NDArray[np.complex64], NDArray[np.bool_]]:
    """Moved by whole voxels to the middle of its mass (circular), the mean phase taken off."""
    weight = np.abs(obj)
    for axis, n in enumerate(obj.shape):
        circle = np.exp(2j * np.pi * np.arange(n) / n)
        angle = np.angle(weight.sum(tuple(a for a in range(3) if a != axis)) @ circle)
        shift = n // 2 - round(angle * n / (2 * np.pi))
        obj, support, weight = (np.roll(a, shift, axis) for a in (obj, support, weight))
    mean = (obj * np.abs(obj))[support].sum()
    return (obj * np.exp(-1j * np.angle(mean))).astype(np.complex64), support


def write_result(folder: Path, result: PhaseResult) -> None:
    """reconstruction.h5 and result.json in ``folder``. Raises WorkFolderError where it cannot be written."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / "reconstruction.h5") as partial, h5py.File(partial, "w") as file:
        file.attrs.update({"schema_version": SCHEMA_VERSION, "summary": json.dumps(_plain(result.summary()))})
        packed = {"compression": "gzip", "shuffle": True}
        file.create_dataset("amplitude", data=np.abs(result.object), **packed)
        file.create_dataset("phase_rad", data=np.angle(result.object).astype(np.float32), **packed)
        file.create_dataset("support", data=result.support, **packed)
        file.create_dataset("bad_pixels", data=result.pattern.bad_pixels, **packed)
        for name, curve in result.curves.items():
            file[name] = curve
        if result.lab is not None and result.in_lab is not None:
            _write_lab(file.create_group("lab"), result.in_lab, result.lab)
    with whole_file(folder / "result.json") as partial:
        text = {**result.summary(), "remarks": list(result.pattern.remarks), "software": software_versions()}
        partial.write_text(json.dumps(_plain(text), indent=1) + "\n")


def _write_lab(group: h5py.Group, volumes: LabVolumes, lab: LabFrame) -> None:
    """Modulus, displacement and strain on cubic voxels, and the axes."""
    for name in ("amplitude", "displacement_nm", "strain"):
        group.create_dataset(name, data=getattr(volumes, name).astype(np.float32), compression="gzip", shuffle=True)
    group.attrs.update(
        {"voxel_nm": volumes.voxel_nm, "axes": "z (along the beam), y (up), x", "q_inv_nm": lab.q_inv_nm}
    )
    group["direct_nm"] = lab.direct_nm


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in values.items()}
