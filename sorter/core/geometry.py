"""Where the pixels of a flat detector are, in space and in q."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.core.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Geometry:
    """A flat detector perpendicular to the beam. What is not known is None.

    shape_px: (ny, nx). beam_center_px: (y, x), whole numbers are pixel centres. beam_center_source says where the centre
    comes from: "file", "option", "estimated" (then beam_center_error_px is its standard uncertainty) or "unknown".
    """

    shape_px: tuple[int, int]
    pixel_size_m: float | None = None
    distance_m: float | None = None
    wavelength_m: float | None = None
    beam_center_px: tuple[float, float] | None = None
    beam_center_error_px: float | None = None
    beam_center_source: str = "unknown"

    def __post_init__(self) -> None:
        ny, nx = (int(n) for n in self.shape_px)
        object.__setattr__(self, "shape_px", (ny, nx))
        if ny < 1 or nx < 1:
            raise InputError(f"detector shape {self.shape_px}: both sides must be at least 1 pixel")
        for name in ("pixel_size_m", "distance_m", "wavelength_m"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0):
                raise InputError(f"geometry: {name} = {value}: must be a positive number in metres")
        if self.beam_center_px is not None:
            y, x = (float(c) for c in self.beam_center_px)
            if not (np.isfinite(y) and np.isfinite(x)):
                raise InputError(
                    f"geometry: beam centre {self.beam_center_px}: must be two finite numbers, Y,X in pixels"
                )
            object.__setattr__(self, "beam_center_px", (y, x))

    @property
    def has_q(self) -> bool:
        """Whether q can be calculated: pixel size, distance, wavelength and centre are all known."""
        return None not in (self.pixel_size_m, self.distance_m, self.wavelength_m, self.beam_center_px)

    def center_px(self) -> tuple[float, float]:
        """Beam centre (y, x); the middle of the detector where none is known."""
        if self.beam_center_px is not None:
            return self.beam_center_px
        return (self.shape_px[0] - 1) / 2, (self.shape_px[1] - 1) / 2

    def binned(self, factor: int) -> Geometry:
        """The geometry after ``factor`` x ``factor`` pixels were summed into one; incomplete edges are dropped."""
        if factor == 1:
            return self
        ny, nx = self.shape_px
        center = self.beam_center_px
        return replace(
            self,
            shape_px=(ny // factor, nx // factor),
            pixel_size_m=None if self.pixel_size_m is None else self.pixel_size_m * factor,
            beam_center_px=None
            if center is None
            else ((center[0] + 0.5) / factor - 0.5, (center[1] + 0.5) / factor - 0.5),
            beam_center_error_px=None if self.beam_center_error_px is None else self.beam_center_error_px / factor,
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Geometry:
        """Inverse of `to_dict`."""
        values = dict(values)
        for name in ("shape_px", "beam_center_px"):
            if values.get(name) is not None:
                values[name] = tuple(values[name])
        return cls(**values)


def radius_px(geometry: Geometry) -> Array:
    """Distance of each pixel centre from the beam centre, (ny, nx), pixels."""
    cy, cx = geometry.center_px()
    y, x = np.ogrid[: geometry.shape_px[0], : geometry.shape_px[1]]
    return np.hypot(y - cy, x - cx)


def azimuth_rad(geometry: Geometry) -> Array:
    """Azimuth of each pixel centre about the beam, (ny, nx), radians in (-pi, pi], from +x towards +y."""
    cy, cx = geometry.center_px()
    y, x = np.ogrid[: geometry.shape_px[0], : geometry.shape_px[1]]
    return np.arctan2(y - cy, x - cx)


def _require_q(geometry: Geometry) -> tuple[float, float, float]:
    missing = [n for n in ("pixel_size_m", "distance_m", "wavelength_m") if getattr(geometry, n) is None]
    if missing:
        raise InputError(f"geometry: {', '.join(missing)} not known; give --pixel-size, --distance and --wavelength")
    return geometry.pixel_size_m, geometry.distance_m, geometry.wavelength_m  # type: ignore[return-value]


def two_theta_rad(geometry: Geometry) -> Array:
    """Scattering angle of each pixel, (ny, nx), radians.

    Raises InputError where pixel size or distance is unknown.
    """
    pixel, distance, _ = _require_q(geometry)
    return np.arctan(radius_px(geometry) * pixel / distance)


def q_inv_nm(geometry: Geometry) -> Array:
    """|q| = (4 pi / wavelength) sin(two_theta / 2) of each pixel, (ny, nx), 1/nm.

    Raises InputError where pixel size, distance or wavelength is unknown.
    """
    *_, wavelength = _require_q(geometry)
    return 4 * np.pi / (wavelength * 1e9) * np.sin(two_theta_rad(geometry) / 2)
