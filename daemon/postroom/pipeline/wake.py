"""Waiting for work: until somebody calls, until something falls due, and never longer than a second."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

from postroom.errors import JournalError
from postroom.ports import Clock

LONGEST_WAIT = 1.0
"""Seconds after which the journal is asked anyway: the command line may have written to it."""


class Wake:
    """An alarm clock over the journal's next due time."""

    def __init__(self, clock: Clock, next_due: Callable[[], Awaitable[datetime | None]]) -> None:
        self._clock = clock
        self._next_due = next_due
        self._event = asyncio.Event()

    def set(self) -> None:
        """Wake the waiter now, or let its next wait end at once."""
        self._event.set()

    async def wait(self, asked: datetime) -> None:
        """Return when there may be something to do that was not to be had at `asked`."""
        if not self._event.is_set():
            wait = await self._longest(asked)
            try:
                async with asyncio.timeout(wait):
                    await self._event.wait()
            except TimeoutError:
                pass
        self._event.clear()

    async def _longest(self, asked: datetime) -> float:
        try:
            due = await self._next_due()
        except JournalError:
            return LONGEST_WAIT
        if due is None or due <= asked:
            # What was due then could not be taken: there is no room, and whoever makes room calls `set`.
            return LONGEST_WAIT
        return min(max((due - self._clock.now()).total_seconds(), 0.01), LONGEST_WAIT)
