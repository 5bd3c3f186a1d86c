"""What a page can ask for: one method ``do_NAME`` per ``data-act="NAME"`` (a hyphen is an underscore) of the page."""

from __future__ import annotations

from apps.explorer import frame_panels
from apps.explorer.layout_figure import MOST_ON_CANVAS, MOST_POINTS
from apps.explorer.showing import Showing
from apps.explorer.state import MODES
from apps.explorer.thumbnails import CLIPS, SCALES

#: What is shown of many frames.
MOMENTS = ("mean", "variance")
#: A click means the point within this many screen pixels.
REACH_PX = 10


class LookActions(Showing):
    """Looking and selecting."""

    mode: str

    def do_hello(self, value: str) -> None:
        """The page is there. value: "webgl", or "canvas" where it has no graphics card."""
        if value == "webgl":
            self.layout.most_points = MOST_POINTS
            if len(self.state.points.xy) > MOST_ON_CANVAS:
                self.refine()
        self.refresh_focus()

    def do_cluster(self, value: str) -> None:
        self.state.select_cluster(int(value))
        self.refresh_selection()

    def do_widen(self, _value: str) -> None:
        self.state.widen()
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

    def do_clip(self, value: str) -> None:
        if value in CLIPS:
            self.clip = CLIPS[value]
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
        self.show_view(value, self.state.run.clustering.name if self.state.run.clustering else None)

    def do_clustering(self, value: str) -> None:
        self.show_view(self.state.run.layout.name, value)

    def do_hover(self, value: dict[str, float]) -> None:
        reach = REACH_PX * self.layout.view.per_px()
        row = self.state.row_at(float(value["x"]), float(value["y"]), reach)
        if row is None:
            self.wire.show(hover="")
            return
        url = self.thumbnails.urls(self.state.run.frame_id[[row]], self.scale)[0]
        self.wire.show(hover=frame_panels.hover_card(self.state, row, url))
