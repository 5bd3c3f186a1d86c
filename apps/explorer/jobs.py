"""Long work in a process of its own, so that the page goes on answering: progress, result, cancel."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from sorter.core.errors import ShotsortError
from sorter.io.progress import Progress

#: Progress is not told more often than that.
_TELL_EVERY_S = 0.3
#: What a cancelled process has to clean up behind it.
_GRACE_S = 10.0
_SPAWN = multiprocessing.get_context("spawn")


class Job:
    """``work(*args)`` in another process; `poll` says how it stands.

    what: the work in a person's words. progress: what it is at, in words with per cent or the number of the step, where it says.
    The process is ended by `cancel`, and with the server.
    """

    def __init__(self, what: str, work: Callable[..., Any], *args: Any) -> None:
        self.what = what
        self.result: Any = None
        self.error: str | None = None
        self.done = False
        self.progress = ""
        self._began = time.monotonic()
        self._answers, there = _SPAWN.Pipe(duplex=False)
        self._process = _SPAWN.Process(target=_run, args=(there, work, args), daemon=True)
        self._process.start()
        there.close()

    @property
    def seconds(self) -> int:
        """Whole seconds since it was started."""
        return int(time.monotonic() - self._began)

    def poll(self) -> bool:
        """Take in what the process says; True once it has ended, well (``result``) or not (``error``)."""
        if self.done:
            return True
        try:
            while self._answers.poll():
                kind, value = self._answers.recv()
                setattr(self, kind, value)
                self.done = kind != "progress"
        except EOFError:
            pass
        if not self.done and not self._process.is_alive():
            self.error, self.done = f"{self.what}: ended unexpectedly; try again", True
        return self.done

    def cancel(self) -> None:
        """End it; its result is not wanted any more. It removes what it has half written."""
        self._process.terminate()
        last = threading.Timer(_GRACE_S, self._process.kill)
        last.daemon = True
        last.start()
        self.error, self.done = f"{self.what}: cancelled", True


def _run(there: Connection, work: Callable[..., Any], args: tuple) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    Progress.listener = _Teller(there)
    try:
        there.send(("result", work(*args)))
    except ShotsortError as error:
        there.send(("error", str(error)))
    except Exception as error:
        there.send(("error", f"that did not work ({type(error).__name__}: {error})"))
        raise


class _Teller:
    """Tells how far the work is."""

    def __init__(self, there: Connection) -> None:
        self._there, self._told = there, 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        if not total:
            self._there.send(("progress", what))
        elif time.monotonic() - self._told >= _TELL_EVERY_S:
            self._told = time.monotonic()
            self._there.send(("progress", f"{what} {100 * done // total} %"))
