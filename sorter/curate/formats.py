"""Which end of a file's name stands for which format of exported frames."""

from __future__ import annotations

from pathlib import Path

from sorter.core.errors import InputError
from sorter.curate.export import write_cxi, write_npy
from sorter.curate.export_more import write_emc, write_emc_h5, write_zarr

#: What writes frames into it.
FRAME_WRITERS = {
    ".emc.h5": write_emc_h5, ".cxi": write_cxi, ".h5": write_cxi, ".hdf5": write_cxi, ".npy": write_npy, ".zarr": write_zarr,
    ".emc": write_emc,
}  # fmt: skip
#: What holds no frames, with what it is.
OTHERS = {
    ".index.npy": "places in the run", ".blacklist.txt": "Dragonfly blacklist of the run", ".txt": "list of frames",
    ".csv": "table", ".parquet": "table",
}  # fmt: skip


def format_of(path: Path) -> str:
    """The end of the name that stands for the format, the longest that fits. Raises InputError for an end that stands for none,
    or where there is no folder to write into."""
    known = sorted((*OTHERS, *FRAME_WRITERS), key=len, reverse=True)
    found = next((end for end in known if path.name.lower().endswith(end)), None)
    if found is None:
        ends = ", ".join((*FRAME_WRITERS, *OTHERS))
        raise InputError(f"{path}: cannot tell the format; end the name with {ends}")
    folder = path.is_dir() and found != ".zarr"
    if folder or not path.absolute().parent.is_dir():
        raise InputError(f"{path}: {'is a folder' if folder else 'its folder does not exist'}; give a file in a folder")
    return found
