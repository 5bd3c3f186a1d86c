"""What a page can ask for: one method ``do_NAME`` per ``data-act="NAME"`` (a hyphen is an underscore) of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apps.explorer import frame_panels, panels
from apps.explorer.state import MODES, Explorer
from apps.explorer.thumbnails import SCALES, Scale, Thumbnails

if TYPE_CHECKING:
    from apps.explorer.bridge import Wire
    from apps.explorer.frame_figure import FrameFigure
    from apps.explorer.layout_figure import LayoutFigure

#: What is shown of many frames.
MOMENTS = ("mean", "variance")
#: A click means the point within this many screen pixels.
REACH_PX = 10


class Actions:
    """The actions; `Session`, which inherits them, has the state and knows how to show what changed."""

    state: Explorer
    wire: Wire
    layout: LayoutFigure
    frame: FrameFigure
    thumbnails: Thumbnails
    scale: Scale
    mode: str
    rings: bool
    moment: str
    color_by: str

    def do_hello(self, _value: str) -> None:
        """The page is there."""
        self.refresh_focus()

    def do_cluster(self, value: str) -> None:
        self.state.select_cluster(int(value))
        self.refresh_selection()

    def do_blanks(self, _value: str) -> None:
        self.state.select_blanks()
        self.refresh_selection()

    def do_unlabelled(self, _value: str) -> None:
        self.state.select_unlabelled()
        self.refresh_selection()

    def do_label_row(self, value: str) -> None:
        self.state.select_label(value)
        self.refresh_selection()

    def do_clear(self, _value: str) -> None:
        self.state.clear()
        self.refresh_selection()

    def do_next_cluster(self, _value: str) -> None:
        if self.state.next_unlabelled_cluster():
            self.refresh_selection()
        else:
            self.say("every cluster has a label")

    def do_step_cluster(self, value: str) -> None:
        key = self.state.selection.key if self.state.selection.kind == "cluster" else None
        at = int(key) + int(value) if isinstance(key, int) else 0
        self.do_cluster(str(min(max(at, -1), self.state.run.n_clusters - 1)))

    def do_mode(self, value: str) -> None:
        if value in MODES:
            self.mode = value

    def do_frame(self, value: str) -> None:
        self.state.open_frame(int(value))
        self.refresh_focus()

    def do_step(self, value: str) -> None:
        page = self.state.page
        self.state.step_focus(int(value))
        if self.state.page != page:
            self.refresh_page()
        self.refresh_focus()

    def do_similar(self, _value: str) -> None:
        self.state.select_similar()
        self.refresh_selection()

    def do_only(self, _value: str) -> None:
        self.state.select_open_frame()
        self.refresh_selection()

    def do_drop(self, _value: str) -> None:
        self.state.drop_open_frame()
        self.refresh_selection()

    def do_mean(self, value: str) -> None:
        self.moment = value if value in MOMENTS else "mean"
        self.state.focus = None
        self.refresh_focus()

    def do_order(self, value: str) -> None:
        self.state.set_order(value)
        self.refresh_page()

    def do_page(self, value: str) -> None:
        self.state.go_to_page(int(value))
        self.refresh_page()

    def do_turn(self, value: str) -> None:
        self.do_page(str(self.state.page + int(value)))

    def do_page_size(self, value: str) -> None:
        self.state.set_page_size(int(value))
        self.refresh_page()

    def do_scale(self, value: str) -> None:
        if value in SCALES:
            self.scale = value
            self.refresh_page()
            self.refresh_focus()

    def do_rings(self, _value: str) -> None:
        self.rings = not self.rings
        self.frame.show_rings(self.rings)
        self.refresh_focus()

    def do_color(self, value: str) -> None:
        self.color_by = value
        self.redraw(whole=False)
        self.refresh_marks()

    def do_fit(self, _value: str) -> None:
        self.redraw(whole=True)

    def do_layout(self, value: str) -> None:
        self._show(value, self.state.run.clustering.name if self.state.run.clustering else None)

    def do_clustering(self, value: str) -> None:
        self._show(self.state.run.layout.name, value)

    def _show(self, layout: str, clustering: str | None) -> None:
        self.state.show(layout, clustering)
        self.redraw(whole=True)
        self.refresh_labels()
        self.refresh_selection()

    def do_label(self, value: str) -> None:
        event = self.state.give_label(value)
        word = value.strip()
        n = len(event.frame_id) if event else 0
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

    def do_hover(self, value: dict[str, float]) -> None:
        reach = REACH_PX * self.layout.view.per_px()
        row = self.state.row_at(float(value["x"]), float(value["y"]), reach)
        if row is None:
            self.wire.show(hover="")
            return
        url = self.thumbnails.urls(self.state.run.frame_id[[row]], self.scale)[0]
        self.wire.show(hover=frame_panels.hover_card(self.state, row, url))
