"""Settings of ingest."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from sorter.core.config import require
from sorter.core.frames import UNITS
from sorter.io.masks import CONVENTIONS
from sorter.preprocess.calibration import COMMON_MODES


@dataclass(frozen=True)
class IngestConfig:
    """What the files do not say. None: take it from the file, or from the work folder when it has frames already.

    dataset: path of the frames in HDF5 files; mask: file of an extra mask (its bad pixels are added), FILE or FILE:/DATASET;
    mask_convention: of the extra mask, or where there is none of those in the files, one of masks.CONVENTIONS;
    center_px: beam centre (y, x) in recorded pixels; distance_m,
    pixel_size_m, wavelength_m; dark: file or number, ADU; gain: file or number, ADU per photon; common_mode: one of
    calibration.COMMON_MODES; unit: one of frames.UNITS; bin: whole number, None: as much as brings the long side to <= 256.
    """

    dataset: str | None = None
    mask: str | None = None
    mask_convention: str | None = None
    center_px: tuple[float, float] | None = None
    distance_m: float | None = None
    pixel_size_m: float | None = None
    wavelength_m: float | None = None
    dark: str | None = None
    gain: str | None = None
    common_mode: str | None = None
    unit: str | None = None
    bin: int | None = None

    def __post_init__(self) -> None:
        if self.center_px is not None:
            object.__setattr__(self, "center_px", tuple(float(c) for c in self.center_px))
            require(len(self.center_px) == 2, f"center {self.center_px}: give two numbers, Y,X in pixels")
        require(self.bin is None or self.bin >= 1, f"bin {self.bin}: must be a whole number, 1 or more")
        require(self.unit in (None, *UNITS), f"unit '{self.unit}': not known; use one of {', '.join(UNITS)}")
        known = (None, *CONVENTIONS)
        require(
            self.mask_convention in known,
            f"mask convention '{self.mask_convention}': use one of {', '.join(CONVENTIONS)}",
        )
        modes = f"use one of {', '.join(COMMON_MODES)}"
        require(self.common_mode in (None, *COMMON_MODES), f"common mode '{self.common_mode}': not known; {modes}")

    def over(self, stored: IngestConfig) -> IngestConfig:
        """This config, with what it leaves open taken from the ``stored`` one."""
        return replace(stored, **{f.name: v for f in fields(self) if (v := getattr(self, f.name)) is not None})
