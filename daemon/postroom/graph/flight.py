"""One run of a coroutine shared by all who want its result at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class SingleFlight:
    """Runs `work` at most once at a time; a caller that is cancelled leaves the others their result."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._work = work
        self._task: asyncio.Task[None] | None = None

    def start(self) -> asyncio.Task[None]:
        """Return the run under way, or begin one. Its error is for whoever awaits it."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
            self._task.add_done_callback(_retrieve)
        return self._task

    async def join(self) -> None:
        """Wait for the run under way, or for a new one; raises what it raises."""
        await asyncio.shield(self.start())

    async def cancel(self) -> None:
        """Stop the run, if there is one."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task], timeout=1.0)


def _retrieve(task: asyncio.Task[None]) -> None:
    """Mark the error as seen: a run begun ahead of need has nobody who awaits it, and its owner keeps the error."""
    if not task.cancelled():
        task.exception()
