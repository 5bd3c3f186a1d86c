"""What ``shotsort bench farfield`` measures: settings and materials of its tables."""

from __future__ import annotations

from dataclasses import dataclass, field

from sorter.core.config import require

SILVER = 0.89 + 0.09j
RUNGS = ("multislice", "sliced", "absorption", "born", "projection")
RADII_NM = (30.0, 60.0, 100.0, 160.0)
MATERIALS = (SILVER, 0.93 + 0.07j, 0.95 + 0.02j, 0.9 + 0.001j, 0.8 + 0.05j, 0.7 + 0.3j, 0.999 + 0.0005j)


@dataclass(frozen=True)
class FarFieldBenchConfig:
    """threads: of torch; batch: particles at once; repeats: the best of so many is the time; wavelength_nm, radius_nm: of the
    main table."""

    threads: int = 2
    batch: int = 32
    repeats: int = 5
    wavelength_nm: float = 13.5
    radius_nm: float = 100.0
    pymsft_python: str | None = None
    reference: str | None = None
    plot: str | None = None
    seed: int = 0
    materials: tuple[complex, ...] = field(default=MATERIALS)

    def __post_init__(self) -> None:
        require(min(self.threads, self.batch, self.repeats) >= 1, "threads, batch and repeats must be at least 1")
        require(self.wavelength_nm > 0 and self.radius_nm > 0, "wavelength and radius must be positive")
