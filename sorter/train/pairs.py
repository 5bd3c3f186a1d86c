"""Noise-free patterns of known things, seen again and again, for pre-training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset

from sorter.core.errors import InputError
from sorter.core.seeds import child_rng


@dataclass(frozen=True)
class PatternBank:
    """N noise-free patterns on one fine polar grid.

    log_rate (N, R, T) float16: log of the mean signal per solid angle of the detector in each cell, over its mean; rings of
    equal width from 0 to an outer radius. source (N,) text: what it was drawn from (a recipe); kind (N,) text: its class
    there; parts (N,) text: every kind of body in it, joined by ";". body (N,) int64: the same for patterns of one body (another
    orientation or size of it). broad (N,) bool: the kind is a wide family, whose members are told apart; patterns of it count
    as alike only where they show one body.
    """

    log_rate: NDArray[np.float16]
    source: NDArray[np.str_]
    kind: NDArray[np.str_]
    parts: NDArray[np.str_]
    body: NDArray[np.int64]
    broad: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.kind)

    def without(self, kinds: Sequence[str], also: Sequence[str] = ()) -> PatternBank:
        """The bank less every pattern in which a body of ``kinds`` or ``also`` takes part. Raises InputError where there is none
        of one of ``kinds``."""
        parts = [set(text.split(";")) for text in self.parts]
        unknown = set(kinds) - set().union(*parts)
        if unknown:
            known = ", ".join(sorted(set().union(*parts)))
            raise InputError(f"without {', '.join(sorted(unknown))}: no such kind in the patterns; there are {known}")
        kept = np.array([not p & {*kinds, *also} for p in parts])
        return PatternBank(*(getattr(self, field.name)[kept] for field in fields(self)))

    def save(self, path: Path) -> None:
        """Write as one .npz file."""
        np.savez(path, **{field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls, paths: Sequence[Path]) -> PatternBank:
        """Join the banks in files that `save` wrote."""
        parts = []
        for path in paths:
            with np.load(path) as file:
                parts.append({name: file[name] for name in file.files})
        return cls(*(np.concatenate([part[field.name] for part in parts]) for field in fields(cls)))

    def things(self) -> NDArray[np.str_]:
        """(N,) what counts as alike: source-independent name of the kind, or of the body where the kind is broad."""
        names = [
            f"{s}/{k}/{b}" if broad else k
            for s, k, b, broad in zip(self.source, self.kind, self.body, self.broad, strict=True)
        ]
        return np.array(names)


class PairBatches(IterableDataset):
    """``n_steps`` batches of rows of a bank from step ``first_step`` on; any step comes out the same however it is reached.

    A batch is ``batch`` / ``views`` draws of a thing, ``views`` patterns of each (the same one twice where it has fewer; noise
    and turn will differ). For each draw a source is taken by ``shares``, then a kind of it, then, where the kind is broad, a
    body. Yields (batch,) int64 rows.
    """

    def __init__(
        self,
        bank: PatternBank,
        shares: dict[str, float],
        batch: int,
        views: int,
        seed: int,
        first_step: int,
        n_steps: int,
    ) -> None:
        self.batch, self.views, self.seed = batch, views, seed
        self.steps = range(first_step, first_step + n_steps)
        self.sources = [name for name in shares if (bank.source == name).any()]
        weights = np.array([shares[name] for name in self.sources])
        self.weights = weights / weights.sum()
        self.rows = {source: _by_kind(bank, source) for source in self.sources}

    def __iter__(self) -> Iterator[Tensor]:
        for step in self.steps:
            rng = child_rng(self.seed, "pairs", step)
            drawn = [self._thing(rng) for _ in range(self.batch // self.views)]
            yield torch.from_numpy(np.concatenate(drawn))

    def _thing(self, rng: np.random.Generator) -> NDArray[np.int64]:
        kinds = self.rows[self.sources[int(rng.choice(len(self.sources), p=self.weights))]]
        bodies = kinds[int(rng.integers(len(kinds)))]
        rows = bodies[int(rng.integers(len(bodies)))]
        return rng.choice(rows, self.views, replace=len(rows) < self.views)


def _by_kind(bank: PatternBank, source: str) -> list[list[NDArray[np.int64]]]:
    """Rows of each kind of a source: one array, or one per body where the kind is broad."""
    out = []
    for kind in np.unique(bank.kind[bank.source == source]):
        rows = np.flatnonzero((bank.source == source) & (bank.kind == kind))
        if not bank.broad[rows[0]]:
            out.append([rows])
            continue
        order = rows[np.argsort(bank.body[rows], kind="stable")]
        out.append(np.split(order, np.flatnonzero(np.diff(bank.body[order])) + 1))
    return out
