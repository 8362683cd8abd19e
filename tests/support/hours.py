"""A clock that can be set forward while a whole daemon runs, so that hours pass in seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from postroom.clock import SystemClock
from support.daemon import Daemon
from support.pipeline import until


class Hours(SystemClock):
    """The system's clock, and as far `ahead` of it as a test says; who sleeps on it wakes when it is set forward."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self.sleeping = 0
        self._moved = asyncio.Event()

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.ahead)

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead

    async def sleep(self, seconds: float) -> None:
        end = self.monotonic() + seconds
        while (left := end - self.monotonic()) > 0:
            self.sleeping += 1
            try:
                async with asyncio.timeout(left):
                    await self._moved.wait()
            except TimeoutError:
                pass
            finally:
                self.sleeping -= 1

    def advance(self, seconds: float) -> None:
        """Set it forward."""
        self.ahead += seconds
        self._moved.set()
        self._moved = asyncio.Event()


async def pass_time(
    daemon: Daemon, clock: Hours, seconds: float, step: float = 20.0, each: Callable[[], object] = lambda: None
) -> None:
    """Let time pass for a daemon step by step, and whatever is due then be done; `each` is called after each step."""
    app = daemon.app
    for _ in range(round(seconds / step)):
        clock.advance(step)
        began = clock.monotonic()
        app.rounds.tick()
        app.dispatcher.wake.set()
        app.actor.wake.set()
        await app.freshness.look()
        await until(lambda began=began: _have_looked(daemon, began) and _is_quiet(daemon, clock), limit=60.0)
        each()


def _have_looked(daemon: Daemon, since: float) -> bool:
    """Whether the rooms have looked for work since then."""
    expected = daemon.app.report.health._expected
    return all(expected[room].last >= since for room in ("deliveries", "actions"))


def _is_quiet(daemon: Daemon, clock: Hours) -> bool:
    """Whether whoever is under way waits for the clock."""
    app = daemon.app
    under_way = len(app.rounds._running) + len(app.dispatcher._attempts._running) + len(app.actor._running)
    return under_way <= clock.sleeping
