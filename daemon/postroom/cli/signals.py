"""The signals a daemon understands: stop, stop at once, and reload."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from typing import Any

from postroom.errors import ExitCode

CUT_OFF_WITHIN = 45.0
"""Seconds that work is given to put away what it has begun: handlers have 30 to close."""


class Signals:
    """SIGTERM and SIGINT stop, the second one at once; SIGHUP asks for a reload. For use inside the event loop."""

    def __init__(self) -> None:
        self._stop = asyncio.Event()
        self._hang_up = asyncio.Event()

    def listen(self) -> None:
        """Take the signals over."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_stop)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up.set)

    def stop(self) -> None:
        """Have everything stop as the first stop signal does."""
        self._stop.set()

    async def unless_stopped(self, work: Coroutine[Any, Any, object]) -> bool:
        """Do `work`, or cut it off when the stop signal comes; says whether it was done, raises what it raises.

        Work that was cancelled by anybody else has failed: RuntimeError.
        """
        task, stopping = asyncio.create_task(work), asyncio.create_task(self._stop.wait())
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=CUT_OFF_WITHIN)
        if not task.done() or (task.cancelled() and self._stop.is_set()):
            return False
        if task.cancelled():
            raise RuntimeError("it was cancelled, and by no stop of ours")
        await task
        return True

    async def hung_up(self) -> bool:
        """Wait for the next hang-up; False when it is time to stop instead."""
        waiting = {asyncio.create_task(each.wait()) for each in (self._hang_up, self._stop)}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        self._hang_up.clear()
        return not self._stop.is_set()

    def _told_to_stop(self) -> None:
        if self._stop.is_set():
            # The second signal: leave now. What was running is found as such at the next start.
            os._exit(ExitCode.FAILED)
        self._stop.set()
