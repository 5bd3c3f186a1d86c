"""The label book as arrays over the frames of a run, as it was at one revision."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sorter.core.identity import IdIndex
from sorter.curate.label_book import LabelBook


class LabelView:
    """Labels of the frames of ``index`` at the book's present revision.

    names: in the order in which the book first met them, so that a label keeps its colour. n_labels: (N,) labels per frame.
    """

    def __init__(self, book: LabelBook, index: IdIndex, before: LabelView | None = None) -> None:
        """``before``: an older view over the same index; what has not changed since is taken from it."""
        state = book.current()
        self.revision = state.revision
        self.all_names = state.all_labels()
        self.next_undo, self.next_redo = state.next_undo, state.next_redo
        same = before is not None and before._index is index
        self._index, self._members = index, {name: state.members(name) for name in self.all_names}
        self.names = [name for name, members in self._members.items() if len(members)]
        self.n_labels = before.n_labels.copy() if same else np.zeros(len(index.ids), np.int32)
        self._rows: dict[str, NDArray[np.int64]] = {}
        for name in self.all_names:
            old = before._members.get(name) if same else None
            if old is self._members[name]:
                self._rows[name] = before._rows[name]
                continue
            rows = index.rows(self._members[name])
            self._rows[name] = np.sort(rows[rows >= 0])
            if old is not None:
                self.n_labels[before._rows[name]] -= 1
            self.n_labels[self._rows[name]] += 1

    def rows(self, name: str) -> NDArray[np.int64]:
        """Rows of the frames that carry ``name``, ascending; none where nobody does."""
        return self._rows.get(name, np.empty(0, np.int64))

    def number(self, name: str) -> int:
        """Place of a label in the order in which the book met them: its colour."""
        return self.all_names.index(name)

    def codes(self) -> NDArray[np.int32]:
        """(N,) place in ``names`` of one label of each frame, the rarest where there are several; -1 where there is none."""
        codes = np.full(len(self.n_labels), -1, np.int32)
        for name in sorted(self.names, key=lambda n: -len(self._rows[n])):
            codes[self._rows[name]] = self.names.index(name)
        return codes

    def of(self, row: int) -> list[str]:
        """Labels of one frame."""
        return [name for name in self.names if (place := np.searchsorted(self._rows[name], row)) < len(self._rows[name])
                and self._rows[name][place] == row]  # fmt: skip

    def within(self, rows: NDArray[np.int64]) -> dict[str, int]:
        """Number of the frames ``rows`` (ascending, unique) that carry each label, the most frequent first."""
        counts = {name: len(np.intersect1d(rows, self._rows[name], assume_unique=True)) for name in self.names}
        return {name: n for name, n in sorted(counts.items(), key=lambda item: -item[1]) if n}
