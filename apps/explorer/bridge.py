"""The wire between page and server, besides Bokeh's own figures."""

from __future__ import annotations

import json

from bokeh.core.properties import String
from bokeh.model import DataModel

#: The parts of the page that the server fills; what is shown in "reload" makes the page load again.
PANELS = (
    "counts", "views", "undo", "coloring", "legend", "clusters", "labels", "selection", "pager", "thumbs", "viewer", "export",
    "known", "hover", "banner", "classes", "tabs", "tab", "job", "proposed", "cutcount", "profile",
    "reload",
)  # fmt: skip


class Bridge(DataModel):
    """What page and server tell each other besides the figures. ``message``: JSON from the page. ``answer``: JSON to the page,
    see `Wire.send`."""

    message = String()
    answer = String()


class Wire:
    """Gathers what changes on the page, so that one message shows it all and nobody sees half of it.

    ``heard``: the page has said something, so it is there; until then every answer holds all panels, as only the last one
    reaches it.
    """

    def __init__(self) -> None:
        self.bridge = Bridge(name="bridge")
        self.panels = dict.fromkeys(PANELS, "")
        self.done, self.heard = 0, False
        self.toast: tuple[str, str] = ("", "")
        self._changed: set[str] = set(PANELS)
        self._n_sent = 0

    def show(self, **panels: str) -> None:
        """Fill panels with HTML; sent with the next `send`, where it is not there already."""
        for name, html in panels.items():
            if self.panels[name] != html:
                self.panels[name] = html
                self._changed.add(name)

    def forget(self, *names: str) -> None:
        """The page filled these panels in another way: whatever is shown in them next is sent."""
        self.panels.update(dict.fromkeys(names, ""))
        self._changed -= set(names)

    def say(self, html: str, bad: bool = False) -> None:
        """A short message at the foot of the page."""
        self.toast = ("bad" if bad else "", html)

    def send(self, done: int | None = None, always: bool = False) -> None:
        """Send what changed, if anything did. ``done``: number of the page's message that this answers. ``always``: send even
        where no panel changed, so that the page knows that the figures did.

        The answer holds ``sent`` (its own number), ``done``, ``panels`` (name -> HTML, the changed ones) and ``toast``
        ([kind, HTML] or null).
        """
        news = {name: self.panels[name] for name in PANELS if name in self._changed or not self.heard}
        said = self.toast if self.toast[1] else None
        if done is None and not news and said is None and not always:
            return
        self.done = self.done if done is None else done
        self._n_sent += 1
        self.bridge.answer = json.dumps({"sent": self._n_sent, "done": self.done, "panels": news, "toast": said})
        self._changed.clear()
        self.toast = ("", "")
