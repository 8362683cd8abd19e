"""The rooms that work from start to stop, supervised: a defect in one is reported and it goes on, never in silence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable

from postroom.ports import Clock, Report

IS_WELL = 30.0
"""Seconds a room must run after a defect before its problem counts as over."""

LAST_MOMENT = 1.0
"""Seconds that what was cut off at a stop is given to notice it."""


class Rooms:
    """Runs each room in a task of its own until it returns."""

    def __init__(self, *, clock: Clock, report: Report) -> None:
        self._clock = clock
        self._report = report
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def open(self, name: str, run: Callable[[], Coroutine[None, None, None]]) -> None:
        """Let a room work; `run` is called again after a defect."""
        self._tasks[name] = asyncio.create_task(self._supervise(name, run))

    async def end(self, limit: float, others: Iterable[asyncio.Task[None]] = ()) -> None:
        """Wait up to `limit` seconds for the rooms, and others, to settle what they have; cancel what is left."""
        left = {*self._tasks.values(), *others}
        for wait in (limit, LAST_MOMENT):
            if left:
                _, left = await asyncio.wait(left, timeout=wait)
            for task in left:
                task.cancel()

    async def _supervise(self, name: str, run: Callable[[], Coroutine[None, None, None]]) -> None:
        while True:
            room = asyncio.create_task(run())
            try:
                await asyncio.wait({room}, timeout=IS_WELL)
                if not room.done():
                    self._report.recovered(f"room {name}")
                await room
            except Exception as error:  # noqa: BLE001 - whatever the defect, the room must go on
                self._report.problem(f"room {name}", error)
                await self._clock.sleep(1.0)
            else:
                return
            finally:
                room.cancel()
