"""A clock that stands still until it is told to go on."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

_TURNS = 20
"""Turns of the event loop in which those who were woken may go to sleep again."""


class ManualClock:
    """A `ports.Clock` for tests: who sleeps on it is woken by `advance`, in order, however long that is in truth."""

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._seconds = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()
        self._changed = asyncio.Event()

    def now(self) -> datetime:
        """Return the wall-clock time (aware, UTC)."""
        return self._start + timedelta(seconds=self._seconds)

    def monotonic(self) -> float:
        """Return the seconds since this clock was made."""
        return self._seconds

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has been advanced by `seconds`."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._seconds + seconds, next(self._numbers), woken))
        self._changed.set()
        await woken

    @property
    def sleeping(self) -> int:
        """How many wait on this clock."""
        return sum(not woken.done() for _, _, woken in self._sleepers)

    async def wait_for_sleepers(self, count: int = 1, limit: float = 5.0) -> None:
        """Wait until at least `count` sleep; raises TimeoutError after `limit` real seconds."""
        async with asyncio.timeout(limit):
            while self.sleeping < count:
                self._changed.clear()
                await self._changed.wait()

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass; a loop that sleeps one second goes round ten times while ten pass."""
        target = self._seconds + seconds
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= target:
            due, _, woken = heapq.heappop(self._sleepers)
            if woken.done():
                continue
            self._seconds = due
            woken.set_result(None)
            await self._settle()
        self._seconds = target

    async def _settle(self) -> None:
        for _ in range(_TURNS):
            await asyncio.sleep(0)
