"""What ingest does to the frames on their way into the store: calibrate, take out what is not finite, bin; and keep the mask."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sorter.core.errors import InputError
from sorter.core.frames import Unit
from sorter.core.geometry import Geometry
from sorter.io.adapters import adapter
from sorter.io.arrays import read_array
from sorter.io.masks import BAD, INVALID, bad_pixels, read_mask_file
from sorter.io.survey import Surveyed
from sorter.io.zarr_store import ZarrFrameStore
from sorter.preprocess.binning import MIN_GOOD_FRACTION, bin_frames, binned_dtype, choose_factor, good_fraction
from sorter.preprocess.calibration import Calibration
from sorter.stages.ingest_config import IngestConfig

log = logging.getLogger(__name__)

LARGEST_SIDE_PX = 256
_SAMPLE_FRAMES, _SAMPLE_BYTES = 32, 48 << 20
#: Pixels that are bad in some frames only are masked for the whole run, unless that takes more than RARE_SHARE of the detector
#: (a module that is missing now and then); then only those that are bad in more than _RARE_FRAMES of the frames are.
RARE_SHARE, _RARE_FRAMES = 0.05, 0.01


class Conditioner:
    """Turns recorded frames into stored ones, and counts in how many frames each recorded pixel was bad.

    mask_bits (ny', nx') uint32 CXI flags known beforehand; bad_count (ny', nx') frames in which a pixel was not finite or
    masked, among the ``n_frames`` seen. Dead frames, without one good pixel, say nothing of the pixels and do not count there.
    """

    def __init__(
        self,
        geometry: Geometry,
        unit: Unit,
        factor: int,
        dtype: np.dtype,
        calibration: Calibration,
        mask_bits: NDArray[np.uint32],
        bad_count: NDArray[np.uint32] | None = None,
        n_frames: int = 0,
    ) -> None:
        self.recorded_geometry, self.geometry = geometry, geometry.binned(factor)
        self.unit, self.factor, self.calibration = unit, factor, calibration
        self.dtype = binned_dtype(_stored_dtype(calibration.dtype(dtype)), factor)
        self.mask_bits = mask_bits
        self.bad_count = np.zeros(geometry.shape_px, np.uint32) if bad_count is None else bad_count
        self.n_frames, self.n_dead_frames = n_frames, 0
        self._summed_without = bad_pixels(mask_bits)

    def condition(self, frames: NDArray, bad: NDArray[np.bool_] | None) -> NDArray:
        """(n, ny, nx) frames to store; ``bad`` (n, ny', nx') is the mask of each frame where there is one.

        Pixels that are not finite, or bad in their frame, become 0.
        """
        static = self._summed_without
        values = self.calibration.apply(frames, static)
        bad = None if bad is None else bad & ~static  # what is masked for the whole run keeps its recorded value
        if frames.dtype.kind == "f":
            broken = ~np.isfinite(frames)
            bad = broken if bad is None else bad | broken
        if bad is not None and bad.any():
            dead = (bad | static).all((1, 2))
            self.n_dead_frames += int(dead.sum())
            self.bad_count += bad[~dead].sum(0, dtype=np.uint32)
            values = np.where(bad, values.dtype.type(0), values)
        if values.dtype.kind == "f":
            values = np.where(np.isfinite(values), values, values.dtype.type(0))
        self.n_frames += len(frames)
        stored = _stored_dtype(values.dtype)
        return bin_frames(values.astype(stored, copy=False), static, self.factor)

    def final_bits(self) -> NDArray[np.uint32]:
        """(ny', nx') uint32 CXI flags with the pixels that turned out bad in the frames."""
        static = bad_pixels(self.mask_bits)
        late = (self.bad_count > 0) & ~static
        if late.sum() > RARE_SHARE * max(1, (~static).sum()):
            late &= self.bad_count > _RARE_FRAMES * self.n_frames
        return self.mask_bits | np.where(late, np.uint32(INVALID), np.uint32(0))

    def mask_arrays(self) -> dict[str, NDArray]:
        """mask, good_fraction, mask_recorded and bad_count, as the store holds them."""
        bits = self.final_bits()
        bad = bad_pixels(bits)
        good = good_fraction(bad, self.factor)
        if self.factor > 1:  # its value is in the sums of frames stored before it was found to be bad
            good = np.where(good_fraction(bad & ~self._summed_without, self.factor) < 1, 0, good).astype(np.float32)
        mask = good < MIN_GOOD_FRACTION
        return {"mask": mask, "good_fraction": good, "mask_recorded": bits, "bad_count": self.bad_count}

    def warnings(self) -> list[str]:
        """What a person should be told after all frames were seen."""
        known, final = bad_pixels(self.mask_bits), bad_pixels(self.final_bits())
        late, rest = int((final & ~known).sum()), int(((self.bad_count > 0) & ~final).sum())
        lines = []
        if self.n_dead_frames:
            lines.append(f"{self.n_dead_frames} frames have no good pixel at all: set to 0")
        if late:
            lines.append(f"{late} pixels are NaN, infinite or masked in some frames: masked for the whole run")
        if rest:
            lines.append(
                f"{rest} more pixels are so in at most {_RARE_FRAMES:.0%} of the frames: set to 0 there, not masked"
            )
        if final.all():
            lines.append("every pixel is masked; check the mask and its convention (--mask-convention)")
        elif known.mean() > 0.5:
            lines.append(f"the mask takes {known.mean():.0%} of the detector; check its convention (--mask-convention)")
        return lines


def _stored_dtype(dtype: np.dtype) -> np.dtype:
    """32-bit floats for all floats, native byte order for all."""
    dtype = np.dtype(dtype)
    return np.dtype(np.float32) if dtype.kind == "f" else dtype.newbyteorder("=")


def make_conditioner(surveyed: list[Surveyed], config: IngestConfig, stored: ZarrFrameStore | None) -> Conditioner:
    """The conditioner for these files and what the work folder holds already. Raises InputError where they do not fit."""
    shape_px = surveyed[0].recording.shape_px
    factor = stored.info.binning if stored else config.bin or choose_factor(shape_px, LARGEST_SIDE_PX)
    if factor > min(shape_px):
        raise InputError(f"bin {factor}: frames have only {shape_px[0]} x {shape_px[1]} pixels")
    calibration = Calibration(shape_px, _map(config.dark), _map(config.gain), config.common_mode or "none")
    dtype = np.result_type(*{s.recording.dtype for s in surveyed})
    unit = stored.unit if stored else _unit(surveyed, config)
    bits = _mask_bits(surveyed, config, shape_px) | np.where(calibration.bad_pixels(), np.uint32(BAD), np.uint32(0))
    if bad_pixels(bits).all():
        raise InputError(
            f"{surveyed[0].recording.path}: its mask takes every pixel; check the mask and its convention (--mask-convention)"
        )
    geometry = _geometry(surveyed, config)
    conditioner = Conditioner(geometry, unit, factor, dtype, calibration, bits)
    if stored is None:
        return conditioner
    recorded = stored.mask_recorded
    if recorded.shape != shape_px or conditioner.geometry.shape_px != stored.shape_px:
        raise InputError(
            f"{surveyed[0].recording.path}: frames of {shape_px[0]} x {shape_px[1]} pixels, those in the work folder had"
            f" {recorded.shape[0]} x {recorded.shape[1]}; give a new work folder"
        )
    if not np.can_cast(conditioner.dtype, stored.dtype):
        raise InputError(
            f"{surveyed[0].recording.path}: values of type {conditioner.dtype}, the work folder holds {stored.dtype};"
            " give a new work folder"
        )
    joined = Conditioner(
        geometry, unit, factor, dtype, calibration, bits | recorded, stored.bad_count, stored.info.n_valid
    )
    joined.geometry = _folder_geometry(surveyed[0].recording.path, joined.geometry, stored.geometry, config)
    return joined


def _folder_geometry(path: str, new: Geometry, stored: Geometry, config: IngestConfig) -> Geometry:
    """The geometry of a work folder that another file joins: what it had, unless an option says otherwise. A file that differs
    is warned about."""
    options = {name: getattr(config, name) for name in ("pixel_size_m", "distance_m", "wavelength_m")}
    for name, option in {**options, "beam_center_px": config.center_px}.items():
        have, other = getattr(stored, name), getattr(new, name)
        if option is not None or have is None:
            continue
        if other is not None and not np.allclose(have, other, rtol=1e-3):
            message = "%s: %s is %s, in the work folder %s, which is used; give a new folder to keep them apart"
            log.warning(message, path, name, other, have)
        names = (name, "beam_center_error_px", "beam_center_source") if name == "beam_center_px" else (name,)
        new = replace(new, **{key: getattr(stored, key) for key in names})
    return new


def _map(value: str | None) -> NDArray[np.float32] | None:
    """A number, or the image in a file (a stack of darks: its mean)."""
    if value is None:
        return None
    try:
        return np.float32(float(value)) * np.ones((), np.float32)
    except ValueError:
        image = np.squeeze(read_array(value)).astype(np.float64)
    return (image.mean(0) if image.ndim == 3 else image).astype(np.float32)


def _mask_bits(surveyed: list[Surveyed], config: IngestConfig, shape_px: tuple[int, int]) -> NDArray[np.uint32]:
    """Flags of all files and of the extra mask together."""
    bits = np.zeros(shape_px, np.uint32)
    for found in surveyed:
        if found.recording.mask_bits is not None:
            bits |= found.recording.mask_bits
    if config.mask is not None:
        extra = read_mask_file(config.mask, config.mask_convention or "cxi")
        if extra.shape != shape_px:
            raise InputError(
                f"mask {config.mask}: has {extra.shape[0]} x {extra.shape[1]} pixels, frames have {shape_px[0]} x {shape_px[1]};"
                " give the mask of the frames as recorded"
            )
        bits |= extra
    return bits


def _geometry(surveyed: list[Surveyed], config: IngestConfig) -> Geometry:
    """From the first file that knows each quantity, replaced by what a person says. Files that differ are warned about."""
    geometry = surveyed[0].recording.geometry
    for found in surveyed[1:]:
        other = found.recording.geometry
        for name in ("pixel_size_m", "distance_m", "wavelength_m", "beam_center_px"):
            have, new = getattr(geometry, name), getattr(other, name)
            if have is None and new is not None:
                source = {"beam_center_source": other.beam_center_source} if name == "beam_center_px" else {}
                geometry = replace(geometry, **{name: new}, **source)
            elif new is not None and not np.allclose(have, new, rtol=1e-3):
                log.warning("%s: %s is %s, before %s; the first is used", found.recording.path, name, new, have)
    given = {n: getattr(config, n) for n in ("pixel_size_m", "distance_m", "wavelength_m")}
    geometry = replace(geometry, **{n: v for n, v in given.items() if v is not None})
    if config.center_px is not None:
        geometry = replace(
            geometry, beam_center_px=config.center_px, beam_center_error_px=None, beam_center_source="option"
        )
    return geometry


def _unit(surveyed: list[Surveyed], config: IngestConfig) -> Unit:
    """What a person or the file says, else what the values look like."""
    if config.unit is not None:
        return config.unit  # type: ignore[return-value]
    if config.gain is not None:
        return "photon"
    if config.dark is not None or config.common_mode not in (None, "none"):
        return "adu"
    said = surveyed[0].recording.unit
    if said is not None:
        return said
    first = surveyed[0]
    with adapter(first.source.reader)(first.source.path, first.options) as reader:
        bits = first.recording.mask_bits
        good = np.ones(first.recording.shape_px, bool) if bits is None else ~bad_pixels(bits)
        fit = max(1, _SAMPLE_BYTES // (good.size * first.recording.dtype.itemsize))
        unit = guess_unit(reader.read(0, min(_SAMPLE_FRAMES, fit, first.recording.n_frames))[:, good])
    log.info("%s: does not say the unit of its values; taken as '%s' (--unit says otherwise)", first.source.path, unit)
    return unit


def guess_unit(frames: NDArray) -> Unit:
    """Unit that values look like: whole numbers that come down to 0 are photons; negative ones, or whole numbers far above 0
    everywhere (a pedestal), are ADU; anything else is arbitrary."""
    values = frames[np.isfinite(frames)] if frames.dtype.kind == "f" else frames.ravel()
    if len(values) == 0:
        return "arbitrary"
    whole = values.dtype.kind in "iu" or bool((values == np.rint(values)).all())
    if values.min() < 0 or (whole and np.quantile(values, 0.01) > 10):
        return "adu"
    return "photon" if whole else "arbitrary"
