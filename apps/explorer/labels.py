"""The label book as arrays over the frames of a run, as it was at one revision."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apps.explorer.run import IdIndex
from sorter.curate.label_book import LabelBook


class LabelView:
    """Labels of the frames of ``index`` at the book's present revision.

    names: in the order in which the book first met them, so that a label keeps its colour. n_labels: (N,) labels per frame.
    """

    def __init__(self, book: LabelBook, index: IdIndex) -> None:
        self.revision = book.revision
        carried = book.counts()
        met = dict.fromkeys(event.label for event in book.events() if event.label)
        self.all_names = list(met)
        self.names = [name for name in met if name in carried]
        self.next_undo, self.next_redo = book.next_undo, book.next_redo
        self.n_labels = np.zeros(len(index.ids), np.int32)
        self._rows: dict[str, NDArray[np.int64]] = {}
        for name in self.names:
            rows = index.rows(book.frames_with(name))
            self._rows[name] = np.sort(rows[rows >= 0])
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
