"""What a page can ask for about labels: one method ``do_NAME`` per ``data-act="NAME"``."""

from __future__ import annotations

from typing import Any

import numpy as np

from apps.explorer import heavy, panels, tabs
from apps.explorer.labelling import PROPOSALS
from apps.explorer.showing import Showing
from sorter.core.errors import InputError
from sorter.core.labels import LabelEvent
from sorter.curate.labellers import agreement
from sorter.stages.propose import accept, revoke


class LabelActions(Showing):
    """Classes, labels, picked frames, proposals."""

    def do_label(self, value: str) -> None:
        self._labelled(value, self.labelling.give(value))

    def do_class_label(self, value: str) -> None:
        self._labelled(value, self.labelling.give(value))

    def do_class_key(self, value: str) -> None:
        self.do_class_label(self.labelling.of_key(value))

    def _labelled(self, word: str, event: LabelEvent | None) -> None:
        word, n = word.strip(), len(event.frame_id) if event else 0
        frames = f"{panels.number(n)} frame{'s' if n != 1 else ''}"
        self.say(f"{frames} labelled ‘{word}’" if event else f"all of them are labelled ‘{word}’ already")
        self.refresh_all_labels()

    def do_unlabel(self, value: str) -> None:
        event = self.state.remove_label(value)
        if event:
            self.say(f"‘{value}’ taken from {panels.number(len(event.frame_id))} frames")
        self.refresh_all_labels()

    def do_undo(self, _value: str) -> None:
        self.say(f"taken back: {panels.described(self.state.undo())}")
        self.refresh_all_labels()

    def do_redo(self, _value: str) -> None:
        self.say(f"brought back: {panels.described(self.state.redo())}")
        self.refresh_all_labels()

    def do_author(self, value: str) -> None:
        name = value.strip()[:60]
        if name and name.isprintable() and not name.startswith("proposal"):
            self.state.book = self.state.book.by(name)

    # -- picked frames ---------------------------------------------------------------------------------------------------
    def do_pick(self, value: dict[str, Any]) -> None:
        self.state.pick(int(value["frame"]), bool(value.get("range")))
        self.refresh_page()

    def do_unpick(self, _value: str) -> None:
        self.state.picked = np.empty(0, np.int64)
        self.refresh_page()

    def do_exclude(self, value: str) -> None:
        self.state.exclude(int(value))
        self.refresh_selection()

    def do_target(self, value: str) -> None:
        self.labelling.set_target(value)
        self.refresh_page()

    # -- classes ---------------------------------------------------------------------------------------------------------
    def do_define_class(self, value: dict[str, Any]) -> None:
        made = self.labelling.define(*(str(value.get(k, "")) for k in ("name", "key", "color", "note")))
        self.say(f"class ‘{made.name}’" + (f", key {made.key}" if made.key else ""))
        self.refresh_all_labels()

    def do_class_color(self, value: dict[str, Any]) -> None:
        self.labelling.define(str(value["name"]), color=str(value["value"]))
        self.refresh_all_labels()

    def do_forget_class(self, value: str) -> None:
        self.labelling.forget(value)
        self.refresh_all_labels()

    # -- proposals -------------------------------------------------------------------------------------------------------
    def do_propose(self, _value: str) -> None:
        run = self.state.run
        self.start_job(
            "proposing labels",
            self._proposed,
            heavy.propose,
            str(run.work.path),
            run.embedding_name or "auto",
            PROPOSALS,
        )

    def _proposed(self, n_classes: int) -> None:
        self.say(
            f"proposals for {n_classes} classes" if n_classes else "no labels yet: what to label first is suggested"
        )
        self.refresh_tab()

    def do_threshold(self, value: str) -> None:
        self.labelling.threshold = min(max(float(value), 0.5), 0.99)
        self.wire.show(proposed=tabs.proposed_counts(self.labelling))

    def do_show_proposed(self, value: str) -> None:
        self.labelling.select_proposed(value)
        self.refresh_selection()

    def do_unknown(self, _value: str) -> None:
        self.labelling.select_unknown()
        self.refresh_selection()

    def do_next_label(self, _value: str) -> None:
        self.labelling.next_to_label()
        self.refresh_selection()

    def do_next_doubtful(self, _value: str) -> None:
        cluster = self.labelling.next_cluster()
        if cluster is None:
            raise InputError("no cluster is in doubt; propose again after further labels")
        self.state.select_cluster(cluster)
        self.refresh_selection()

    def do_accept(self, value: str) -> None:
        events = accept(self.state.run.work, self.labelling.threshold, (value,) if value else (), PROPOSALS)
        n = sum(len(event.frame_id) for event in events)
        self.say(f"{panels.number(n)} proposed labels accepted" if n else "nothing to accept")
        self.state.refresh_labels()
        self.refresh_all_labels()

    def do_revoke(self, _value: str) -> None:
        n = sum(len(event.frame_id) for event in revoke(self.state.run.work))
        self.say(f"{panels.number(n)} accepted labels taken back" if n else "nothing to take back")
        self.state.refresh_labels()
        self.refresh_all_labels()

    def do_disputed(self, _value: str) -> None:
        state = self.state.book.current()
        people = state.labellers()
        if len(people) < 2:
            raise InputError("only one person has labelled so far")
        one, other = people[:2]
        rows = self.state.run.index.rows(agreement(state, one, other).frame_id)
        self.state.select_rows(rows[rows >= 0], "Disputed", f"labelled differently by {one} and {other}", "disputed")
        self.refresh_selection()
