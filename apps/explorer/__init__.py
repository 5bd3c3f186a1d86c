"""The explorer: a sorted run in the browser, to look at and to label.

`points`, `run`, `labels`, `coloring`, `state`, `panels` and `thumbnails` know nothing of bokeh; `figures` draws, `session` is
one page, `server` serves. The browser sends clicks, keys and drawn polygons; selections are made here, over all frames.
"""
