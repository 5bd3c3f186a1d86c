"""Angles and distances of a rocking scan from its SPEC header."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from sorter.core.errors import InputError

#: Positions at APS 34-ID-C in the #P lines, for headers without names (#O lines): line, column.
_34IDC = {"delta": (0, 0), "gamma": (0, 5), "camdist": (3, 5), "energy": (4, 0)}
_NAMES = {"delta": "delta", "gamma": "gamma", "camdist": "camdist", "energy": "energy"}
_VERTICAL = ("th", "theta", "phi", "mu")


@dataclass(frozen=True)
class ScanGeometry:
    """What turns voxels into nanometres. energy_keV; distance_m to the detector; pixel_m; delta_deg: the detector's turn about
    the vertical axis, gamma_deg: its elevation; step_deg between frames, about the vertical axis. None: not known."""

    energy_keV: float | None = None
    distance_m: float | None = None
    pixel_m: float | None = None
    delta_deg: float | None = None
    gamma_deg: float | None = None
    step_deg: float | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of what is not known."""
        return tuple(name for name in self.__dataclass_fields__ if getattr(self, name) is None)

    def with_values(self, **values: float | None) -> ScanGeometry:
        """Other values where they are given (not None)."""
        return replace(self, **{k: v for k, v in values.items() if v is not None})


@dataclass(frozen=True)
class SpecHeader:
    """geometry; roi_px: (x, width, y, height) of the frames on the detector, where the header tells."""

    geometry: ScanGeometry
    roi_px: tuple[int, int, int, int] | None = None


def is_spec(path: Path) -> bool:
    """Whether a text file begins like a SPEC file."""
    try:
        with path.open("rb") as file:
            return file.read(3) in (b"#S ", b"#F ")
    except OSError:
        return False


def read_spec(path: Path, scan: int | None = None) -> SpecHeader:
    """The header of a scan (the first of the file, where ``scan`` is None). Values that it does not hold are None.

    Motors are found by their names (#O); without names, at the places of APS 34-ID-C where the detector (#UIMDET) is one of that
    beamline. Raises InputError for a scan that is not in the file.
    """
    lines = _scan_lines(path, scan)
    positions = {int(m[1]): line.split()[1:] for line in lines if (m := re.match(r"#P(\d+) ", line))}
    names = {
        int(m[1]): re.split(r"\s{2,}", line.split(None, 1)[1]) for line in lines if (m := re.match(r"#O(\d+) ", line))
    }
    places = {
        wanted: (row, column)
        for row, found in names.items()
        for column, name in enumerate(found)
        if (wanted := _NAMES.get(name.strip().lower()))
    }
    if not names and any(line.startswith("#UIMDET 34idc") for line in lines):
        places = _34IDC
    value = {name: _number(positions.get(row, []), column) for name, (row, column) in places.items()}
    distance = value.get("camdist")
    pixel = 55e-6 if any("TIM" in line for line in lines if line.startswith("#UIMDET")) else None
    geometry = ScanGeometry(
        value.get("energy"), None if distance is None else distance / 1000, pixel, value.get("delta"), value.get("gamma"),
        _step(lines),
    )  # fmt: skip
    roi = next((line.split()[1:5] for line in lines if line.startswith("#UIMR5 ")), None)
    return SpecHeader(geometry, None if roi is None else tuple(int(v) for v in roi))  # type: ignore[arg-type]


def _scan_lines(path: Path, scan: int | None) -> list[str]:
    lines = path.read_text(errors="replace").splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith("#S ")]
    head = lines[: starts[0]] if starts else lines
    for i, start in enumerate(starts):
        if scan is None or lines[start].split()[1] == str(scan):
            return head + lines[start : starts[i + 1] if i + 1 < len(starts) else None]
    raise InputError(f"{path}: holds no scan {'' if scan is None else scan}; check the number")


def _number(values: list[str], column: int) -> float | None:
    try:
        return float(values[column])
    except (IndexError, ValueError):
        return None


def _step(lines: list[str]) -> float | None:
    """Degrees between frames of an ``ascan`` about a vertical axis."""
    match = re.match(r"#S \d+\s+\w*scan\s+(\w+)\s+(\S+)\s+(\S+)\s+(\d+)", next(x for x in lines if x.startswith("#S ")))
    if not match or match[1].lower() not in _VERTICAL or int(match[4]) < 1:
        return None
    return (float(match[3]) - float(match[2])) / int(match[4])
