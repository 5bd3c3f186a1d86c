"""The explorer's server: one process, any number of pages, reachable from this machine only unless told otherwise."""

from __future__ import annotations

import errno
import logging
import socket
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.server.auth_provider import NullAuth
from bokeh.server.server import BaseServer
from bokeh.server.tornado import BokehTornado
from bokeh.server.util import bind_sockets
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop

from apps.explorer.access import TokenAccess
from apps.explorer.ground import warm_up_aside
from apps.explorer.run import Library
from apps.explorer.session import build_page
from sorter.core.errors import InputError
from sorter.curate.label_book import LabelBook
from sorter.io.workfolder import WorkFolder

log = logging.getLogger(__name__)
DEFAULT_PORT = 5006
LOCAL = ("localhost", "127.0.0.1", "[::1]")
#: A page sends short messages and polygons; a longer message closes its connection.
LONGEST_MESSAGE = 4 * 2**20


def make_server(
    work: str | Path | WorkFolder, port: int = DEFAULT_PORT, address: str = "127.0.0.1", origins: Sequence[str] = (),
    token: str | None = None, read_only: bool = False,
) -> tuple[BaseServer, int]:  # fmt: skip
    """A server of ``work``, not started yet, and its port (``port`` 0 takes a free one).

    Only pages that were loaded from this server may talk to it: as localhost, as ``address``, or as one of the further
    ``origins`` (HOST or HOST:PORT). ``token``: what a browser must know to see anything; ``read_only``: nothing can be
    changed. Raises WorkFolderError where there is no work folder, InputError where the port or the
    address cannot be had.
    """
    folder = work if isinstance(work, WorkFolder) else WorkFolder.open(work)
    library, book = Library(folder), LabelBook(folder.labels_path)
    page = Application(FunctionHandler(lambda doc: build_page(doc, library, book, read_only)))
    sockets, port = _bound(address, port)
    hosts = [f"{host}:{port}" for host in (*LOCAL, address)]
    further = [origin if ":" in origin else f"{origin}:{port}" for origin in origins]
    tornado = BokehTornado(
        {"/": page},
        auth_provider=NullAuth() if token is None else TokenAccess(token, port),
        extra_websocket_origins=[*hosts, *further],
        websocket_max_message_size_bytes=LONGEST_MESSAGE,
    )
    http = HTTPServer(tornado)
    http.add_sockets(sockets)
    return BaseServer(IOLoop.current(), tornado, http), port


def _bound(address: str, port: int) -> tuple[list[socket.socket], int]:
    if not 0 <= port < 65536:
        raise InputError(f"port {port}: must lie between 0 (any free one) and 65535")
    try:
        return bind_sockets(address, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise InputError(
                f"port {port}: taken by another program; give --port N, or --port 0 for a free one"
            ) from error
        raise InputError(f"address {address}, port {port}: cannot be used ({error.strerror}); give another") from error


def explore(
    work: str | Path | WorkFolder,
    port: int = DEFAULT_PORT,
    address: str = "127.0.0.1",
    origins: Sequence[str] = (),
    browser: bool = True,
    token: str | None = None,
    read_only: bool = False,
) -> None:
    """Serve the explorer of ``work`` until interrupted; opens the page in a browser unless told not to.

    Raises what `make_server` raises.
    """
    warm_up_aside()
    server, port = make_server(work, port, address, origins, token, read_only)
    local = address in ("localhost", "127.0.0.1", "::1")
    url = f"http://{'localhost' if local or address in ('', '0.0.0.0', '::') else address}:{port}/"
    if not local and token is None:
        may = "look at the frames" if read_only else "look at the frames and change labels"
        log.warning("Everyone who can reach %s may %s; --token WORD keeps others out.", address or "this machine", may)
    url += "" if token is None else f"?token={quote(token)}"
    log.info("Explorer: %s   (stop with Ctrl-C)", url)
    server.start()
    if browser:
        server.io_loop.call_later(0.2, webbrowser.open, url)
    try:
        server.io_loop.start()
    except KeyboardInterrupt:
        log.info(
            "stopped; the labels are in %s",
            (work.path if isinstance(work, WorkFolder) else Path(work)) / "labels.sqlite",
        )
    finally:
        server.stop()
