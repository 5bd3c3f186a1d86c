"""Random streams: one root seed, children by name, the same whatever the number of workers."""

from __future__ import annotations

import hashlib

import numpy as np


def child_seed(root: int, *names: str | int) -> int:
    """63-bit seed of the child stream ``names`` of ``root``; independent of the order in which children are asked for.

    >>> child_seed(1, "train") == child_seed(1, "train"), child_seed(1, "train") == child_seed(1, "umap")
    (True, False)
    """
    text = "\x1f".join([str(int(root)), *(str(name) for name in names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def child_rng(root: int, *names: str | int) -> np.random.Generator:
    """numpy generator of the child stream ``names`` of ``root``."""
    return np.random.default_rng(child_seed(root, *names))
