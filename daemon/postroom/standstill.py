"""Tells of an event loop that stands still, from a thread beside it: nobody on the loop could.

A handler that is `async` and blocks stops all of the daemon: no mailbox is polled, no other
mail handled, no signal heard.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from postroom.ports import Report

REMEDY = (
    "Until it goes on, no mail is handled and no signal heard. If it is a handler, make it a plain `def handle`, which "
    "runs in a thread, or await what takes its time. `kill -9` ends it: nothing is lost, and a mail that does it again "
    "becomes a dead letter."
)

Labels = Mapping[str, object]
"""What a log line says of whom it is about."""

AFTER = 5.0
"""Seconds without a beat before it is said."""

AGAIN = 60.0
"""Seconds until it is said again."""

BEAT = 1.0
"""Seconds between two beats, and between two looks."""


class Standstill:
    """Watches the running loop between `start` and `stop`.

    Args:
        report: Hears of ``blocked`` in the thread, while nothing else runs, and of ``unblocked`` on the loop.
        whose: Says which delivery's attempt a task is, if it is one.
        seconds: A clock that goes on while the loop stands still.
    """

    def __init__(
        self,
        report: Report,
        whose: Callable[[asyncio.Task[Any]], Labels],
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._report = report
        self._whose = whose
        self._seconds = seconds
        self._loop: asyncio.AbstractEventLoop
        self._thread_of_loop = 0
        self._timer: asyncio.TimerHandle | None = None
        self._beaten = 0.0
        self._said = 0.0
        self._culprit: Labels = {}
        self._ended = threading.Event()

    def start(self) -> None:
        """Begin to watch; called on the loop."""
        self._loop, self._thread_of_loop = asyncio.get_running_loop(), threading.get_ident()
        self._beaten = self._seconds()
        self._beat()
        threading.Thread(target=self._watch, name="standstill", daemon=True).start()

    def stop(self) -> None:
        """Watch no more."""
        self._ended.set()
        if self._timer is not None:
            self._timer.cancel()

    def _beat(self) -> None:
        """Show that the loop goes on; if it did not, say for how long."""
        before, self._beaten = self._beaten, self._seconds()
        if self._said:
            self._said = 0.0
            self._report.event("unblocked", after_seconds=round(self._beaten - before, 1), **self._culprit)
        self._timer = self._loop.call_later(BEAT, self._beat)

    def _watch(self) -> None:
        asked = self._seconds()
        while not self._ended.wait(BEAT):
            asked, before = self._seconds(), asked
            if asked - before < 2 * BEAT:  # or else the whole process, or the machine, stood still
                self.look(asked)

    def look(self, now: float) -> None:
        """Say it if the loop has not gone on for too long; called from the thread."""
        late = now - self._beaten
        if late < AFTER or (self._said and now - self._said < AGAIN):
            return
        task = asyncio.current_task(self._loop)
        self._culprit = self._whose(task) if task is not None else {}
        self._said = now
        at = _place(sys._current_frames().get(self._thread_of_loop))  # noqa: SLF001 - documented, in spite of its name
        self._report.event("blocked", **self._culprit, seconds=round(late, 1), at=at, remedy=REMEDY)


def _place(frame: FrameType | None) -> str:
    """Say where a thread is: file, line and function."""
    return "" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
