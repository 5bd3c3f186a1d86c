"""Images and stacks of images: TIFF through tifffile; CBF, EDF and what else fabio knows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sorter.core.errors import InputError
from sorter.core.geometry import Geometry
from sorter.io.masks import MISSING
from sorter.io.recording import Reader, ReadOptions, Recording, check_frames, require_file

_NUMBER = r"([-+]?[\d.]+(?:[eE][-+]?\d+)?)"
#: miniCBF header (Dectris): what is sought -> pattern; lengths in metres, wavelength in angstrom, beam as x, y.
_CBF = {
    "pixel": re.compile(rf"Pixel_size\s+{_NUMBER}\s*m"),
    "distance": re.compile(rf"Detector_distance\s+{_NUMBER}\s*m"),
    "wavelength": re.compile(rf"Wavelength\s+{_NUMBER}\s*A"),
    "beam": re.compile(rf"Beam_xy\s+\(?{_NUMBER},\s*{_NUMBER}\)?"),
}


class TiffReader(Reader):
    """Pages of one TIFF file; the pages of its first series are the frames."""

    name: ClassVar[str] = "tiff"

    def __init__(self, path: str | Path, options: ReadOptions) -> None:
        import tifffile

        self._path = path
        found = require_file(path)
        try:
            self._tiff = tifffile.TiffFile(found)
            series = self._tiff.series[0]
            shape = (1, *series.shape) if len(series.shape) == 2 else tuple(series.shape)
        except Exception as error:  # tifffile raises whatever a damaged file makes it meet
            raise InputError(f"{path}: not a whole TIFF file ({error}); write it again") from error
        self._pages: Any = series.pages
        check_frames(path, "the image", shape)
        if series.dtype.kind not in "uif" or len(self._pages) not in (1, shape[0]):
            raise InputError(f"{path}: is no stack of grey images ({shape}, {series.dtype}); convert it")
        self._single = len(self._pages) == 1
        self.recording = Recording(
            str(path), "image", found.name, self.name, shape[0], np.dtype(series.dtype), Geometry((shape[1], shape[2]))
        )

    def read(self, start: int, stop: int) -> NDArray:
        """(stop - start, ny, nx) frames."""
        shape = self.recording.shape_px
        try:
            if self._single:
                return np.asarray(self._pages[0].asarray()).reshape(-1, *shape)[start:stop]
            return np.stack([self._pages[i].asarray() for i in range(start, stop)]).reshape(-1, *shape)
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(
                f"{self._path}: images {start}..{stop - 1} cannot be read ({error}); write it again"
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._tiff.close()


class FabioReader(Reader):
    """CBF, EDF and other detector images, one or several per file. Negative CBF pixels are gaps and dead ones (Dectris)."""

    name: ClassVar[str] = "fabio"

    def __init__(self, path: str | Path, options: ReadOptions) -> None:
        import fabio

        self._path = path
        found = require_file(path)
        try:
            self._image: Any = fabio.open(str(found))
            first = np.asarray(self._image.data)
        except Exception as error:  # fabio raises whatever its many formats meet
            raise InputError(f"{path}: cannot be read as a detector image ({error}); write it again") from error
        check_frames(path, "the image", (self._image.nframes, *first.shape))
        self._cbf = found.suffix.lower() == ".cbf"
        self._last: tuple[int, NDArray] = (0, first)
        header = {str(k): str(v) for k, v in self._image.header.items()}
        geometry = _cbf_geometry(header, first.shape) if self._cbf else _edf_geometry(header, first.shape)
        remarks = ("negative pixels are taken as gaps or dead pixels",) if self._cbf and (first < 0).any() else ()
        self.recording = Recording(
            str(path), "image", found.name, self.name, int(self._image.nframes), first.dtype, geometry,
            mask_bits=np.where(first < 0, np.uint32(MISSING), np.uint32(0)) if self._cbf else None,
            has_frame_masks=self._cbf, remarks=remarks,
        )  # fmt: skip

    def _frame(self, index: int) -> NDArray:
        if self._last[0] != index:
            try:
                self._last = (index, np.asarray(self._image.get_frame(index).data))
            except Exception as error:
                raise InputError(f"{self._path}: image {index} cannot be read ({error}); write it again") from error
        return self._last[1]

    def read(self, start: int, stop: int) -> NDArray:
        """(stop - start, ny, nx) frames."""
        return np.stack([self._frame(i) for i in range(start, stop)])

    def read_bad(self, start: int, stop: int) -> NDArray[np.bool_]:
        """(stop - start, ny, nx) pixels that hold no count."""
        return self.read(start, stop) < 0

    def close(self) -> None:
        """Close the file."""
        self._image.close()


def _cbf_geometry(header: dict[str, str], shape: tuple[int, ...]) -> Geometry:
    text = header.get("_array_data.header_contents", "")
    found = {name: match for name, pattern in _CBF.items() if (match := pattern.search(text))}
    values = {name: float(match.group(1)) or None for name, match in found.items() if name != "beam"}
    beam = found.get("beam")
    center = (
        None if beam is None else (float(beam.group(2)) - 0.5, float(beam.group(1)) - 0.5)
    )  # edge of the first pixel: 0
    if center == (-0.5, -0.5):
        center = None
    wavelength = values.get("wavelength")
    return Geometry(
        (shape[0], shape[1]), values.get("pixel"), values.get("distance"), wavelength and wavelength * 1e-10, center,
        beam_center_source="unknown" if center is None else "file",
    )  # fmt: skip


def _edf_geometry(header: dict[str, str], shape: tuple[int, ...]) -> Geometry:
    """ESRF SAXS keys, SI units; their centre depends on offsets and binning of the camera and is not taken."""

    def number(name: str) -> float | None:
        try:
            return float(header[name].split()[0]) or None
        except (KeyError, ValueError, IndexError):
            return None

    return Geometry((shape[0], shape[1]), number("PSize_1"), number("SampleDistance"), number("WaveLength"))
