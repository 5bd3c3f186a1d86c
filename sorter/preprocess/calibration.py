"""From raw ADU to calibrated ADU or to photons: dark, common mode, gain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sorter.core.errors import InputError

COMMON_MODES = ("none", "frame", "row", "column")
_AXES = {"frame": (-2, -1), "row": (-1,), "column": (-2,)}


@dataclass(frozen=True)
class Calibration:
    """dark: ADU (ny, nx) or a number, subtracted; common_mode: the median over the frame, each row or each column of good pixels,
    subtracted (a bias that all of them share; true where most of these pixels see no photon); gain: ADU per photon (ny, nx) or
    a number: values become whole photons by rounding, and what is below half a photon becomes 0.
    """

    shape_px: tuple[int, int]
    dark: NDArray[np.float32] | None = None
    gain: NDArray[np.float32] | None = None
    common_mode: str = "none"

    def __post_init__(self) -> None:
        for name in ("dark", "gain"):
            values = getattr(self, name)
            if values is not None and values.shape not in ((), self.shape_px):
                raise InputError(
                    f"{name} of shape {values.shape}: frames are {self.shape_px}; give one image or one number"
                )
        if self.common_mode not in COMMON_MODES:
            raise InputError(f"common mode '{self.common_mode}': not known; use one of {', '.join(COMMON_MODES)}")

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return self.dark is not None or self.gain is not None or self.common_mode != "none"

    def dtype(self, recorded: np.dtype) -> np.dtype:
        """Type of the calibrated values."""
        if not self.changes:
            return np.dtype(recorded)
        return np.dtype(np.int32 if self.gain is not None else np.float32)

    def bad_pixels(self) -> NDArray[np.bool_]:
        """(ny, nx) pixels that cannot be calibrated: dark not finite, gain not a positive number."""
        bad = np.zeros(self.shape_px, bool)
        if self.dark is not None:
            bad |= ~np.isfinite(self.dark)
        if self.gain is not None:
            bad |= ~(np.isfinite(self.gain) & (self.gain > 0))
        return bad

    def apply(self, frames: NDArray, bad_pixels: NDArray[np.bool_]) -> NDArray:
        """(N, ny, nx) calibrated frames; ``bad_pixels`` (ny, nx) do not count for the common mode and come out as they may."""
        if not self.changes:
            return frames
        values = frames.astype(np.float32)
        if self.dark is not None:
            values -= self.dark
        if self.common_mode != "none":
            values -= _common_mode(values, bad_pixels, _AXES[self.common_mode])
        if self.gain is None:
            return values
        with np.errstate(divide="ignore", invalid="ignore"):
            photons = np.rint(values / self.gain)
        top = np.iinfo(np.int32).max - 127  # the largest float32 below 2^31
        return np.nan_to_num(np.clip(photons, 0, top), nan=0, posinf=0, neginf=0).astype(np.int32)


def _common_mode(values: NDArray[np.float32], bad: NDArray[np.bool_], axes: tuple[int, ...]) -> NDArray[np.float32]:
    hidden = np.where(bad, np.float32(np.nan), values)
    with np.errstate(all="ignore"):
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", RuntimeWarning
            )  # a row without a good pixel has no median: nothing to subtract
            median = np.nanmedian(hidden, axis=axes, keepdims=True)
    return np.nan_to_num(median).astype(np.float32)
