"""Masks in the conventions of the field, turned into CXI flags and into bad pixels.

CXI 1.6 (cxi_file_format.tex, "mask"): 32-bit flags, 0 = perfect. Some flags say that a pixel is special, not that it is bad.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sorter.core.errors import InputError

INVALID, SATURATED, HOT, DEAD, SHADOWED = 0x1, 0x2, 0x4, 0x8, 0x10
TO_BE_IGNORED, BAD, MISSING, NOISY = 0x40, 0x80, 0x200, 0x400

#: CXI flags that mean "do not use"; HAS_SIGNAL (0x1000), the peak mask, the support and corrections do not.
CXI_BAD = INVALID | SATURATED | HOT | DEAD | SHADOWED | TO_BE_IGNORED | BAD | MISSING | NOISY

#: NeXus pixel_mask: a pixel is rejected when any of the lower 16 bits is set (NXdetector). Bit -> CXI flag.
_NEXUS_TO_CXI = {0: MISSING, 1: DEAD, 2: BAD, 3: HOT, 4: NOISY}
_NEXUS_BAD = 0xFFFF

#: EuXFEL BadPixels: 0 = normal; interpolated (1 << 16) and non-standard size (1 << 22) pixels can be used.
_EUXFEL_GOOD = (1 << 16) | (1 << 22)

CONVENTIONS = ("cxi", "good", "bad", "nexus", "euxfel")
HELP = "cxi: CXI flags; good: 1 = good (psocake); bad: anything but 0 is bad; nexus: NXdetector pixel_mask; euxfel: BadPixels"


def to_cxi_bits(values: NDArray, convention: str) -> NDArray[np.uint32]:
    """CXI flags of a mask in ``convention`` (one of CONVENTIONS), any shape. Raises InputError for another convention."""
    values = np.asarray(values)
    if convention not in CONVENTIONS:
        raise InputError(f"mask convention '{convention}': not known; use one of {', '.join(CONVENTIONS)}")
    if values.dtype.kind not in "buif":
        raise InputError(f"mask of type {values.dtype}: need whole numbers or true/false")
    if convention == "good":
        return np.where(values != 0, 0, BAD).astype(np.uint32)
    if convention == "bad" or values.dtype.kind == "b":
        return np.where(values != 0, BAD, 0).astype(np.uint32)
    bits = values.astype(np.int64).astype(np.uint32)
    if convention == "cxi":
        return bits
    if convention == "euxfel":
        return np.where(bits & ~np.uint32(_EUXFEL_GOOD), BAD, 0).astype(np.uint32)
    out = np.where(bits & np.uint32(_NEXUS_BAD), BAD, 0).astype(np.uint32)
    for bit, flag in _NEXUS_TO_CXI.items():
        out |= np.where(bits & np.uint32(1 << bit), flag, 0).astype(np.uint32)
    return out


def bad_pixels(cxi_bits: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """True where a pixel must not be used, from CXI flags; HAS_SIGNAL and the like are not bad."""
    return (np.asarray(cxi_bits, np.uint32) & np.uint32(CXI_BAD)) != 0


def guess_convention(dataset: str, euxfel: bool = False) -> str:
    """The convention that the place of a mask in an HDF5 file stands for.

    ``/entry_N/data_N/mask`` (psocake) is 1 = good, ``pixel_mask`` is NeXus, anything else has CXI flags; ``euxfel``: the file
    has the trains of a European XFEL run, whose masks hold BadPixels.
    """
    parts = dataset.strip("/").split("/")
    if parts[-1].startswith("pixel_mask"):
        return "nexus"
    if euxfel:
        return "euxfel"
    if len(parts) >= 2 and parts[-2].startswith("data_"):
        return "good"
    return "cxi"


def read_mask_file(path: str | Path, convention: str) -> NDArray[np.uint32]:
    """CXI flags (ny, nx) from a file: .npy, .npz, an image, or HDF5 as FILE or FILE:/DATASET.

    Raises InputError where it cannot be read or is not a single image.
    """
    from sorter.io.arrays import read_array

    values = np.squeeze(read_array(path))
    if values.ndim != 2:
        raise InputError(f"mask {path}: has shape {values.shape}; need one image (ny, nx)")
    return to_cxi_bits(values, convention)
