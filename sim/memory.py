"""Memory that the C library keeps for the next block instead of giving it back to the system after each."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc's malloc.h
_KEPT_BYTES = 512 << 20
_LARGEST_BYTES = 32 << 20


def keep_freed_memory() -> bool:
    """Let this process keep up to 512 MB that it frees; returns whether the C library knows how (glibc; others are left alone).

    A far field goes through dozens of arrays of some MB. glibc hands each of them back and asks for it anew, and every page
    is then cleared and entered again: half a million page faults for a thousand frames, a tenth of the time.
    """
    mallopt = getattr(_c_library(), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_TRIM_THRESHOLD, _KEPT_BYTES) and mallopt(_MMAP_THRESHOLD, _LARGEST_BYTES))


def _c_library() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(None)
    except (OSError, TypeError):  # no such thing on this system
        return None
