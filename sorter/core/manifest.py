"""The record of one stage's run."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

SCHEMA_VERSION = 1
_PACKAGES = ("numpy", "torch", "lightning", "hdbscan", "umap-learn", "scikit-learn", "zarr", "h5py", "bokeh")


def package_version(name: str) -> str | None:
    """Installed version of a distribution; None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def software_versions() -> dict[str, str | None]:
    """Versions of shotsort, Python and the packages that decide a result."""
    found = {name: package_version(name) for name in ("shotsort", *_PACKAGES)}
    return {"python": platform.python_version(), **found}


def utc_now() -> str:
    """Now, ISO 8601, UTC, seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class RunManifest:
    """One run of a stage: what went in, how it was set, what came out. All values are JSON-ready.

    inputs and outputs name things of the work folder or files; metrics follow one grammar: ``stage/quantity_unit``.
    """

    stage: str
    config: dict[str, Any]
    seed: int | None
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    metrics: dict[str, Any]
    started: str
    seconds: float
    software: dict[str, str | None] = field(default_factory=software_versions)
    schema_version: int = SCHEMA_VERSION

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)
