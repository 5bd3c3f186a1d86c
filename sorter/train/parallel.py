"""One training shared by several processes: Lightning's DDP starts the command once more for each of them, or torchrun or srun
do on several nodes."""

from __future__ import annotations

import os

#: What Lightning, torchrun and SLURM number processes by.
_RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")


def is_first() -> bool:
    """Whether this is the process that holds the work folder and writes; the others only compute."""
    return all(int(os.environ.get(name) or 0) == 0 for name in _RANKS)
