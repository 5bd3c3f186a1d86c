"""The wire between page and server, besides Bokeh's own figures."""

from __future__ import annotations

from bokeh.core.properties import Int, String
from bokeh.model import DataModel


class Bridge(DataModel):
    """What page and server tell each other besides the figures. ``message``: JSON from the page; ``done``: number of the last
    message that was dealt with; the others are the HTML of the panels."""

    message = String()
    done = Int()
    counts = String()
    views = String()
    undo = String()
    coloring = String()
    legend = String()
    clusters = String()
    labels = String()
    selection = String()
    pager = String()
    thumbs = String()
    viewer = String()
    export = String()
    known = String()
    toast = String()
    hover = String()
    banner = String()
