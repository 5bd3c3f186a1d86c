"""Progress of long work on standard error: a bar on a terminal, else a log line now and then."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import ClassVar

log = logging.getLogger(__name__)

_LOG_EVERY_S = 15.0


class Progress:
    """``with Progress("ingest", total, "frames") as bar: bar.update(n)``; shows rate and time left.

    listener: is told what is done of how much, wherever in this process there is progress: what, done, total (0 where the work
    has steps only).
    """

    listener: ClassVar[Callable[[str, int, int], None] | None] = None

    def __init__(self, what: str, total: int, unit: str, done: int = 0) -> None:
        self.what, self.total, self.unit, self.done = what, total, unit, done
        self._first, self._started = done, time.monotonic()
        self._logged = self._started
        self._bar = None
        if sys.stderr.isatty() and log.isEnabledFor(logging.INFO):
            from tqdm import tqdm

            self._bar = tqdm(total=total, initial=done, desc=what, unit=f" {unit}", file=sys.stderr, leave=False)

    def update(self, n: int) -> None:
        """``n`` more are done."""
        self.done += n
        if Progress.listener is not None:
            Progress.listener(self.what, self.done, self.total)
        if self._bar is not None:
            self._bar.update(n)
            return
        now = time.monotonic()
        if now - self._logged >= _LOG_EVERY_S:
            self._logged = now
            rate = (self.done - self._first) / (now - self._started)
            left = (self.total - self.done) / rate if rate else float("inf")
            log.info(
                "%s: %d of %d %s, %.0f per second, %.0f s left", self.what, self.done, self.total, self.unit, rate, left
            )

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()


class Steps:
    """Work of named steps of which none tells how far it is: ``steps.begin(NAME)`` tells `Progress.listener` what begins."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def begin(self, name: str) -> None:
        """The step ``name`` begins."""
        log.debug("%s", name)
        if Progress.listener is not None:
            Progress.listener(f"{name}, step {self.names.index(name) + 1} of {len(self.names)}", 0, 0)
