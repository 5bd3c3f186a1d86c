"""Geometry, mask, unit and run id where HDF5 files of the field keep them: CXI, NeXus, psocake, and shotsort's own."""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import numpy as np

from sorter.core.frames import Unit
from sorter.core.geometry import Geometry
from sorter.io.hdf5_tree import FileTree, FoundDataset, as_text
from sorter.io.masks import guess_convention

_JOULE_METRE = 6.62607015e-34 * 299792458.0  # h c, SI (exact)
_JOULE_PER_EV = 1.602176634e-19  # SI (exact)
_METRE = {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6, "µm": 1e-6, "micron": 1e-6, "nm": 1e-9, "pm": 1e-12}
_METRE |= {"a": 1e-10, "å": 1e-10, "ang": 1e-10, "angstrom": 1e-10, "angstroem": 1e-10}
_PHOTONS = re.compile(r"photons?|counts?|ph", re.IGNORECASE)
_ADU = re.compile(r"adus?|dn|keV|eV", re.IGNORECASE)

#: Last names of the datasets that hold a quantity, the likeliest first; ".." is looked up near the frames first.
_DISTANCE = ("distance", "detector_distance")
_PIXEL = ("x_pixel_size", "pixel_size", "x_pixel_size_m", "pixel_size_m")
_WAVELENGTH = ("wavelength", "incident_wavelength", "beam_wavelength", "wavelength_m")
_ENERGY = ("energy", "photon_energy", "incident_energy", "photon_energy_eV", "photon_energy_ev")


