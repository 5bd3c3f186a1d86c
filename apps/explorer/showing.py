"""What a page shows: state becomes panels and figures, and one answer carries all that changed."""

from __future__ import annotations

from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.document import Document
from numpy.typing import NDArray

from apps.explorer import frame_panels, panels, tabs, tabs_more
from apps.explorer.average import Average
from apps.explorer.bridge import Wire
from apps.explorer.coloring import colorings
from apps.explorer.colors import Coloring
from apps.explorer.desk import Desk
from apps.explorer.frame_figure import FrameFigure
from apps.explorer.layout_figure import LayoutFigure
from apps.explorer.profile import drawing
from apps.explorer.thumbnails import Scale, Thumbnails, data_url, png
from sorter.preprocess.radial import radial_grid

if TYPE_CHECKING:
    from apps.explorer.labelling import Labelling
    from apps.explorer.shaping import Shaping
    from apps.explorer.state import Explorer


class Showing:
    """Shows the parts of a page; `Session`, which inherits it, has them."""

    doc: Document
    state: Explorer
    labelling: Labelling
    shaping: Shaping
    desk: Desk
    wire: Wire
    layout: LayoutFigure
    frame: FrameFigure
    thumbnails: Thumbnails
    average: Average
    coloring: Coloring
    scale: Scale
    clip: float
    color_by: str
    moment: str
    rings: bool

    def _guarded(self, action: Any, *values: Any) -> None:
        raise NotImplementedError

    def say(self, text: str, bad: bool = False) -> None:
        """A short message; a person's own words in it are escaped."""
        self.wire.say(escape(text), bad)

    def redraw(self, whole: bool) -> None:
        """Draw the layout's points in the present colouring."""
        state = self.state
        choices = colorings(state.run, state.labels, self.labelling.color)
        self.color_by = self.color_by if self.color_by in choices else next(iter(choices))
        self.coloring = choices[self.color_by]()
        drawn = self.layout.draw(state.points, self.coloring, state.run.spread, whole)
        self.layout.name_clusters(state.run.cluster_middles)
        self.wire.show(
            coloring=panels.color_choice(list(choices), self.color_by),
            legend=panels.legend(self.coloring, state, drawn),
        )

    def refine(self) -> None:
        """Draw the layout's points for the part that is in view now."""
        drawn = self.layout.refine()
        self.refresh_marks()
        self.wire.show(legend=panels.legend(self.coloring, self.state, drawn))

    def refresh_all_labels(self) -> None:
        """After a change of the label book."""
        self.refresh_labels()
        if self.state.selection.kind == "label":
            self.refresh_selection()
        else:
            self.wire.show(selection=panels.selection(self.state, self.labelling.color))
            self.refresh_page()
            self._refresh_viewer_text()
            self.refresh_tab()

    def refresh_labels(self) -> None:
        """Everything that labels show in, besides the selection."""
        state = self.state
        self.wire.show(
            counts=panels.counts(state),
            views=panels.views(state),
            undo=panels.undo_buttons(state),
            known=panels.known_labels(state, self.labelling),
        )
        if self.color_by == "label":
            self.redraw(whole=False)
            self.refresh_marks()
        self._refresh_tables()

    def _refresh_tables(self) -> None:
        state = self.state
        medoids = self.thumbnails.urls(state.run.clustering.medoids) if state.run.clustering else []
        self.wire.show(
            clusters=panels.clusters(state, medoids, self.labelling.color),
            labels=panels.labels(state, self.labelling),
            export=panels.export_hint(state),
        )

    def refresh_selection(self) -> None:
        """After another selection."""
        self.wire.show(selection=panels.selection(self.state, self.labelling.color))
        self._refresh_tables()
        self.refresh_page()
        self.refresh_focus()
        self.refresh_tab()

    def refresh_tab(self) -> None:
        """The tab under the thumbnails."""
        desk, state = self.desk, self.state
        html = ""
        if desk.tab == "label":
            html = tabs.label_tab(self.labelling)
        elif desk.tab == "shape":
            html = tabs.shape_tab(self.shaping, desk, self._group_urls())
        elif desk.tab == "compare":
            html = self._comparison()
        elif desk.tab == "out":
            html = tabs_more.out_tab(state, desk, self._suggested_name())
        elif desk.tab == "live":
            html = tabs_more.live_tab(desk)
        self.wire.show(tabs=tabs.tab_bar(desk), tab=html)
        self.wire.forget("proposed", "cutcount")  # they lie within the tab

    def _group_urls(self) -> dict[str, str]:
        """A picture of the surest frame of each proposed group."""
        waiting = self.shaping.proposed
        if waiting is None:
            return {}
        best = {}
        for group in range(min(waiting.n_groups, 24)):
            mine = np.flatnonzero(waiting.groups == group)
            best[str(group)] = waiting.frame_id[mine[waiting.strength[mine].argmax()]]
        urls = self.thumbnails.urls(np.array(list(best.values()), np.uint64), self.scale, self.clip)
        return dict(zip(best, urls))

    def _comparison(self) -> str:
        desk, state = self.desk, self.state
        if not len(desk.pinned):
            return tabs_more.compare_tab(state, desk, [], [], "")
        store, bad = state.run.store, state.run.store.bad_pixels
        means = [desk.pinned_mean, self.average.finish().mean if self.average.n_read else None]
        urls = ["" if m is None else data_url(png(m, bad, self.scale, 256, self.clip)) for m in means]
        few = [chosen.rows[:: max(1, len(chosen) // 12)][:12] for chosen in (desk.pinned, state.selection)]
        thumbs = [self.thumbnails.urls(state.run.frame_id[rows], self.scale, self.clip) for rows in few]
        curves = [
            (c.title, color, m)
            for c, color, m in zip((desk.pinned, state.selection), ("#56b4e9", "#e69f00"), means)
            if m is not None
        ]
        return tabs_more.compare_tab(state, desk, urls, thumbs, drawing(radial_grid(store.geometry, bad), curves))

    def _suggested_name(self) -> str:
        words = self.state.current or self.state.selection.title or "picks"
        return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in words).strip("._") or "picks"

    def show_view(self, layout: str | None, clustering: str | None) -> None:
        """Look at another layout or clustering."""
        self.state.show(layout, clustering)
        self.thumbnails.store = self.state.run.store
        self.shaping.drop()
        self.redraw(whole=True)
        self.refresh_labels()
        self.refresh_selection()

    def take_in(self) -> None:
        """The run has grown: show its new frames; what the person looks at stays."""
        run = self.state.run
        self.state.show(run.layout.name, run.clustering.name if run.clustering else None)
        self.thumbnails.store = self.state.run.store
        self.redraw(whole=False)
        self.refresh_marks()
        self.refresh_labels()
        self.refresh_page()

    def refresh_page(self) -> None:
        """The page of thumbnails."""
        state = self.state
        urls = self.thumbnails.urls(state.run.frame_id[state.page_rows()], self.scale, self.clip)
        self.wire.show(
            pager=frame_panels.pager(state),
            thumbs=frame_panels.thumbs(state, urls, self.labelling.color),
            classes=tabs.class_bar(self.labelling),
        )

    def refresh_focus(self) -> None:
        """The large picture: a frame at once, a mean as its frames are read."""
        self.refresh_marks()
        if self.state.focus is not None:
            self._show_picture(self.state.run.store.read(self.state.run.frame_id[[self.state.focus]])[0])
            return
        self.average = self.state.average()
        self._show_picture(None)
        if self.wire.heard and not self.average.complete:
            self.doc.add_next_tick_callback(partial(self._average_more, self.average))

    def _average_more(self, average: Average) -> None:
        """Read more frames of ``average``, if it is still the one to be shown."""
        if average is not self.average or self.state.focus is not None or average.complete:
            return
        before = average.n_read
        self._guarded(average.read_more)
        if average.n_read == before:  # the frames cannot be read, which was said
            self.wire.send()
            return
        if average.worth_showing:
            statistics = average.finish()
            self._show_picture(statistics.std**2 if self.moment == "variance" else statistics.mean)
            if average.complete and self.desk.tab == "compare":
                self.refresh_tab()
            self.wire.send()
        if not average.complete:
            self.doc.add_next_tick_callback(partial(self._average_more, average))

    def _show_picture(self, picture: NDArray | None) -> None:
        self.desk.picture = picture
        self.frame.show(picture, self.state.run.store.bad_pixels, self.scale, self.clip)
        self._refresh_viewer_text()

    def _refresh_viewer_text(self) -> None:
        head = frame_panels.viewer(self.state, self.scale, self.clip, self.rings, self.average, self.moment)
        self.wire.show(viewer=head, profile=self._profile())

    def _profile(self) -> str:
        """Radial profile of what is shown, and of its cluster where one frame is."""
        picture, state = self.desk.picture, self.state
        if picture is None:
            return ""
        store = state.run.store
        curves = [("this frame" if state.focus is not None else self.moment, "var(--accent)", picture)]
        if state.focus is not None and self.average.n_read:
            curves.append((f"mean: {state.selection.title or 'all hits'}", "var(--second)", self.average.finish().mean))
        return drawing(radial_grid(store.geometry, store.bad_pixels), curves)

    def refresh_marks(self) -> None:
        """The selection's points in the layout."""
        state = self.state
        points = state.run.in_layout[state.selection.rows]
        focus = None if state.focus is None else int(state.run.in_layout[state.focus])
        focus = None if focus is None or focus < 0 else focus
        self.layout.mark(points[points >= 0], focus, len(state.selection) > 0)
