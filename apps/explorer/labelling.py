"""Labelling: the classes with their keys, what a key labels, proposals and the comparison of labellers; no bokeh in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from apps.explorer.colors import BASE, category_color
from apps.explorer.run import NOT_CLUSTERED
from apps.explorer.state import Explorer
from sorter.core.errors import InputError
from sorter.core.labels import LabelEvent
from sorter.core.proposals import Proposals
from sorter.curate.classes import LabelClass, define_class, read_classes, remove_class
from sorter.curate.suggest import next_clusters

#: What a class key labels, with what a person reads.
TARGETS = {"selection": "selection", "page": "page", "frame": "open frame", "cluster": "cluster of the open frame"}
#: Proposals that the explorer makes and shows.
PROPOSALS = "explorer"


class Labelling:
    """What a person needs to label fast, on top of what is selected on one page."""

    def __init__(self, state: Explorer) -> None:
        self.state = state
        self.target = "selection"
        self.threshold = 0.9
        self._classes: tuple[int, list[LabelClass]] = (-1, [])
        self._proposals: tuple[int, Proposals | None] = (-1, None)

    # -- classes ---------------------------------------------------------------------------------------------------------
    @property
    def classes(self) -> list[LabelClass]:
        """The classes that are defined, read anew when somebody changed them."""
        path = self.state.run.work.classes_path
        stamp = _changed_ns(path)
        if stamp != self._classes[0]:
            self._classes = stamp, read_classes(path)
        return self._classes[1]

    @property
    def words(self) -> list[str]:
        """Names of the classes, then of other labels that were ever given."""
        return list(dict.fromkeys([one.name for one in self.classes] + self.state.labels.all_names))

    def color(self, name: str) -> str:
        """Colour of a class or label, the same in every session."""
        chosen = next((one.color for one in self.classes if one.name == name), "")
        known = self.state.labels.all_names
        return chosen or category_color(known.index(name) if name in known else len(known))

    def define(self, name: str, key: str = "", color: str = "", note: str = "") -> LabelClass:
        """Define a class or change it. Raises InputError for a name, key or colour that cannot be."""
        if not color and name not in [one.name for one in self.classes]:
            used = {self.color(word) for word in self.words}
            color = self.color(name) if name in self.words else next((c for c in BASE if c not in used), BASE[-1])
        return define_class(
            self.state.run.work.classes_path, LabelClass(name, key, color, note), self.state.book.author
        )

    def forget(self, name: str) -> None:
        """Take a class off the list; labels that were given stay."""
        remove_class(self.state.run.work.classes_path, name)

    def of_key(self, key: str) -> str:
        """The class of a key. Raises InputError where there is none."""
        for one in self.classes:
            if one.key == key:
                return one.name
        raise InputError(f"key '{key}': no class has it; define one under Label")

    # -- giving labels ---------------------------------------------------------------------------------------------------
    def set_target(self, target: str) -> None:
        """What the next labels go to: one of TARGETS."""
        if target not in TARGETS:
            raise InputError(f"target '{target}': known are {', '.join(TARGETS)}")
        self.target = target

    def meant(self) -> tuple[NDArray[np.int64], str]:
        """Rows of the frames that the next label goes to, and the reason to note; picked frames come before the target."""
        state = self.state
        if len(state.picked):
            return state.picked, f"frames picked by hand in: {state.selection.reason or 'the medoids'}"
        if self.target == "page":
            return state.page_rows(), f"page of: {state.selection.reason or 'the medoids'}"
        if self.target == "selection":
            return state.selection.rows, state.selection.reason
        if state.focus is None:
            raise InputError("no frame is open: click a thumbnail first")
        if self.target == "frame":
            return np.array([state.focus]), "one frame, looked at"
        cluster = int(state.run.cluster[state.focus])
        if cluster == NOT_CLUSTERED or state.run.clustering is None:
            raise InputError("the open frame is in no cluster")
        return state.members(cluster)

    def give(self, label: str) -> LabelEvent | None:
        """Label what is `meant`; None where nothing changed. The picked frames are let go."""
        rows, reason = self.meant()
        event = self.state.give_label(label, rows, reason)
        self.state.picked = np.empty(0, np.int64)
        return event

    # -- proposals -------------------------------------------------------------------------------------------------------
    @property
    def proposals(self) -> Proposals | None:
        """The proposals that were made last; None before."""
        work = self.state.run.work
        if PROPOSALS not in work.result_names("proposals"):
            return None
        stamp = _changed_ns(work.path / "results.zarr" / "proposals" / PROPOSALS)
        if stamp != self._proposals[0]:
            self._proposals = stamp, work.read_proposals(PROPOSALS)
        return self._proposals[1]

    def proposed_rows(self, word: str) -> NDArray[np.int64]:
        """Rows of the frames for which ``word`` is proposed at the threshold, the surest first."""
        found = self._needed()
        if word not in found.classes:
            raise InputError(f"label '{word}': not among the proposals; propose again")
        column = found.classes.index(word)
        mine = np.flatnonzero(found.proposed(self.threshold)[:, column])
        mine = mine[np.argsort(-found.confidence[mine, column], kind="stable")]
        rows = self.state.run.index.rows(found.frame_id[mine])
        return rows[rows >= 0]

    def counts(self) -> list[ProposedClass]:
        """How many frames each class would get at the threshold."""
        found = self.proposals
        if found is None:
            return []
        proposed = found.proposed(self.threshold).sum(axis=0)
        given = found.meta.get("labelled_per_class", {})
        return [ProposedClass(word, int(n), int(given.get(word, 0))) for word, n in zip(found.classes, proposed)]

    def select_proposed(self, word: str) -> None:
        """Select what is proposed for a class, the surest first."""
        rows = self.proposed_rows(word)
        if not len(rows):
            raise InputError(f"label '{word}': nothing is proposed at {self.threshold:.2f}; lower the threshold")
        self.state.select_rows(rows, f"Proposed {word}", f"proposed as {word} at {self.threshold:.2f}", "proposed")
        self.state.ordered = rows

    def select_unknown(self) -> None:
        """Select the frames that look like none of the named classes."""
        found = self._needed()
        rows = self.state.run.index.rows(found.frame_id[found.none_of_these])
        self.state.select_rows(rows[rows >= 0], "None of these", "like none of the named classes", "unknown")

    def next_to_label(self) -> None:
        """Select the frames from which a label helps most, the most helpful first."""
        ids = np.array(self._needed().meta.get("next_frames", []), np.uint64)
        rows = self.state.run.index.rows(ids)
        rows = rows[rows >= 0]
        if not len(rows):
            raise InputError("nothing is left to suggest")
        self.state.select_rows(rows, "Label next", "suggested for labelling", "next")
        self.state.ordered = rows
        self.state.focus = int(rows[0])

    def next_cluster(self) -> int | None:
        """The cluster most worth naming; None where none is."""
        run = self.state.run
        if run.clustering is None or self.proposals is None:
            return None
        ranked = next_clusters(self.proposals, run.clustering)
        return int(ranked[0]["cluster"]) if ranked and ranked[0]["worth"] > 0 else None

    def _needed(self) -> Proposals:
        found = self.proposals
        if found is None:
            raise InputError("no proposals yet: label a few frames of each class, then press Propose")
        return found


@dataclass(frozen=True)
class ProposedClass:
    """A class, the frames for which it is proposed, and the frames that a person labelled."""

    name: str
    proposed: int
    labelled: int


def _changed_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