class Metadata:
    """Looks things up in one open file. remarks collects what a person should know of."""

    def __init__(self, file: h5py.File, tree: FileTree, frames: FoundDataset) -> None:
        self._file, self._tree, self._frames = file, tree, frames
        self.remarks: list[str] = []

    def geometry(self, shape_px: tuple[int, int]) -> Geometry:
        """What the file says of the geometry; None for what it does not say."""
        pixel = self._length(_PIXEL)
        center = self._beam_center(pixel)
        return Geometry(
            shape_px,
            pixel_size_m=pixel,
            distance_m=self._length(_DISTANCE),
            wavelength_m=self._wavelength(),
            beam_center_px=center,
            beam_center_source="unknown" if center is None else "file",
        )

    def _near(self, names: tuple[str, ...]) -> FoundDataset | None:
        """The dataset of one of these names that shares most of its path with the frames."""
        found = [d for name in names for d in self._tree.named(name) if d.dtype.kind in "uif"]
        home = {p.strip("/").split("/")[0] for p in (self._frames.path, *self._frames.aliases)}
        here = [d for d in found if d.path.strip("/").split("/")[0] in home]
        return next(iter(here or found), None)

    def _scalar(self, dataset: FoundDataset) -> tuple[float | None, str]:
        """Value (of a per-frame list: its median) and units attribute."""
        item = self._file[dataset.path]
        values = np.asarray(item[()], float).ravel()
        good = values[np.isfinite(values) & (values > 0)]
        units = item.attrs.get("units", item.attrs.get("unit", ""))
        units = units.decode() if isinstance(units, bytes) else str(units)
        if len(good) == 0:
            return None, units
        if np.ptp(good) > 1e-3 * np.median(good):
            self.remarks.append(f"{dataset.path} varies from {good.min():.6g} to {good.max():.6g}; the median is used")
        return float(np.median(good)), units

    def _length(self, names: tuple[str, ...]) -> float | None:
        found = self._near(names)
        if found is None:
            return None
        value, units = self._scalar(found)
        if value is None:
            return None
        scale = _METRE.get(units.strip().lower())
        if scale is None and units:
            self.remarks.append(f"{found.path}: unit '{units}' is not known; taken as metres")
        return value * (scale or 1.0)

    def _wavelength(self) -> float | None:
        value = self._length(_WAVELENGTH)
        if value is not None:
            return value
        found = self._near(_ENERGY)
        if found is None:
            return None
        energy, units = self._scalar(found)
        if energy is None:
            return None
        unit = units.strip().lower()
        if unit in ("ev", "kev"):
            energy *= _JOULE_PER_EV * (1000 if unit == "kev" else 1)
        elif energy > 1e-10:  # CXI energies are joules: 1e-18..1e-14; nothing else than eV is this large
            self.remarks.append(f"{found.path} = {energy:g} cannot be joules; taken as eV")
            energy *= _JOULE_PER_EV
        return _JOULE_METRE / energy

    def _beam_center(self, pixel_m: float | None) -> tuple[float, float] | None:
        own = self._near(("beam_center_px",))
        if own is not None and own.shape == (2,):
            y, x = np.asarray(self._file[own.path][()], float)
            return float(y), float(x)
        along_y, along_x = self._near(("beam_center_y",)), self._near(("beam_center_x",))
        if along_y is not None and along_x is not None:
            y_value, x_value = (self._center_coordinate(d, pixel_m) for d in (along_y, along_x))
            return None if y_value is None or x_value is None else (y_value, x_value)
        return self._corner_center(pixel_m)

    def _center_coordinate(self, dataset: FoundDataset, pixel_m: float | None) -> float | None:
        value, units = self._scalar(dataset)
        scale = _METRE.get(units.strip().lower())
        if value is None or scale is None:
            return value
        return None if pixel_m is None else value * scale / pixel_m

    def _corner_center(self, pixel_m: float | None) -> tuple[float, float] | None:
        """CXI: the corner of the first pixel lies at corner_position; the columns of basis_vectors lead from pixel to pixel."""
        corner = self._near(("corner_position",))
        if corner is None:
            return None
        origin = np.asarray(self._file[corner.path][()], float).ravel()
        basis_set = self._near(("basis_vectors",))
        if basis_set is not None:
            basis = np.asarray(self._file[basis_set.path][()], float)
            basis = basis.T if basis.shape == (2, 3) else basis
        elif pixel_m is not None:
            basis = np.array([[0.0, -pixel_m], [-pixel_m, 0.0], [0.0, 0.0]])
        else:
            return None
        if origin.shape != (3,) or basis.shape != (3, 2) or abs(np.linalg.det(basis[:2])) < 1e-30:
            self.remarks.append(
                f"{corner.path}: not a CXI corner with basis vectors; the beam centre is taken as unknown"
            )
            return None
        y, x = np.linalg.solve(basis[:2], -origin[:2]) - 0.5
        return float(y), float(x)

    def unit(self) -> Unit | None:
        """What the attribute ``unit`` or ``units`` of the frames says; None where it says nothing known."""
        attrs = self._file[self._frames.path].attrs
        text = attrs.get("unit", attrs.get("units", ""))
        text = text.decode() if isinstance(text, bytes) else str(text)
        if _PHOTONS.fullmatch(text.strip()):
            return "photon"
        if _ADU.fullmatch(text.strip()):
            return "adu"
        return "arbitrary" if text.strip() == "arbitrary" else None

    def run_id(self, path: str | Path) -> str:
        """Run id of the file (run_id, NeXus entry_identifier), else its base name."""
        for name in ("run_id", "entry_identifier"):
            attr = self._file.attrs.get(name)
            if attr is not None:
                return str(as_text(np.asarray([attr]))[0])
            for dataset in self._tree.named(name):
                if int(np.prod(dataset.shape)) == 1:
                    return str(as_text(np.asarray(self._file[dataset.path][()]).ravel())[0])
        return Path(path).name

    def mask_dataset(self) -> FoundDataset | None:
        """The mask that belongs to the frames: CXI or NeXus beside the detector, else psocake's beside the data."""
        shape = self._frames.shape
        fits = [
            d
            for d in self._tree.named("mask", "pixel_mask", "mask_shared")
            if d.shape in (shape, shape[1:], shape[-2:]) and d.dtype.kind in "bui"
        ]
        parents = {p.rsplit("/", 1)[0] for p in (self._frames.path, *self._frames.aliases)}
        beside = [d for d in fits if any(p.rsplit("/", 1)[0] in parents for p in (d.path, *d.aliases))]
        rank = {"cxi": 0, "nexus": 0, "euxfel": 0, "good": 1}
        return min(beside or fits, key=lambda d: rank[self.convention(d)], default=None)

    def convention(self, dataset: FoundDataset) -> str:
        """Convention of a mask by its place; a link from the data group to a detector's mask makes it a CXI mask."""
        paths = (dataset.path, *dataset.aliases)
        euxfel = bool(self._tree.named("trainId")) and bool(self._tree.named("pulseId"))
        guesses = [guess_convention(p, euxfel) for p in paths]
        return next((g for g in guesses if g != "good"), "good")
